// Package objc sends Objective-C messages: the lowest floor of package metal.
//
// It knows nothing of Metal but the table of messages (messages.txt). The machine underneath is a
// [Runtime]: on macOS the real libobjc (runtime_darwin.go, the only file of package metal with a
// build tag), elsewhere what package emu puts in its place. Both are addresses of C functions, so
// the words that leave this package are the same everywhere.
package objc

//go:generate go run ./gen

// Message is one message of the table: its index.
type Message uint16

// Decl is what messages.txt declares about a message.
type Decl struct {
	Owner    string // class or protocol: "MTLDevice"
	Selector string // "newBufferWithLength:options:"
	Class    bool   // + (a class message) instead of -
	Ret      Type
	Args     []Type // without self and _cmd
}

// String is the message as Objective-C writes it: -[MTLDevice newBufferWithLength:options:].
func (d *Decl) String() string {
	sign := "-["
	if d.Class {
		sign = "+["
	}
	return sign + d.Owner + " " + d.Selector + "]"
}

// Type is the type of an argument or a result.
type Type struct {
	Kind Kind
	Name string // class, protocol, enumeration or C type: "MTLBuffer", "MTLResourceOptions"
}

// Kind says how a value travels.
type Kind uint8

const (
	Void         Kind = iota
	Object            // id, NSString *, id<MTLBuffer>
	ObjectOut         // NSError **: where the callee puts an object
	ObjectArray       // const id<MTLBuffer> *
	UIntegerList      // const NSUInteger *
	Bool              // BOOL
	UInteger          // NSUInteger, uint64_t and every enumeration Metal has
	Integer           // NSInteger
	Byte              // uint8_t
	Double            // CFTimeInterval
	Pointer           // void *
	Words             // MTLTimestamp *: where the callee puts 64-bit words
	CString           // const char *
	Selector          // SEL
	Block             // void (^)(…)
	Size              // MTLSize, three words by value
	Range             // NSRange, two words by value
)

var encodings = [...]string{
	Void: "v", Object: "@", ObjectOut: "^@", ObjectArray: "^@", UIntegerList: "^Q", Bool: "B", UInteger: "Q",
	Integer: "q", Byte: "C", Double: "d", Pointer: "^v", Words: "^Q", CString: "*", Selector: ":",
	Block: "@?", Size: "{?=QQQ}", Range: "{_NSRange=QQ}",
}

// Encoding is the type's Objective-C type encoding on 64-bit Apple platforms, without qualifiers
// (r for const, V for oneway) and without the offsets the runtime's strings carry.
func (t Type) Encoding() string { return encodings[t.Kind] }

// Encoding is the message's type encoding, result first, then self, _cmd and the arguments: what
// method_getTypeEncoding returns, qualifiers and offsets removed.
func (d *Decl) Encoding() string {
	s := d.Ret.Encoding() + "@:"
	for _, a := range d.Args {
		s += a.Encoding()
	}
	return s
}

// Decl is the message's declaration. It must not be changed.
func (m Message) Decl() *Decl { return &messages[m] }

func (m Message) String() string { return messages[m].String() }

// Messages is the number of messages; every Message below it is declared.
const Messages = int(numMessages)
