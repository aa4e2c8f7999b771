package objc

import (
	"fmt"
	"sync"
	"unsafe"
)

// Runtime is the machine underneath: addresses of C functions and the few calls that do not fit
// plain words. System fills it on macOS, package emu elsewhere. After Prepare it is read-only and
// safe for concurrent use.
type Runtime struct {
	// Call calls a C function with integer words in the C calling convention and returns its
	// integer results (purego.SyscallN). It must not keep args.
	Call func(fn uintptr, args ...uintptr) (r1, r2, errno uintptr)

	MsgSend  uintptr // objc_msgSend
	PoolPush uintptr // objc_autoreleasePoolPush
	PoolPop  uintptr // objc_autoreleasePoolPop

	// Float and SizeOf send a message without arguments whose result does not travel in integer
	// registers: a double, an MTLSize.
	Float  func(self, sel uintptr) float64
	SizeOf func(self, sel uintptr) Dim

	Sel      func(name string) uintptr // sel_registerName
	Class    func(name string) uintptr // objc_getClass: 0 for an unknown class
	Callback func(fn any) uintptr      // purego.NewCallback: C address of a Go function, forever
	BlockISA uintptr                   // &_NSConcreteGlobalBlock

	// TypeEncoding is the runtime's own encoding of the method an object, or class object, answers a
	// selector with, "" if it does not.
	TypeEncoding func(id, sel uintptr) string
	// ProtocolEncoding is what a protocol declares about a selector of its instances, "" if it does not
	// or the runtime does not know the protocol.
	ProtocolEncoding func(protocol string, sel uintptr) string

	DefaultDevice func() uintptr // MTLCreateSystemDefaultDevice: a +1 id<MTLDevice>, or 0
	EncoderInfos  uintptr        // MTLCommandBufferEncoderInfoErrorKey, an NSString that lives for ever
	Darwin        int            // major version of the kernel: 22 is macOS 13, 25 is macOS 26

	sels    [numMessages]uintptr
	classes map[string]uintptr
	callers sync.Pool
}

// Dim is MTLSize as it lies in memory.
type Dim struct{ W, H, D uint64 }

// Prepare looks up every selector and class once. optional classes may be missing: those a newer
// system than this one has.
func (rt *Runtime) Prepare(optional ...string) error {
	newer := map[string]bool{}
	for _, c := range optional {
		newer[c] = true
	}
	rt.classes = map[string]uintptr{}
	for i := range messages {
		d := &messages[i]
		if rt.sels[i] = rt.Sel(d.Selector); rt.sels[i] == 0 {
			return fmt.Errorf("objc: selector %s was not registered", d.Selector)
		}
	}
	for _, c := range Classes {
		id := rt.Class(c)
		if id == 0 && !newer[c] {
			return fmt.Errorf("objc: class %s is missing", c)
		}
		rt.classes[c] = id
	}
	return nil
}

// Classes are the classes the messages are sent to, as opposed to the protocols of [Decl.Owner].
var Classes = []string{
	"NSString", "NSURL", "NSArray", "NSDictionary",
	"MTLCompileOptions", "MTLFunctionConstantValues", "MTLComputePipelineDescriptor",
	"MTLBinaryArchiveDescriptor", "MTLResidencySetDescriptor", "MTLCommandBufferDescriptor",
	"MTLComputePassDescriptor", "MTLCounterSampleBufferDescriptor",
	"MTLCaptureManager", "MTLCaptureDescriptor",
}

// ClassID is a class object by name, 0 where this system has none.
func (rt *Runtime) ClassID(name string) uintptr { return rt.classes[name] }

// SelID is a message's selector.
func (rt *Runtime) SelID(m Message) uintptr { return rt.sels[m] }

// Caller sends messages. The words and the memory they point to are fields of it, because an
// address passed as uintptr must not be of a stack that can move: a Caller must be on the heap,
// which Get makes sure of. One goroutine at a time may use it.
type Caller struct {
	rt   *Runtime
	a    [maxWords]uintptr
	size [2]Dim
	keep any // holds what a word of the present message points to

	Out     [2]uintptr  // where a callee puts an object or words; see OutAddr
	Objects [31]uintptr // scratch for an array of objects
	Numbers [31]uintptr // scratch for an array of NSUInteger
	Bytes   [4096]byte  // scratch for setBytes, which copies during the call
}

const maxWords = 16

// Get returns a Caller for a few messages; Put gives it back.
func (rt *Runtime) Get() *Caller {
	if c, ok := rt.callers.Get().(*Caller); ok {
		return c
	}
	return &Caller{rt: rt}
}

// Put gives a Caller back. The caller must not use it again.
func (rt *Runtime) Put(c *Caller) {
	c.keep = nil
	rt.callers.Put(c)
}

// Runtime is the machine the Caller speaks to.
func (c *Caller) Runtime() *Runtime { return c.rt }

