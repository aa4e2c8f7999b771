package emu

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/internal/objc"
)

// Mute returns a device that does nothing, to measure what the program itself costs: a message is a
// call of a C function that returns the receiver. Buffers have memory, which stays until the process
// ends; command buffers have ended as soon as they are committed, and nothing has run.
func Mute() (*metal.Device, error) {
	library := "libc.so.6"
	if runtime.GOOS == "darwin" {
		library = "/usr/lib/libSystem.B.dylib"
	}
	c, err := purego.Dlopen(library, purego.RTLD_NOW)
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	labs, err := purego.Dlsym(c, "labs") // returns its argument
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	m := &mute{last: muteDevice, memory: map[uintptr][]uint64{}}
	rt := &objc.Runtime{
		Call: func(fn uintptr, args ...uintptr) (r1, r2, errno uintptr) {
			if len(args) > 1 && args[1] != mutePlain {
				return m.answer(args), 0, 0
			}
			return purego.SyscallN(fn, args...)
		},
		Callback: purego.NewCallback, MsgSend: labs, PoolPush: labs, PoolPop: labs,
		Sel: muteSelector, Class: func(string) uintptr { return muteDevice },
		Float: func(_, _ uintptr) float64 { return 0 }, SizeOf: func(_, _ uintptr) objc.Dim { return objc.Dim{} },
		DefaultDevice: func() uintptr { return muteDevice }, Darwin: 25,
	}
	if err := rt.Prepare(); err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	return metal.OpenRuntime(rt)
}

// muteDevice is what the device's address is, and its answer to all questions: as a number of bytes it
// is large, and as a BOOL it is NO.
const muteDevice = 1 << 40

// Selectors: those of messages that are answered otherwise than by the receiver.
const (
	mutePlain = 1 + iota
	muteMake
	muteBuffer
	muteNoCopy
	muteContents
)

func muteSelector(name string) uintptr {
	switch {
	case name == "newBufferWithLength:options:":
		return muteBuffer
	case strings.HasPrefix(name, "newBufferWithBytesNoCopy:"):
		return muteNoCopy
	case name == "contents":
		return muteContents
	case strings.HasPrefix(name, "new"):
		return muteMake
	}
	return mutePlain
}

type mute struct {
	mu     sync.Mutex
	last   uintptr
	memory map[uintptr][]uint64 // of buffers
}

func (m *mute) answer(args []uintptr) uintptr {
	m.mu.Lock()
	defer m.mu.Unlock()
	if args[1] == muteContents {
		return uintptr(unsafe.Pointer(unsafe.SliceData(m.memory[args[0]])))
	}
	m.last += 256 // a BOOL of NO still
	if args[1] == muteBuffer {
		m.memory[m.last] = make([]uint64, max(1, (args[2]+7)/8))
	}
	return m.last
}
