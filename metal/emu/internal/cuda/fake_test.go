package cuda

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// library is libcuda as far as the executor uses it, written in Go: each function is called by the C
// calling convention, as the real one is. Memory of the GPU is Go's, at addresses no host has.
type library struct {
	t      *testing.T
	calls  []string // names, in order
	memory map[uint64][]byte
	next   uint64
	limit  int            // bytes there are; 0: any number
	fail   map[string]int // functions that fail, with the code
	set    bool

	registers uint64 // the limit of the last module loaded

	run func(p *params, groups, threads [3]uint32, shared uint32)
}

const (
	contextHandle = 0xc0de
	moduleHandle  = 0x40d
	kernelHandle  = 0xf00
	outOfMemory   = 2
)

// current is the library that the callbacks serve: purego's callbacks are never freed, so that the
// tests share them.
var current *library

var callbacks = sync.OnceValue(func() map[string]uintptr {
	at := func(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) } // vet cannot know that C may have it
	word := func(p uintptr) *uint64 { return (*uint64)(at(p)) }
	bytesAt := func(p, n uintptr) []byte { return unsafe.Slice((*byte)(at(p)), n) }
	text := func(p uintptr) string {
		n := uintptr(0)
		for bytesAt(p, n+1)[n] != 0 {
			n++
		}
		return string(bytesAt(p, n))
	}
	unknown := append([]byte("no such luck"), 0)
	return map[string]uintptr{
		"cuInit": purego.NewCallback(func(flags uintptr) uintptr { return current.called("cuInit", flags == 0) }),
		"cuDeviceGet": purego.NewCallback(func(device, ordinal uintptr) uintptr {
			*(*int32)(at(device)) = 7
			return current.called("cuDeviceGet", ordinal == 0)
		}),
		"cuDevicePrimaryCtxRetain": purego.NewCallback(func(ctx, device uintptr) uintptr {
			*word(ctx) = contextHandle
			return current.called("cuDevicePrimaryCtxRetain", device == 7)
		}),
		"cuCtxSetCurrent": purego.NewCallback(func(ctx uintptr) uintptr {
			current.set = true
			return current.called("cuCtxSetCurrent", ctx == contextHandle)
		}),
		"cuMemAlloc_v2": purego.NewCallback(func(p, n uintptr) uintptr {
			l := current
			have := 0
			for _, m := range l.memory {
				have += len(m)
			}
			if l.fail["cuMemAlloc"] != 0 {
				return l.called("cuMemAlloc", true)
			}
			if l.limit > 0 && have+int(n) > l.limit {
				l.called("cuMemAlloc", true)
				return outOfMemory
			}
			l.next += uint64(n) + 1<<20
			l.memory[l.next] = make([]byte, n)
			*word(p) = l.next
			return l.called("cuMemAlloc", n > 0)
		}),
		"cuMemFree_v2": purego.NewCallback(func(p uintptr) uintptr {
			_, ok := current.memory[uint64(p)]
			delete(current.memory, uint64(p))
			return current.called("cuMemFree", ok)
		}),
		"cuMemcpyHtoD_v2": purego.NewCallback(func(gpu, host, n uintptr) uintptr {
			m := current.at(uint64(gpu), int(n))
			copy(m, bytesAt(host, n))
			return current.called("cuMemcpyHtoD", m != nil)
		}),
		"cuMemcpyDtoH_v2": purego.NewCallback(func(host, gpu, n uintptr) uintptr {
			m := current.at(uint64(gpu), int(n))
			copy(bytesAt(host, n), m)
			return current.called("cuMemcpyDtoH", m != nil)
		}),
		"cuModuleLoadDataEx": purego.NewCallback(func(module, image, n, options, values uintptr) uintptr {
			*word(module) = moduleHandle
			if n == 1 && *(*uint32)(at(options)) == 0 {
				current.registers = *word(values)
			}
			return current.called("cuModuleLoadDataEx", n <= 1 && strings.Contains(text(image), ".visible .entry msl_entry_"))
		}),
		"cuModuleGetFunction": purego.NewCallback(func(fn, module, name uintptr) uintptr {
			*word(fn) = kernelHandle
			return current.called("cuModuleGetFunction", module == moduleHandle && strings.HasPrefix(text(name), "msl_entry_"))
		}),
		"cuLaunchKernel": purego.NewCallback(func(fn, gx, gy, gz, tx, ty, tz, shared, stream, args, extra uintptr) uintptr {
			l := current
			ok := fn == kernelHandle && stream == 0 && extra == 0 && args != 0
			if ok && l.fail["cuLaunchKernel"] == 0 {
				p := (*params)(at(uintptr(*word(args)))) // args is an array of pointers to the arguments
				l.run(p, [3]uint32{uint32(gx), uint32(gy), uint32(gz)}, [3]uint32{uint32(tx), uint32(ty), uint32(tz)}, uint32(shared))
			}
			return l.called("cuLaunchKernel", ok)
		}),
		"cuCtxSynchronize": purego.NewCallback(func() uintptr { return current.called("cuCtxSynchronize", true) }),
		"cuGetErrorString": purego.NewCallback(func(code, s uintptr) uintptr {
			*word(s) = uint64(uintptr(unsafe.Pointer(&unknown[0])))
			return 0
		}),
	}
})

