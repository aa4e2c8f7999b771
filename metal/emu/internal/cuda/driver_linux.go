package cuda

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// driver is the part of libcuda (CUDA driver API) used here.
type driver struct {
	context uintptr

	setCurrent, memAlloc, memFree, toGPU, toHost, loadData, getFunction, launchKernel, synchronize, errorString uintptr
}

// libcuda finds a function of the driver's library.
func libcuda(name string) (uintptr, error) {
	lib, err := purego.Dlopen("libcuda.so.1", purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return 0, fmt.Errorf("no NVIDIA driver: %w", err)
	}
	return purego.Dlsym(lib, name)
}

// open takes the first GPU. lookup finds the driver's functions.
func open(lookup func(name string) (uintptr, error)) (d *driver, err error) {
	d = &driver{}
	var initialize, getDevice, retain uintptr
	for name, p := range map[string]*uintptr{
		"cuInit": &initialize, "cuDeviceGet": &getDevice, "cuDevicePrimaryCtxRetain": &retain, "cuCtxSetCurrent": &d.setCurrent,
		"cuMemAlloc_v2": &d.memAlloc, "cuMemFree_v2": &d.memFree, "cuMemcpyHtoD_v2": &d.toGPU, "cuMemcpyDtoH_v2": &d.toHost,
		"cuModuleLoadDataEx": &d.loadData, "cuModuleGetFunction": &d.getFunction, "cuLaunchKernel": &d.launchKernel, "cuCtxSynchronize": &d.synchronize, "cuGetErrorString": &d.errorString,
	} {
		if *p, err = lookup(name); err != nil {
			return nil, err
		}
	}
	if err := d.call("cuInit", initialize, 0); err != nil {
		return nil, err
	}
	// What C writes to is on the heap: a goroutine's stack may move.
	device, ctx := new(int32), new(uintptr)
	if err := d.call("cuDeviceGet", getDevice, uintptr(unsafe.Pointer(device)), 0); err != nil {
		return nil, err
	}
	if err := d.call("cuDevicePrimaryCtxRetain", retain, uintptr(unsafe.Pointer(ctx)), uintptr(*device)); err != nil {
		return nil, err
	}
	d.context = *ctx
	return d, nil
}

// call calls a function of the driver and turns its result into an error.
//
//go:uintptrescapes
func (d *driver) call(name string, fn uintptr, args ...uintptr) error {
	r, _, _ := purego.SyscallN(fn, args...)
	code := int32(r)
	if code == 0 {
		return nil
	}
	text := new(*byte)
	if d.errorString != 0 {
		purego.SyscallN(d.errorString, uintptr(code), uintptr(unsafe.Pointer(text)))
	}
	if *text == nil {
		return fmt.Errorf("%s: error %d", name, code)
	}
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(*text), n)) != 0 {
		n++
	}
	return fmt.Errorf("%s: %s (%d)", name, unsafe.String(*text, n), code)
}

// enter makes the GPU's context this thread's until release is called.
func (d *driver) enter() (release func(), err error) {
	runtime.LockOSThread()
	if err := d.call("cuCtxSetCurrent", d.setCurrent, d.context); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	return runtime.UnlockOSThread, nil
}

func (d *driver) alloc(n uint64) (uint64, error) {
	p := new(uint64)
	err := d.call("cuMemAlloc", d.memAlloc, uintptr(unsafe.Pointer(p)), uintptr(n))
	return *p, err
}

func (d *driver) free(p uint64) { _ = d.call("cuMemFree", d.memFree, uintptr(p)) }

func (d *driver) upload(gpu uint64, b []byte) error {
	return d.call("cuMemcpyHtoD", d.toGPU, uintptr(gpu), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
}

func (d *driver) download(b []byte, gpu uint64) error {
	return d.call("cuMemcpyDtoH", d.toHost, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(gpu), uintptr(len(b)))
}

// load compiles PTX for the GPU, for at most so many registers a thread (0: no limit), and finds a
// kernel in it.
func (d *driver) load(ptx []byte, symbol string, registers uint32) (uintptr, error) {
	text, name := append(ptx, 0), append([]byte(symbol), 0)
	module, fn := new(uintptr), new(uintptr)
	// An option is a number, its value the word that would be a pointer: CU_JIT_MAX_REGISTERS is 0.
	options, values, n := new(uint32), new(uintptr), uintptr(0)
	if registers > 0 {
		*values, n = uintptr(registers), 1
	}
	if err := d.call("cuModuleLoadDataEx", d.loadData, uintptr(unsafe.Pointer(module)), uintptr(unsafe.Pointer(unsafe.SliceData(text))),
		n, uintptr(unsafe.Pointer(options)), uintptr(unsafe.Pointer(values))); err != nil {
		return 0, err
	}
	err := d.call("cuModuleGetFunction", d.getFunction, uintptr(unsafe.Pointer(fn)), *module, uintptr(unsafe.Pointer(unsafe.SliceData(name))))
	return *fn, err
}

// launch runs a kernel that takes one structure, and waits for it. shared is at most Metal's 32 KiB,
// which a kernel has without being asked.
func (d *driver) launch(fn uintptr, groups, threads [3]uint32, shared uint32, arg unsafe.Pointer) error {
	args := &[1]unsafe.Pointer{arg}
	if err := d.call("cuLaunchKernel", d.launchKernel, fn, uintptr(groups[0]), uintptr(groups[1]), uintptr(groups[2]), uintptr(threads[0]), uintptr(threads[1]), uintptr(threads[2]),
		uintptr(shared), 0, uintptr(unsafe.Pointer(args)), 0); err != nil {
		return err
	}
	return d.call("cuCtxSynchronize", d.synchronize)
}
