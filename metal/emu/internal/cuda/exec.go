package cuda

import (
	"context"
	"fmt"
	"os"
	"sort"
	"sync"
	"unsafe"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// Executor runs kernels compiled for Target on the first NVIDIA GPU. It is safe for concurrent use;
// dispatches run one after another.
//
// Each dispatch copies what is bound to the GPU and what may have been written back: the memory of
// an emulated Mac is shared, and a GPU behind a bus has none of it.
type Executor struct {
	mu      sync.Mutex
	d       *driver
	modules map[string]uintptr // functions by path and symbol
	pool    map[uint64][]uint64
}

var _ kernel.Executor = (*Executor)(nil)

// New opens the GPU. It is an error if there is no driver or no GPU.
func New() (*Executor, error) {
	d, err := open()
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	return &Executor{d: d, modules: map[string]uintptr{}, pool: map[uint64][]uint64{}}, nil
}

// params is msl_params of msl_cuda.h.
type params struct {
	buffer      [kernel.MaxBuffers]uint64
	threadgroup [kernel.MaxBuffers]uint32
	grid        [3]uint32
	_           uint32
}

// extent is host memory that one or more bindings share, and its copy on the GPU.
type extent struct {
	lo, hi uint64
	host   []byte
	gpu    uint64
	size   uint64
	write  bool
}

// extents joins bindings that overlap: they are of one buffer, and the kernel must see them as one.
func extents(k kernel.Kernel, d *kernel.Dispatch) []*extent {
	var es []*extent
	for _, a := range k.Args() {
		b := d.Buffers[a.Index].Memory
		if a.Kind == kernel.ArgThreadgroup || len(b) == 0 {
			continue
		}
		lo := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
		es = append(es, &extent{lo: lo, hi: lo + uint64(len(b)), host: b, write: a.Access&kernel.Write != 0})
	}
	sort.Slice(es, func(i, j int) bool { return es[i].lo < es[j].lo })
	var out []*extent
	for _, e := range es {
		if n := len(out); n > 0 && e.lo < out[n-1].hi {
			last := out[n-1]
			if e.hi > last.hi {
				last.host = unsafe.Slice(unsafe.SliceData(last.host), e.hi-last.lo)
				last.hi = e.hi
			}
			last.write = last.write || e.write
			continue
		}
		out = append(out, e)
	}
	return out
}

// Run runs one dispatch. A kernel that was launched cannot be stopped: ctx is looked at before.
func (e *Executor) Run(ctx context.Context, d *kernel.Dispatch) (err error) {
	k, ok := d.Kernel.(*msl.Kernel)
	if !ok {
		return fmt.Errorf("cuda: kernel %q was not compiled for this executor", d.Kernel.Name())
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := k.Object(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	release, err := e.d.enter()
	if err != nil {
		return err
	}
	defer release()
	fn, err := e.function(path, k.Symbol())
	if err != nil {
		return fmt.Errorf("cuda: kernel %q: %w", k.Name(), err)
	}

	var p params
	var groups, threads [3]uint32
	for i := range 3 {
		full, n := max(d.ThreadsPerThreadgroup[i], 1), d.Threadgroups[i]
		grid := full * n
		if d.Threads != [3]int{} {
			grid = d.Threads[i]
			n = (grid + full - 1) / full
		}
		if grid <= 0 {
			return nil
		}
		groups[i], threads[i], p.grid[i] = uint32(n), uint32(full), uint32(grid)
	}
	shared := (k.StaticThreadgroupMemory() + 15) &^ 15
	for _, a := range k.Args() {
		if a.Kind == kernel.ArgThreadgroup {
			p.threadgroup[a.Index] = uint32(shared)
			shared += (d.ThreadgroupMemory[a.Index] + 15) &^ 15
		}
	}
	es := extents(k, d)
	defer func() {
		for _, x := range es {
			if x.gpu != 0 {
				e.pool[x.size] = append(e.pool[x.size], x.gpu)
			}
		}
	}()
	for _, x := range es {
		if x.gpu, x.size, err = e.alloc(uint64(len(x.host))); err != nil {
			return fmt.Errorf("cuda: kernel %q: %d bytes: %w", k.Name(), len(x.host), err)
		}
		if err := e.d.upload(x.gpu, x.host); err != nil {
			return fmt.Errorf("cuda: kernel %q: %w", k.Name(), err)
		}
	}
	for _, a := range k.Args() {
		b := d.Buffers[a.Index].Memory
		if a.Kind == kernel.ArgThreadgroup || len(b) == 0 {
			continue
		}
		lo := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
		for _, x := range es {
			if lo >= x.lo && lo < x.hi {
				p.buffer[a.Index] = x.gpu + lo - x.lo
			}
		}
	}
	if err := e.d.launch(fn, groups, threads, uint32(shared), unsafe.Pointer(&p)); err != nil {
		return fmt.Errorf("cuda: kernel %q: %w", k.Name(), err)
	}
	for _, x := range es {
		if x.write {
			if err := e.d.download(x.host, x.gpu); err != nil {
				return fmt.Errorf("cuda: kernel %q: %w", k.Name(), err)
			}
		}
	}
	return nil
}

// alloc finds GPU memory of at least n bytes; sizes are rounded to powers of two, to be found again.
func (e *Executor) alloc(n uint64) (gpu, size uint64, err error) {
	for size = 4096; size < n; size *= 2 {
	}
	if free := e.pool[size]; len(free) > 0 {
		e.pool[size] = free[:len(free)-1]
		return free[len(free)-1], size, nil
	}
	gpu, err = e.d.alloc(size)
	return gpu, size, err
}

// function loads a kernel's PTX, once.
func (e *Executor) function(path, symbol string) (uintptr, error) {
	key := path + " " + symbol
	if fn := e.modules[key]; fn != 0 {
		return fn, nil
	}
	ptx, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fn, err := e.d.load(ptx, symbol)
	if err != nil {
		return 0, err
	}
	e.modules[key] = fn
	return fn, nil
}

// Close gives back the GPU's memory.
func (e *Executor) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	release, err := e.d.enter()
	if err != nil {
		return err
	}
	defer release()
	for _, ps := range e.pool {
		for _, p := range ps {
			e.d.free(p)
		}
	}
	e.pool = map[uint64][]uint64{}
	return nil
}