// called notes a call and gives its result.
func (l *library) called(name string, ok bool) uintptr {
	l.calls = append(l.calls, name)
	if !ok {
		l.t.Errorf("%s was called with wrong arguments, after %v", name, l.calls)
	}
	if !l.set && name != "cuInit" && name != "cuDeviceGet" && name != "cuDevicePrimaryCtxRetain" {
		l.t.Errorf("%s: no context is current", name)
	}
	return uintptr(l.fail[name])
}

// at is the GPU's memory at an address, nil if not all of it was allocated.
func (l *library) at(gpu uint64, n int) []byte {
	for base, m := range l.memory {
		if gpu >= base && gpu+uint64(n) <= base+uint64(len(m)) {
			return m[gpu-base:][:n]
		}
	}
	return nil
}

func (l *library) count(name string) (n int) {
	for _, c := range l.calls {
		if c == name {
			n++
		}
	}
	return n
}

// fakeGPU opens an executor on a library of its own.
func fakeGPU(t *testing.T) (*Executor, *library) {
	t.Helper()
	l := &library{t: t, memory: map[uint64][]byte{}, next: 0x7000_0000_0000, fail: map[string]int{}}
	current = l
	e, err := newExecutor(func(name string) (uintptr, error) {
		if p := callbacks()[name]; p != 0 {
			return p, nil
		}
		return 0, fmt.Errorf("no function %s", name)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if len(l.memory) > 0 {
			t.Errorf("%d pieces of memory were not freed", len(l.memory))
		}
	})
	return e, l
}

