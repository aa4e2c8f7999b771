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

	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// object is a loaded shared object of kernels.
type object struct {
	path   string
	lib    uintptr
	run    uintptr
	free   uintptr
	setter uintptr
	mu     sync.Mutex  // held while a kernel with function constants runs
	setFor *msl.Kernel // whose values the function constants have
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

// objects are the shared objects this process has loaded, by path. The system loads a path once,
// whichever executor asks, and so there is one lock for its function constants.
var objects struct {
	sync.Mutex
	byPath map[string]*object
}

// load opens a shared object of kernels, once.
func load(path string) (*object, error) {
	objects.Lock()
	defer objects.Unlock()
	if o := objects.byPath[path]; o != nil {
		return o, nil
	}
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("simt: %w", err)
	}
	o := &object{path: path, lib: lib}
	for name, p := range map[string]*uintptr{"rt_run": &o.run, "rt_free": &o.free, "msl_constant": &o.setter} {
		if *p, err = purego.Dlsym(lib, name); err != nil {
			return nil, fmt.Errorf("simt: %s: %w", path, err)
		}
	}
	if objects.byPath == nil {
		objects.byPath = map[string]*object{}
	}
	objects.byPath[path] = o
	return o, nil
}

func (o *object) entry(symbol string) (uintptr, error) {
	p, err := purego.Dlsym(o.lib, symbol)
	if err != nil {
		return 0, fmt.Errorf("simt: %s: %w", o.path, err)
	}
	return p, nil
}

// set gives a function constant its value in the object's memory, or notes that it has none.
func (o *object) set(s msl.Setting) {
	value, _, _ := purego.SyscallN(o.setter, uintptr(s.Index), 0)
	defined, _, _ := purego.SyscallN(o.setter, uintptr(s.Index), 1)
	if value == 0 || defined == 0 {
		return
	}
	copy(unsafe.Slice((*byte)(pointer(value)), s.Value.Type.Size()), s.Value.Bytes[:])
	*(*bool)(pointer(defined)) = s.Defined
}

// pointer is an address of C's as a pointer; vet cannot know that it is not Go's.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// stopAll asks workers to stop and waits a little; a kernel that neither touches memory nor waits
// cannot be asked.
func stopAll(states []*uintptr, done chan struct{}) bool {
	deadline := time.After(10 * time.Second) // a busy machine may not run them for a while
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
