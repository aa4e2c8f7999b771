package emu

import (
	"runtime"
	"slices"
	"unsafe"

	"github.com/gollm/gollm/metal/internal/objc"
)

// call is a message being handled.
type call struct {
	m      *Machine
	thread int
	msg    objc.Message
	decl   *objc.Decl
	self   *object
	args   [8]arg
	ret    uintptr
	float  float64  // result of a message that returns a double
	size   objc.Dim // result of a message that returns MTLSize
}

// arg is a decoded argument.
type arg struct {
	word uintptr
	obj  *object
	size objc.Dim
	loc  uint64 // NSRange
	len  uint64
}

// words hands out the words of a message in the order the C calling convention placed them:
// six (amd64) or eight (arm64) integer registers of which self and _cmd took two, then the stack.
type words struct {
	regs  []uintptr
	stack []uintptr
}

func split(all []uintptr) words {
	n := 8
	if runtime.GOARCH == "amd64" {
		n = 6
	}
	return words{all[:n-2], all[n-2:]}
}

func (w *words) next() (v uintptr) {
	if len(w.regs) > 0 {
		v, w.regs = w.regs[0], w.regs[1:]
	} else if len(w.stack) > 0 {
		v, w.stack = w.stack[0], w.stack[1:]
	}
	return v
}

// dim decodes an MTLSize by value: on amd64 three words of the stack, on arm64 the address of a copy
// that is the callee's. The copy is spoilt after reading, because a real callee may do so.
func (w *words) dim() objc.Dim {
	if runtime.GOARCH == "amd64" {
		d := objc.Dim{W: uint64(w.stack[0]), H: uint64(w.stack[1]), D: uint64(w.stack[2])}
		w.stack = w.stack[3:]
		return d
	}
	p := (*objc.Dim)(objc.At(w.next()))
	d := *p
	*p = objc.Dim{W: 0xdead, H: 0xdead, D: 0xdead}
	return d
}

// send handles a message: words are those after self and _cmd. It is entered on the sender's thread.
func (m *Machine) send(self, sel uintptr, all []uintptr) call {
	c := call{m: m, thread: threadID()}
	m.mu.Lock()
	if c.receive(self, sel) && c.decode(all) {
		m.messages++
		c.ret = handlers[c.msg](&c)
		m.trace(&c)
	}
	m.unlock()
	return c
}

// unlock releases m.mu and then calls what had to wait for that: blocks of the program's.
func (m *Machine) unlock() {
	after := m.after
	m.after = nil
	m.mu.Unlock()
	for _, f := range after {
		f()
	}
}

// receive finds the receiver and the message.
func (c *call) receive(self, sel uintptr) bool {
	name := selectorName(sel)
	if self == 0 {
		c.broke(NilMessage, "%q sent to nil", name)
		return false
	}
	o, ok := c.object(self)
	if !ok {
		if _, known := c.m.graves[self]; !known {
			c.broke(UnknownObject, "%q sent to %#x, which is no object", name, self)
		} else {
			c.broke(c.afterRelease(name), "%q sent to %s", name, c.m.graveName(self))
		}
		return false
	}
	c.self = o
	if o.refs <= 0 && !o.fixed {
		c.broke(c.afterRelease(name), "%q sent to %s, which the program has given up", name, o)
		return false
	}
	msg, ok := lookUp(o, name)
	if !ok || since[msg] > c.m.opt.Darwin {
		c.broke(UnknownSelector, "%s does not answer %q", o, name)
		return false
	}
	c.msg, c.decl = msg, msg.Decl()
	return true
}

func (c *call) afterRelease(name string) Rule {
	if name == "release" {
		return OverRelease
	}
	return UseAfterRelease
}

// object finds an object or class object by its address.
func (c *call) object(id uintptr) (*object, bool) {
	if o := classObjects[id]; o != nil {
		return o, true
	}
	o, ok := c.m.objects[id]
	return o, ok
}

func (m *Machine) graveName(id uintptr) string {
	g := m.graves[id]
	return (&object{class: g.class, label: g.label}).String() + ", which is gone"
}

// lookUp finds the message an object answers a selector with.
func lookUp(o *object, name string) (objc.Message, bool) {
	for _, m := range bySelector[name] {
		d := m.Decl()
		// A root class's instance methods are its class objects' methods too.
		if conforms(o.class, d.Owner) && (d.Class == o.isCls || o.isCls && d.Owner == "NSObject") {
			return m, true
		}
	}
	return 0, false
}

// decode reads the arguments as declared and checks what the declaration alone can tell.
func (c *call) decode(all []uintptr) bool {
	w := split(all)
	for i, t := range c.decl.Args {
		a := &c.args[i]
		switch t.Kind {
		case objc.Size:
			a.size = w.dim()
		case objc.Range:
			a.loc, a.len = uint64(w.next()), uint64(w.next())
		case objc.Object:
			a.word = w.next()
			var ok bool
			if a.obj, ok = c.argument(a.word, t.Name); !ok {
				return false
			}
		default:
			a.word = w.next()
			if known := enumValues[t.Name]; known != nil && !known(uint64(a.word)) {
				c.broke(UnknownEnumValue, "argument %d: %s has no value %d", i+1, t.Name, a.word)
				return false
			}
		}
	}
	return true
}