// Send sends a message whose arguments are words: objects, integers, addresses, and NSRange as two.
// It allocates nothing.
func (c *Caller) Send(m Message, self uintptr, args ...uintptr) uintptr {
	c.a[0], c.a[1] = self, c.rt.sels[m]
	n := 2 + copy(c.a[2:], args)
	r, _, _ := c.rt.Call(c.rt.MsgSend, c.a[:n]...)
	return r
}

// SendSizes sends a message whose last arguments are one or two MTLSize by value.
// A struct of 24 bytes is class MEMORY for the System V ABI (amd64): its words go to the stack, and
// the integer registers not yet used stay unused. AAPCS64 (arm64) passes the address of a copy, which
// the callee may overwrite; so the copy is made anew each time.
func (c *Caller) SendSizes(m Message, self uintptr, sizes *[2]Dim, n int, args ...uintptr) {
	c.a[0], c.a[1] = self, c.rt.sels[m]
	w := 2 + copy(c.a[2:], args)
	if passSizesOnStack {
		for ; w < 6; w++ {
			c.a[w] = 0
		}
		for _, s := range sizes[:n] {
			c.a[w], c.a[w+1], c.a[w+2] = uintptr(s.W), uintptr(s.H), uintptr(s.D)
			w += 3
		}
	} else {
		for i := range n {
			c.size[i] = sizes[i]
			c.a[w] = uintptr(unsafe.Pointer(&c.size[i]))
			w++
		}
	}
	c.rt.Call(c.rt.MsgSend, c.a[:w]...)
}

// Bool sends a message that returns BOOL, of which only the low byte counts.
func (c *Caller) Bool(m Message, self uintptr, args ...uintptr) bool {
	return byte(c.Send(m, self, args...)) != 0
}

// Float sends a message without arguments that returns a double.
func (rt *Runtime) FloatOf(m Message, self uintptr) float64 { return rt.Float(self, rt.sels[m]) }

// Push opens an autorelease pool on this OS thread. The goroutine must be locked to it until Pop.
func (c *Caller) Push() uintptr {
	r, _, _ := c.rt.Call(c.rt.PoolPush, c.a[:0]...)
	return r
}

// Pop drains the pool that Push returned.
func (c *Caller) Pop(pool uintptr) {
	c.a[0] = pool
	c.rt.Call(c.rt.PoolPop, c.a[:1]...)
}

// OutAddr is the address of Out[i], zeroed: an NSError ** or MTLTimestamp * argument.
func (c *Caller) OutAddr(i int) uintptr {
	c.Out[i] = 0
	return uintptr(unsafe.Pointer(&c.Out[i]))
}

// ObjectsAddr, NumbersAddr and BytesAddr are the addresses of the scratch arrays.
func (c *Caller) ObjectsAddr() uintptr { return uintptr(unsafe.Pointer(&c.Objects)) }
func (c *Caller) NumbersAddr() uintptr { return uintptr(unsafe.Pointer(&c.Numbers)) }
func (c *Caller) BytesAddr() uintptr   { return uintptr(unsafe.Pointer(&c.Bytes)) }

// New is [[class alloc] init]: a +1 object, or 0 where the class is missing.
func (c *Caller) New(class string) uintptr {
	id := c.rt.classes[class]
	if id == 0 {
		return 0
	}
	return c.Send(NSObjectNew, id)
}

// Release gives up a +1 reference; it ignores 0.
func (c *Caller) Release(id uintptr) {
	if id != 0 {
		c.Send(NSObjectRelease, id)
	}
}

// Responds asks whether an object answers a message: how a feature of a newer system is found.
func (c *Caller) Responds(id uintptr, m Message) bool {
	return c.Bool(NSObjectRespondsToSelector, id, c.rt.sels[m])
}

// String makes a +1 NSString of s.
func (c *Caller) String(s string) uintptr {
	const utf8 = 4 // NSUTF8StringEncoding
	b := []byte(s + "\x00")
	c.keep = b // on the heap, and alive until the message has been answered
	return c.Send(NSStringInitWithBytes, c.Send(NSObjectAlloc, c.rt.classes["NSString"]),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(s)), utf8)
}

// GoString copies an NSString; 0 gives "". The bytes are the string's own, so it must be alive.
func (c *Caller) GoString(id uintptr) string {
	if id == 0 {
		return ""
	}
	return ReadCString(c.Send(NSStringUTF8String, id))
}

// URL makes an autoreleased NSURL of a file's path.
func (c *Caller) URL(path string) uintptr {
	s := c.String(path)
	defer c.Release(s)
	return c.Send(NSURLFileURLWithPath, c.rt.classes["NSURL"], s)
}

// ReadCString copies a C string; address 0 gives "".
func ReadCString(p uintptr) string {
	if p == 0 {
		return ""
	}
	b := (*byte)(At(p))
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(b), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(b, n))
}

// At is the pointer with address p, which must be memory the Go heap does not manage or that
// something else keeps alive.
func At(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }
