package cuda

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"unsafe"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// Executor runs kernels compiled for Target on the first NVIDIA GPU. It is safe for concurrent use;
// dispatches run one after another.
//
// The memory of an emulated Mac is shared, and a GPU behind a bus has none of it: see cache.go.
type Executor struct {
	mu      sync.Mutex
	d       *driver
	modules map[string]uintptr // functions by path and symbol
	copies  map[uint64]*copied // by kernel.Binding.Buffer
	pool    map[uint64][]uint64
	turn    uint64
}

var _ kernel.Caching = (*Executor)(nil)

// New opens the GPU. It is an error if there is no driver or no GPU.
func New() (*Executor, error) { return newExecutor(libcuda) }

func newExecutor(lookup func(name string) (uintptr, error)) (*Executor, error) {
	d, err := open(lookup)
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	return &Executor{d: d, modules: map[string]uintptr{}, copies: map[uint64]*copied{}, pool: map[uint64][]uint64{}}, nil
}

// params is msl_params of msl_cuda.h.
type params struct {
	buffer      [kernel.MaxBuffers]uint64
	threadgroup [kernel.MaxBuffers]uint32
	grid        [3]uint32
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
	groups, threads, grid, ok := d.Grid()
	if !ok {
		return nil
	}
	p := params{grid: grid}
	fn, err := e.function(path, k.Symbol(), threads[0]*threads[1]*threads[2])
	if err != nil {
		return fmt.Errorf("cuda: kernel %q: %w", k.Name(), err)
	}
	passing, err := e.bind(&p, d)
	defer func() {
		for _, c := range passing {
			e.pool[c.size] = append(e.pool[c.size], c.gpu)
		}
	}()
	if err == nil {
		err = e.d.launch(fn, groups, threads, sharedMemory(&p, d), unsafe.Pointer(&p))
	}
	for i := 0; err == nil && i < len(passing); i++ {
		err = e.writeBack(passing[i])
	}
	if err != nil {
		return fmt.Errorf("cuda: kernel %q: %w", k.Name(), err)
	}
	return nil
}

// sharedMemory lays the threadgroup arguments out behind the kernel's own threadgroup memory, and
// returns the bytes of them all.
func sharedMemory(p *params, d *kernel.Dispatch) uint32 {
	align16 := func(n int) int { return (n + 15) &^ 15 }
	n := align16(d.Kernel.StaticThreadgroupMemory())
	for _, a := range d.Kernel.Args() {
		if a.Kind == kernel.ArgThreadgroup {
			p.threadgroup[a.Index] = uint32(n)
			n += align16(d.ThreadgroupMemory[a.Index])
		}
	}
	return uint32(n)
}

// bind finds or makes the copies of what is bound, and tells p where they are. passing are those of
// memory that is this dispatch's alone, also with an error.
func (e *Executor) bind(p *params, d *kernel.Dispatch) (passing []*copied, err error) {
	e.turn++
	args := slices.DeleteFunc(d.Kernel.Args(), func(a kernel.Arg) bool {
		return a.Kind == kernel.ArgThreadgroup || len(d.Buffers[a.Index].Memory) == 0
	})
	written := map[uint64]bool{} // buffers, by any of their bindings
	for _, a := range args {
		if a.Access&kernel.Write != 0 {
			written[d.Buffers[a.Index].Buffer] = true
		}
	}
	for _, a := range args {
		b := &d.Buffers[a.Index]
		var c *copied
		if b.Buffer == 0 {
			if c, err = e.upload(b.Memory); err == nil {
				passing = append(passing, c)
			}
		} else {
			c, err = e.resident(b, written[b.Buffer])
		}
		if err != nil {
			return passing, fmt.Errorf("argument %q: %w", a.Name, err)
		}
		c.dirty = c.dirty || a.Access&kernel.Write != 0
		p.buffer[a.Index] = c.gpu + uint64(len(c.host)-len(b.Memory))
	}
	return passing, nil
}

// function loads a kernel's PTX for threadgroups of so many threads, once. A thread has up to 255
// registers and a block's have 65536 between them, so that of large threadgroups each may use fewer.
func (e *Executor) function(path, symbol string, threads uint32) (uintptr, error) {
	registers := uint32(0)
	for n := uint32(256); n < threads; n *= 2 {
		registers = 65536 / (2 * n)
	}
	key := fmt.Sprint(path, " ", symbol, " ", registers)
	if fn := e.modules[key]; fn != 0 {
		return fn, nil
	}
	ptx, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fn, err := e.d.load(ptx, symbol, registers)
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
	for _, c := range e.copies {
		e.d.free(c.gpu)
	}
	e.copies = map[uint64]*copied{}
	e.emptyPool()
	return nil
}