// argument checks an object passed as an argument; nil is the handler's to judge.
func (c *call) argument(id uintptr, class string) (*object, bool) {
	if id == 0 {
		return nil, true
	}
	o, ok := c.object(id)
	if !ok {
		if _, known := c.m.graves[id]; known {
			c.broke(UseAfterRelease, "argument %s", c.m.graveName(id))
		} else {
			c.broke(UnknownObject, "argument %#x is no object", id)
		}
		return nil, false
	}
	if o.refs <= 0 && !o.fixed && !o.isCls {
		c.broke(UseAfterRelease, "argument %s, which the program has given up", o)
		return nil, false
	}
	if !conforms(o.class, class) || o.isCls && class != "id" {
		c.broke(WrongType, "argument is %s, want a %s", o, class)
		return nil, false
	}
	return o, true
}

// need checks that arguments which must not be nil are not.
func (c *call) need(indices ...int) bool {
	for _, i := range indices {
		if c.args[i].word == 0 {
			c.broke(NilArgument, "argument %d is nil", i+1)
			return false
		}
	}
	return true
}

// objects reads a C array of objects.
func (c *call) objects(p uintptr, n int, class string) ([]*object, bool) {
	if p == 0 && n > 0 {
		c.broke(NilArgument, "array of %d objects is nil", n)
		return nil, false
	}
	list := make([]*object, n)
	for i, id := range unsafe.Slice((*uintptr)(objc.At(p)), n) {
		var ok bool
		if list[i], ok = c.argument(id, class); !ok {
			return nil, false
		}
	}
	return list, true
}

// bytesAt is the memory an argument points to.
func bytesAt(p uintptr, n int) []byte { return unsafe.Slice((*byte)(objc.At(p)), n) }

// put stores a word where an out argument points, if it points anywhere.
func put(p, v uintptr) {
	if p != 0 {
		*(*uintptr)(objc.At(p)) = v
	}
}

// fail stores an NSError in out argument i and returns nil.
func (c *call) fail(i int, e *nsError) uintptr {
	put(c.args[i].word, c.autorelease(c.m.add("NSError", e)).id)
	return 0
}

// Selectors and classes are the process's, as in libobjc: the same for every machine.
var (
	selectors, selectorIDs, bySelector = makeSelectors()
	classIDs, classObjects             = makeClasses()
)

const (
	selectorBase = 0x5e1_0000
	classBase    = 0xc1a_0000
)

func makeSelectors() (names []string, ids map[string]uintptr, messages map[string][]objc.Message) {
	ids, messages = map[string]uintptr{}, map[string][]objc.Message{}
	for i := range objc.Messages {
		m := objc.Message(i)
		s := m.Decl().Selector
		messages[s] = append(messages[s], m)
		if ids[s] == 0 {
			names = append(names, s)
			ids[s] = selectorBase + uintptr(len(names))
		}
	}
	return names, ids, messages
}

func makeClasses() (ids map[string]uintptr, objects map[uintptr]*object) {
	ids, objects = map[string]uintptr{}, map[uintptr]*object{}
	for i, name := range objc.Classes {
		id := uintptr(classBase + 16*(i+1))
		ids[name] = id
		objects[id] = &object{id: id, class: name, isCls: true, fixed: true}
	}
	return ids, objects
}

func selectorName(sel uintptr) string {
	if i := int(sel) - selectorBase - 1; i >= 0 && i < len(selectors) {
		return selectors[i]
	}
	return "?"
}

// answers tells whether an object answers a selector on this system.
func (m *Machine) answers(o *object, sel uintptr) bool {
	msg, ok := lookUp(o, selectorName(sel))
	return ok && since[msg] <= m.opt.Darwin
}

// handlers handle the messages. A handler returns the message's word; it may set c.float or c.size.
var handlers = makeHandlers()

func makeHandlers() (all [objc.Messages]func(*call) uintptr) {
	for _, table := range []map[objc.Message]func(*call) uintptr{
		foundationHandlers, deviceHandlers, bufferHandlers, libraryHandlers, residencyHandlers,
		queueHandlers, encoderHandlers, profileHandlers,
	} {
		for m, h := range table {
			all[m] = h
		}
	}
	return all
}

// unhandled lists the messages without a handler; a test wants it empty.
func unhandled() (list []objc.Message) {
	for i, h := range handlers {
		if h == nil {
			list = append(list, objc.Message(i))
		}
	}
	return slices.Clip(list)
}

// setProperty is the handler of every plain setter: it keeps the value, and holds an object.
func setProperty(c *call) uintptr {
	v := value{c.args[0].word, c.args[0].obj}
	c.m.hold(v.obj)
	if c.self.props == nil {
		c.self.props = map[objc.Message]value{}
	}
	c.m.drop(c.self.props[c.msg].obj)
	c.self.props[c.msg] = v
	return 0
}

// setLabel is the handler of every setLabel:.
func setLabel(c *call) uintptr {
	if !c.need(0) {
		return 0
	}
	c.self.label = c.args[0].obj.data.(*nsString).s
	return 0
}
