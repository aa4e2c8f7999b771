package metal

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/gollm/gollm/metal/internal/objc"
)

// Device is a GPU.
type Device struct {
	rt *objc.Runtime
	id uintptr

	mu        sync.Mutex
	completed uintptr                    // the block of every completed handler, made on first use
	waiting   map[uintptr]*CommandBuffer // who it is for, by command buffer
}

// Size is MTLSize: a grid of threads, or of threadgroups, or a threadgroup. No dimension may be 0.
type Size struct{ Width, Height, Depth int }

// Open is the system's default device. Its error wraps ErrUnavailable where there is none.
func Open() (*Device, error) {
	rt, err := objc.System()
	if err != nil {
		return nil, fmt.Errorf("metal: %w: %w", ErrUnavailable, err)
	}
	return OpenRuntime(rt)
}

// OpenRuntime is Open on another machine than the system's. It is for package emu.
func OpenRuntime(rt *objc.Runtime) (*Device, error) {
	id := rt.DefaultDevice()
	if id == 0 {
		return nil, fmt.Errorf("metal: %w: MTLCreateSystemDefaultDevice returned nil", ErrUnavailable)
	}
	return &Device{rt: rt, id: id}, nil
}

// Release gives the device up. Everything made with it must have been released.
func (d *Device) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.completed != 0 {
		objc.FreeBlock(d.completed)
		d.completed = 0
	}
	d.release(&d.id)
}

// release sends release once for an object and forgets it.
func (d *Device) release(id *uintptr) {
	if *id == 0 {
		return
	}
	c := d.enter()
	defer c.leave()
	c.Release(*id)
	*id = 0
}

// A scope is a stretch of messages on one OS thread inside an autorelease pool. Every message is sent
// inside one, because Metal may autorelease objects of its own whatever it is asked.
type scope struct {
	*objc.Caller
	pool uintptr
}

// enter opens a scope; leave must be called by the same goroutine, which is locked to its thread in
// between. That is why no scope outlives a function of this package.
func (d *Device) enter() scope {
	runtime.LockOSThread()
	c := d.rt.Get()
	return scope{c, c.Push()}
}

func (s scope) leave() {
	s.Pop(s.pool)
	s.Runtime().Put(s.Caller)
	runtime.UnlockOSThread()
}

// Do runs f on one OS thread inside an autorelease pool. It is never needed for correctness; around
// the encoding of several command buffers it saves a little.
func (d *Device) Do(f func()) {
	s := d.enter()
	defer s.leave()
	f()
}

// setLabel names an object in captures, errors and the emulator's messages.
func (s scope) setLabel(m objc.Message, id uintptr, label string) {
	if label == "" {
		return
	}
	str := s.String(label)
	defer s.Release(str)
	s.Send(m, id, str)
}

// Name is the device's name: "Apple M1 Max".
func (d *Device) Name() string {
	s := d.enter()
	defer s.leave()
	return s.GoString(s.Send(objc.DeviceName, d.id))
}

// Architecture is the GPU's architecture, "applegpu_g13s", or "" before macOS 14.
func (d *Device) Architecture() string {
	s := d.enter()
	defer s.leave()
	if !s.Responds(d.id, objc.DeviceArchitecture) {
		return ""
	}
	a := s.Send(objc.DeviceArchitecture, d.id)
	if a == 0 {
		return ""
	}
	return s.GoString(s.Send(objc.ArchitectureName, a))
}

// word sends a message without arguments that returns a word.
func (d *Device) word(m objc.Message, id uintptr) uintptr {
	c := d.enter()
	defer c.leave()
	return c.Send(m, id)
}

// RegistryID identifies the GPU for as long as the system runs.
func (d *Device) RegistryID() uint64 { return uint64(d.word(objc.DeviceRegistryID, d.id)) }

// HasUnifiedMemory is true where CPU and GPU share one memory: on every Apple GPU.
func (d *Device) HasUnifiedMemory() bool { return byte(d.word(objc.DeviceHasUnifiedMemory, d.id)) != 0 }

// AllocatedSize is how many bytes of the device's memory this process's resources use now.
func (d *Device) AllocatedSize() uint64 {
	return uint64(d.word(objc.DeviceCurrentAllocatedSize, d.id))
}

// Limits are what a device allows.
type Limits struct {
	RecommendedWorkingSet int64 // bytes of resources the GPU can use without a loss of speed
	MaxBuffer             int64 // bytes of one buffer
	MaxThreadgroupMemory  int   // bytes, static and dynamic together
	MaxThreads            Size  // of a threadgroup, each dimension; a pipeline may allow fewer
}

// Limits asks the device.
func (d *Device) Limits() Limits {
	m := d.rt.SizeOf(d.id, d.rt.SelID(objc.DeviceMaxThreadsPerThreadgroup))
	return Limits{
		RecommendedWorkingSet: int64(d.word(objc.DeviceRecommendedMaxWorkingSetSize, d.id)),
		MaxBuffer:             int64(d.word(objc.DeviceMaxBufferLength, d.id)),
		MaxThreadgroupMemory:  int(d.word(objc.DeviceMaxThreadgroupMemoryLength, d.id)),
		MaxThreads:            Size{int(m.W), int(m.H), int(m.D)},
	}
}

// Family is MTLGPUFamily. A GPU of one Apple family has the features of those before it.
type Family int

const (
	Apple7  Family = objc.MTLGPUFamilyApple7  // M1
	Apple8  Family = objc.MTLGPUFamilyApple8  // M2
	Apple9  Family = objc.MTLGPUFamilyApple9  // M3, M4
	Apple10 Family = objc.MTLGPUFamilyApple10 // M5
	Mac2    Family = objc.MTLGPUFamilyMac2
	Common1 Family = objc.MTLGPUFamilyCommon1
	Common2 Family = objc.MTLGPUFamilyCommon2
	Common3 Family = objc.MTLGPUFamilyCommon3
	Metal3  Family = objc.MTLGPUFamilyMetal3
	Metal4  Family = objc.MTLGPUFamilyMetal4
)

// String is the name of the family's constant.
func (f Family) String() string {
	switch n := int(f) % 1000; f / 1000 {
	case 1:
		return fmt.Sprintf("Apple%d", n)
	case 2:
		return fmt.Sprintf("Mac%d", n)
	case 3:
		return fmt.Sprintf("Common%d", n)
	case 5:
		return fmt.Sprintf("Metal%d", n+2) // Metal3 is 5001
	}
	return fmt.Sprintf("Family(%d)", int(f))
}

// Supports asks whether the GPU is of a family.
func (d *Device) Supports(f Family) bool {
	c := d.enter()
	defer c.leave()
	return c.Bool(objc.DeviceSupportsFamily, d.id, uintptr(f))
}

// Families lists the families of this package that the GPU is of.
func (d *Device) Families() []Family {
	var of []Family
	for _, f := range []Family{Apple7, Apple8, Apple9, Apple10, Mac2, Common1, Common2, Common3, Metal3, Metal4} {
		if d.Supports(f) {
			of = append(of, f)
		}
	}
	return of
}
