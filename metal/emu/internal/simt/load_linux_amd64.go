package simt

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/cpu"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// object is a loaded shared object of kernels.
type object struct {
	path    string
	lib     uintptr
	run     uintptr
	free    uintptr
	setter  uintptr
	mu      sync.Mutex // held while a kernel with function constants runs
	entries map[string]uintptr
}

func supported() error {
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		return errors.New("simt: the CPU has no AVX2 and FMA, which compiled kernels use")
	}
	return mathLibrary()
}

// mathLibrary makes libm's functions known to the kernels, which are linked with no library.
var mathLibrary = sync.OnceValue(func() error {
	if _, err := purego.Dlopen("libm.so.6", purego.RTLD_NOW|purego.RTLD_GLOBAL); err != nil {
		return fmt.Errorf("simt: %w", err)
	}
	return nil
})

// call calls a C function of up to two words.
//
//go:uintptrescapes
func call(fn, a uintptr, more ...uintptr) uintptr {
	b := uintptr(0)
	if len(more) > 0 {
		b = more[0]
	}
	r, _, _ := purego.SyscallN(fn, a, b)
	return r
}

// load opens a shared object of kernels, once.
func (e *Executor) load(path string) (*object, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.objects[path]; o != nil {
		return o, nil
	}
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("simt: %w", err)
	}
	o := &object{path: path, lib: lib, entries: map[string]uintptr{}}
	for name, p := range map[string]*uintptr{"rt_run": &o.run, "rt_free": &o.free, "msl_constant": &o.setter} {
		if *p, err = purego.Dlsym(lib, name); err != nil {
			return nil, fmt.Errorf("simt: %s: %w", path, err)
		}
	}
	e.objects[path] = o
	return o, nil
}

func (o *object) entry(symbol string) (uintptr, error) {
	p, err := purego.Dlsym(o.lib, symbol)
	if err != nil {
		return 0, fmt.Errorf("simt: %s: %w", o.path, err)
	}
	return p, nil
}

// set gives function constant i its value in the object's memory.
func (o *object) set(i int, v kernel.ConstantValue) {
	p, _, _ := purego.SyscallN(o.setter, uintptr(i), 0)
	q, _, _ := purego.SyscallN(o.setter, uintptr(i), 1)
	if p == 0 || q == 0 {
		return
	}
	copy(unsafe.Slice((*byte)(pointer(p)), v.Type.Size()), v.Bytes[:])
	*(*byte)(pointer(q)) = 1
}

// pointer is an address of C's as a pointer; vet cannot know that it is not Go's.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// stopAll asks workers to stop and waits a little; a kernel that neither touches memory nor waits
// cannot be asked.
func stopAll(states []*uintptr, done chan struct{}) bool {
	deadline := time.After(2 * time.Second)
	for {
		for _, s := range states {
			if w := atomic.LoadUintptr(s); w != 0 {
				atomic.StoreUint32((*uint32)(unsafe.Add(pointer(w), 8)), 0) // worker_t.quick
			}
		}
		select {
		case <-done:
			return true
		case <-deadline:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}
