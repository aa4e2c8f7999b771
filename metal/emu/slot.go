package emu

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ebitengine/purego"
	"github.com/gollm/gollm/metal/internal/objc"
)

// A slot is the set of C entry points a machine is reached by. A C address made of a Go function is
// never given back, so slots are used again when a machine is closed.
type slot struct {
	machine                               atomic.Pointer[Machine]
	msgSend, msgFloat, msgSize, push, pop uintptr
	float                                 func(self, sel uintptr) float64
	size                                  func(self, sel uintptr) objc.Dim
}

var slots struct {
	sync.Mutex
	free []*slot
}

// lastID makes every object of the process different, so that an old address is never a new object.
var lastID atomic.Uintptr

func nextID() uintptr { return 0x6000_0000_0000 + lastID.Add(1)*16 }

func takeSlot(m *Machine) *slot {
	slots.Lock()
	defer slots.Unlock()
	var s *slot
	if n := len(slots.free); n > 0 {
		s, slots.free = slots.free[n-1], slots.free[:n-1]
	} else {
		s = newSlot()
	}
	s.machine.Store(m)
	return s
}

func (s *slot) giveBack() {
	slots.Lock()
	defer slots.Unlock()
	s.machine.Store(nil)
	slots.free = append(slots.free, s)
}

// boxed is a double as a C struct: it comes back in the same register a double would, and a callback
// may return a struct but not a double.
type boxed struct{ F float64 }

func newSlot() *slot {
	s := &slot{}
	s.msgSend = purego.NewCallback(func(self, sel, a, b, c, d, e, f, g, h, i, j, k, l uintptr) uintptr {
		if m := s.machine.Load(); m != nil {
			r := m.send(self, sel, []uintptr{a, b, c, d, e, f, g, h, i, j, k, l})
			return r.ret
		}
		return 0 // a message after Close
	})
	noArgs := make([]uintptr, 12)
	s.msgFloat = purego.NewCallback(func(self, sel uintptr) boxed {
		if m := s.machine.Load(); m != nil {
			r := m.send(self, sel, noArgs)
			return boxed{r.float}
		}
		return boxed{}
	})
	s.msgSize = purego.NewCallback(func(self, sel uintptr) objc.Dim {
		if m := s.machine.Load(); m != nil {
			r := m.send(self, sel, noArgs)
			return r.size
		}
		return objc.Dim{}
	})
	s.push = purego.NewCallback(func() uintptr {
		if m := s.machine.Load(); m != nil {
			m.mu.Lock()
			defer m.unlock()
			return m.poolPush(threadID())
		}
		return 0
	})
	s.pop = purego.NewCallback(func(id uintptr) uintptr {
		if m := s.machine.Load(); m != nil {
			m.mu.Lock()
			defer m.unlock()
			m.poolPop(threadID(), id)
		}
		return 0
	})
	purego.RegisterFunc(&s.float, s.msgFloat)
	purego.RegisterFunc(&s.size, s.msgSize)
	return s
}

// runtime is the machine as package metal sees it.
func (m *Machine) runtime() (*objc.Runtime, error) {
	s := m.slot
	rt := &objc.Runtime{
		Call: purego.SyscallN, Callback: purego.NewCallback,
		MsgSend: s.msgSend, PoolPush: s.push, PoolPop: s.pop,
		Float: s.float, SizeOf: s.size,
		Sel:          func(name string) uintptr { return selectorIDs[name] },
		Class:        func(name string) uintptr { return m.class(name) },
		BlockISA:     classBase,
		TypeEncoding: m.typeEncoding,

		ProtocolEncoding: m.protocolEncoding,

		DefaultDevice: m.defaultDevice,
		EncoderInfos:  m.encoderInfos.id,
		Darwin:        m.opt.Darwin,
	}
	return rt, rt.Prepare("MTLResidencySetDescriptor")
}

func (m *Machine) class(name string) uintptr {
	if name == "MTLResidencySetDescriptor" && m.opt.Darwin < 24 {
		return 0
	}
	return classIDs[name]
}

// invoke calls a block with words, as C code would.
func invoke(block uintptr, args ...uintptr) {
	fn, _ := objc.BlockInvoke(block)
	purego.SyscallN(fn, append([]uintptr{block}, args...)...)
}

// typeEncoding is what method_getTypeEncoding says: the declaration's encoding, with offsets.
func (m *Machine) typeEncoding(id, sel uintptr) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := call{m: m}
	o, ok := c.object(id)
	if !ok || !m.answers(o, sel) {
		return ""
	}
	msg, _ := lookUp(o, selectorName(sel))
	return withOffsets(msg)
}

// protocolEncoding is what protocol_getMethodDescription says.
func (m *Machine) protocolEncoding(protocol string, sel uintptr) string {
	if protocol == "MTLResidencySet" && m.opt.Darwin < 24 || protocol == "MTLArchitecture" || slices.Contains(objc.Classes, protocol) {
		return "" // of a newer system, or a class
	}
	for i := range objc.Messages {
		if d := objc.Message(i).Decl(); d.Owner == protocol && d.Selector == selectorName(sel) && !d.Class {
			return withOffsets(objc.Message(i))
		}
	}
	return ""
}

// withOffsets is a declaration's encoding with offsets, as a runtime has it.
func withOffsets(msg objc.Message) string {
	var b strings.Builder
	for i, t := range objc.SplitEncoding(msg.Decl().Encoding()) {
		fmt.Fprintf(&b, "%s%d", t, 8*i)
	}
	return b.String()
}