// add compiles the kernel that the library runs in Go: out[i] = a[i] + b[i] * c.
func add(t *testing.T, l *library) kernel.Kernel {
	t.Helper()
	c, err := msl.NewCompiler(msl.Config{Target: Target()})
	if err != nil {
		t.Fatal(err)
	}
	lib, err := c.Compile(context.Background(), `#include <metal_stdlib>
kernel void add(device const float * a [[buffer(3)]], device const float * b [[buffer(1)]], device float * out [[buffer(30)]], constant float & c [[buffer(0)]],
    threadgroup float * s [[threadgroup(2)]], threadgroup float * u [[threadgroup(1)]], uint i [[thread_position_in_grid]]) {
  threadgroup float own[5];
  own[0] = s[0] = u[0] = 0;
  out[i] = a[i] + b[i] * c;
}`, kernel.Options{LanguageVersion: 0x30001, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := lib.Function("add")
	if err != nil {
		t.Fatal(err)
	}
	k, err := f.Specialize(nil)
	if err != nil {
		t.Fatal(err)
	}
	l.run = func(p *params, groups, threads [3]uint32, shared uint32) {
		n := int(p.grid[0] * p.grid[1] * p.grid[2])
		get := func(buffer, i int) float32 {
			return math.Float32frombits(binary.LittleEndian.Uint32(l.at(p.buffer[buffer]+4*uint64(i), 4)))
		}
		for i := range n {
			binary.LittleEndian.PutUint32(l.at(p.buffer[30]+4*uint64(i), 4), math.Float32bits(get(3, i)+get(1, i)*get(0, 0)))
		}
	}
	return k
}

func floats(v ...float32) []byte {
	b, _ := binary.Append(nil, binary.LittleEndian, v)
	return b
}

func values(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	binary.Decode(b, binary.LittleEndian, v)
	return v
}

// dispatchAdd binds buffers to add's arguments; generations and names are the bindings' own.
func dispatchAdd(k kernel.Kernel, n int, a, b, out, c kernel.Binding) *kernel.Dispatch {
	d := &kernel.Dispatch{Kernel: k, Threadgroups: [3]int{(n + 3) / 4, 1, 1}, ThreadsPerThreadgroup: [3]int{4, 1, 1}, Threads: [3]int{n, 1, 1}}
	for i, x := range map[int]kernel.Binding{3: a, 1: b, 30: out, 0: c} {
		x.Set = true
		d.Buffers[i] = x
	}
	d.ThreadgroupMemory[1], d.ThreadgroupMemory[2] = 100, 16
	return d
}

// named is a buffer of the program.
func named(id, generation uint64, memory []byte, offset int) kernel.Binding {
	return kernel.Binding{Buffer: id, Generation: generation, Whole: memory, Memory: memory[offset:]}
}

func TestLaunch(t *testing.T) {
	e, l := fakeGPU(t)
	k := add(t, l)
	var p params
	var groups, threads [3]uint32
	var shared uint32
	compute := l.run
	l.run = func(q *params, g, n [3]uint32, s uint32) {
		p, groups, threads, shared = *q, g, n, s
		compute(q, g, n, s)
	}
	out := make([]byte, 20)
	d := dispatchAdd(k, 5, kernel.Binding{Memory: floats(1, 2, 3, 4, 5)}, kernel.Binding{Memory: floats(10, 20, 30, 40, 50)}, kernel.Binding{Memory: out}, kernel.Binding{Memory: floats(2)})
	if err := e.Run(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	if got := values(out); !slices.Equal(got, []float32{21, 42, 63, 84, 105}) {
		t.Errorf("out %v", got)
	}
	want := []string{"cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuModuleLoadDataEx", "cuModuleGetFunction",
		"cuMemAlloc", "cuMemcpyHtoD", "cuMemAlloc", "cuMemcpyHtoD", "cuMemAlloc", "cuMemcpyHtoD", "cuMemAlloc", "cuMemcpyHtoD", "cuLaunchKernel", "cuCtxSynchronize", "cuMemcpyDtoH"}
	if !slices.Equal(l.calls, want) {
		t.Errorf("calls\n%v, want\n%v", l.calls, want)
	}
	if groups != [3]uint32{2, 1, 1} || threads != [3]uint32{4, 1, 1} || p.grid != [3]uint32{5, 1, 1} {
		t.Errorf("%v groups of %v threads for a grid of %v", groups, threads, p.grid)
	}
	// 20 bytes declared, rounded to 32; then the arguments in their order, s of 16 and u of 100.
	if shared != 32+16+112 || p.threadgroup[2] != 32 || p.threadgroup[1] != 48 {
		t.Errorf("%d bytes shared, s at %d, u at %d", shared, p.threadgroup[2], p.threadgroup[1])
	}
	if n := unsafe.Sizeof(p); n != 31*8+31*4+3*4 { // as msl_cuda.h has it
		t.Errorf("params take %d bytes", n)
	}
	l.calls = nil
	if err := e.Run(context.Background(), d); err != nil || l.count("cuModuleLoadDataEx") != 0 || l.count("cuMemAlloc") != 0 {
		t.Errorf("again: %v, calls %v", err, l.calls)
	}
}

// TestRegisters: threadgroups of more threads are compiled for fewer registers a thread.
func TestRegisters(t *testing.T) {
	e, l := fakeGPU(t)
	k := add(t, l)
	for _, c := range []struct {
		threads int
		want    uint64
	}{{32, 0}, {256, 0}, {257, 128}, {512, 128}, {1024, 64}} {
		d := dispatchAdd(k, 1, kernel.Binding{Memory: floats(1)}, kernel.Binding{Memory: floats(1)}, kernel.Binding{Memory: floats(1)}, kernel.Binding{Memory: floats(1)})
		d.Threads, d.Threadgroups, d.ThreadsPerThreadgroup = [3]int{}, [3]int{1, 1, 1}, [3]int{c.threads, 1, 1}
		l.run = func(*params, [3]uint32, [3]uint32, uint32) {}
		if err := e.Run(context.Background(), d); err != nil || l.registers != c.want {
			t.Errorf("%d threads: %v, %d registers, want %d", c.threads, err, l.registers, c.want)
		}
	}
	if n := l.count("cuModuleLoadDataEx"); n != 3 {
		t.Errorf("%d modules were loaded, want 3", n)
	}
}

// TestBuffersStay: a buffer is sent once for a generation, and what kernels write is seen by kernels
// at once and by the program after Flush.
func TestBuffersStay(t *testing.T) {
	e, l := fakeGPU(t)
	k := add(t, l)
	weights, x, c := floats(1, 2, 3, 4), floats(0, 0, 1, 1, 1, 1), floats(1)
	run := func(generation uint64) {
		t.Helper()
		d := dispatchAdd(k, 4, named(1, 1, weights, 0), named(2, generation, x, 8), named(2, generation, x, 8), named(3, 1, c, 0))
		if err := e.Run(context.Background(), d); err != nil {
			t.Fatal(err)
		}
	}
	run(5)
	run(5)
	if n := l.count("cuMemcpyHtoD"); n > 4 || l.count("cuMemcpyDtoH") != 0 {
		t.Errorf("two dispatches sent %d times, calls %v", n, l.calls)
	}
	binary.LittleEndian.PutUint32(x, math.Float32bits(77)) // the program's own part of the buffer
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := values(x); !slices.Equal(got, []float32{77, 0, 3, 5, 7, 9}) {
		t.Errorf("after two additions %v", got)
	}
	l.calls = nil
	run(6) // the program may have written x
	if n := l.count("cuMemcpyHtoD"); n != 1 {
		t.Errorf("sent %d times, want x alone: %v", n, l.calls)
	}
	if err := e.Flush(2); err != nil {
		t.Fatal(err)
	}
	if got := values(x); !slices.Equal(got, []float32{77, 0, 4, 7, 10, 13}) {
		t.Errorf("after three additions %v", got)
	}
	before := len(l.memory)
	for _, id := range []uint64{1, 2, 3, 4} {
		e.Forget(id)
	}
	if len(e.copies) != 0 || len(l.memory) != before {
		t.Errorf("%d copies, %d pieces of memory, were %d: forgotten memory is pooled", len(e.copies), len(l.memory), before)
	}
}

// TestPrivateBuffers come back only when they are asked for.
func TestPrivateBuffers(t *testing.T) {
	e, l := fakeGPU(t)
	k := add(t, l)
	out := make([]byte, 16)
	private := named(9, 1, out, 0)
	private.Private = true
	if err := e.Run(context.Background(), dispatchAdd(k, 4, kernel.Binding{Memory: floats(1, 2, 3, 4)}, kernel.Binding{Memory: floats(1, 1, 1, 1)}, private, kernel.Binding{Memory: floats(1)})); err != nil {
		t.Fatal(err)
	}
	if err := e.Flush(); err != nil || values(out)[0] != 0 {
		t.Errorf("%v: a private buffer came back: %v", err, values(out))
	}
	if err := e.Flush(9); err != nil || !slices.Equal(values(out), []float32{2, 3, 4, 5}) {
		t.Errorf("%v: %v", err, values(out))
	}
}

// TestMemoryIsFull: copies that were not used for longest go, with what kernels wrote to them.
func TestMemoryIsFull(t *testing.T) {
	e, l := fakeGPU(t)
	k := add(t, l)
	l.limit = 4 * 4096
	one, two, outs := floats(1, 2), floats(1, 1), [3][]byte{make([]byte, 8), make([]byte, 8), make([]byte, 8)}
	for i := range uint64(6) {
		if err := e.Run(context.Background(), dispatchAdd(k, 2, named(1, 1, one, 0), named(2, 1, two, 0), named(10+i%3, 1, outs[i%3], 0), kernel.Binding{Memory: floats(1)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, o := range outs {
		if !slices.Equal(values(o), []float32{2, 3}) {
			t.Errorf("out %d: %v", i, values(o))
		}
	}
	l.limit = 2 * 4096
	e.Forget(1)
	e.emptyPool()
	big := make([]byte, 1<<20)
	if err := e.Run(context.Background(), dispatchAdd(k, 2, named(1, 1, big, 0), named(2, 1, two, 0), named(10, 1, outs[0], 0), kernel.Binding{Memory: floats(1)})); err == nil || !strings.Contains(err.Error(), "1048576 bytes: cuMemAlloc: no such luck (2)") {
		t.Errorf("a buffer that does not fit: %v", err)
	}
}

// TestDriverErrors: whichever function fails, the error names it and the kernel, and nothing is lost.
func TestDriverErrors(t *testing.T) {
	for _, name := range []string{"cuCtxSetCurrent", "cuMemAlloc", "cuMemcpyHtoD", "cuModuleLoadDataEx", "cuModuleGetFunction", "cuLaunchKernel", "cuCtxSynchronize", "cuMemcpyDtoH"} {
		t.Run(name, func(t *testing.T) {
			e, l := fakeGPU(t)
			k := add(t, l)
			l.fail[name] = 719
			out := make([]byte, 8)
			d := dispatchAdd(k, 2, named(1, 1, floats(1, 2), 0), kernel.Binding{Memory: floats(1, 2)}, kernel.Binding{Memory: out}, kernel.Binding{Memory: floats(1)})
			err := e.Run(context.Background(), d)
			if err == nil || !strings.Contains(err.Error(), name+": no such luck (719)") || name != "cuCtxSetCurrent" && !strings.Contains(err.Error(), `kernel "add"`) {
				t.Errorf("error %v", err)
			}
			delete(l.fail, name)
			if err := e.Run(context.Background(), d); err != nil || !slices.Equal(values(out), []float32{2, 4}) {
				t.Errorf("and then: %v, %v", err, values(out))
			}
		})
	}
	for _, name := range []string{"cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain"} {
		current = &library{t: t, memory: map[uint64][]byte{}, fail: map[string]int{name: 100}}
		if _, err := newExecutor(func(n string) (uintptr, error) { return callbacks()[n], nil }); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s fails: %v", name, err)
		}
	}
	if _, err := newExecutor(func(n string) (uintptr, error) { return 0, fmt.Errorf("no %s", n) }); err == nil {
		t.Error("a library without functions was opened")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e, l := fakeGPU(t)
	if err := e.Run(ctx, dispatchAdd(add(t, l), 1, kernel.Binding{}, kernel.Binding{}, kernel.Binding{}, kernel.Binding{})); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}
