package simt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// Options say how an Executor runs kernels.
type Options struct {
	Seed    uint64 // decides every order that Metal leaves open
	Workers int    // OS threads; 0 for one a core
	// Race reports accesses to the same memory by two threads of a threadgroup that no barrier
	// orders, and reads of threadgroup memory nothing wrote. Many times slower.
	Race bool
	// DivergentSIMD reports lanes of one simdgroup that wait at different simd operations. Metal
	// lets the active lanes proceed, so a kernel may mean it; most do not.
	DivergentSIMD bool
}

// Executor runs kernels compiled for Target. It is safe for concurrent use.
type Executor struct {
	opts   Options
	seq    atomic.Uint64
	mu     sync.Mutex
	free   uintptr    // rt_free of any object
	idle   []*uintptr // workers' memory between dispatches
	closed bool
}

var _ kernel.Executor = (*Executor)(nil)

// New returns an executor, or an error on a machine it does not run on.
func New(o Options) (*Executor, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if o.Workers <= 0 {
		o.Workers = runtime.NumCPU()
	}
	return &Executor{opts: o}, nil
}

const maxBuffers = kernel.MaxBuffers

type memRange struct{ lo, len uint64 }

// dispatch is the dispatch_t of rt/machine.c.
type dispatch struct {
	entry              uint64
	seed               uint64
	groups, full, grid [3]uint32
	tgbytes            uint32
	flags              uint32
	buffer             [maxBuffers]uint64
	tgoffset           [maxBuffers]uint32
	tglength           [maxBuffers]uint32
	ranges             [maxBuffers + 1]memRange
	next               uint64
	stop, fault        uint32
	write, line, line2 uint32
	extra              uint32
	address, size      uint64
	pc                 uint64
	thread, group      [3]uint32
	other              [3]uint32
	from               uint32
	offset             int64
	lo, len            uint64
}

const (
	flagRace = 1
	flagSIMD = 2
)

// nowhere is the address an unbound buffer gets: far from all memory, and each index its own.
func nowhere(i int) uint64 { return uint64(i+1)<<48 | 1<<47 }

// Run runs one dispatch.
func (e *Executor) Run(ctx context.Context, d *kernel.Dispatch) error {
	k, ok := d.Kernel.(*msl.Kernel)
	if !ok {
		return fmt.Errorf("simt: kernel %q was not compiled for this executor", d.Kernel.Name())
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := k.Object(ctx)
	if err != nil {
		return err
	}
	o, err := load(path)
	if err != nil {
		return err
	}
	entry, err := o.entry(k.Symbol())
	if err != nil {
		return err
	}
	c := &dispatch{entry: uint64(entry), seed: mix(e.opts.Seed, e.seq.Add(1))}
	if e.opts.Race {
		c.flags |= flagRace
	}
	if e.opts.DivergentSIMD {
		c.flags |= flagSIMD
	}
	if c.groups, c.full, c.grid, ok = d.Grid(); !ok {
		return nil
	}
	if threads := product(c.full); threads > k.MaxTotalThreads() {
		return fmt.Errorf("simt: kernel %q: %d threads in a threadgroup, at most %d", k.Name(), threads, k.MaxTotalThreads())
	}
	for i := range c.buffer {
		c.buffer[i] = nowhere(i)
	}
	tg := align16(k.StaticThreadgroupMemory())
	for _, a := range k.Args() {
		switch a.Kind {
		case kernel.ArgThreadgroup:
			c.tgoffset[a.Index] = uint32(tg)
			c.tglength[a.Index] = uint32(d.ThreadgroupMemory[a.Index])
			tg += align16(d.ThreadgroupMemory[a.Index])
		default:
			b := d.Buffers[a.Index]
			if len(b.Memory) > 0 {
				p := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b.Memory))))
				c.buffer[a.Index] = p
				c.ranges[a.Index] = memRange{p, uint64(len(b.Memory))}
			}
		}
	}
	c.tgbytes = uint32(tg)
	back := separate(k.Args(), d, c)
	if len(k.Settings()) > 0 {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.setFor != k {
			for _, s := range k.Settings() {
				o.set(s)
			}
			o.setFor = k
		}
	}
	// What the kernel's addresses lie in is kept while it runs, and that may be for longer than start.
	keep := func() { runtime.KeepAlive(d); runtime.KeepAlive(back) }
	if err := e.start(ctx, o, c, min(e.opts.Workers, product(c.groups)), keep); err != nil {
		return fmt.Errorf("simt: kernel %q: %w", k.Name(), err)
	}
	back()
	if c.fault != 0 {
		return o.fault(k, d, c)
	}
	return ctx.Err()
}

// gap is the least distance between two bound buffers at which an access a little outside one is
// not taken for one inside the other.
const gap = 64 << 10

// separate gives buffers that lie close to one another copies that do not, for the time of the
// dispatch; back copies what the kernel may have written. Bindings of one buffer overlap, and stay.
func separate(args []kernel.Arg, d *kernel.Dispatch, c *dispatch) (back func()) {
	type place struct {
		arg kernel.Arg
		r   memRange
	}
	var all []place
	for _, a := range args {
		if a.Kind != kernel.ArgThreadgroup && c.ranges[a.Index].len > 0 {
			all = append(all, place{a, c.ranges[a.Index]})
		}
	}
	end := func(r memRange) uint64 { return r.lo + r.len }
	overlap := func(a, b memRange) bool { return a.lo < end(b) && b.lo < end(a) }
	neighbours := func(a, b memRange) bool { return !overlap(a, b) && a.lo < end(b)+gap && b.lo < end(a)+gap }
	var undo []func()
	for i, p := range all {
		alone, near := true, false
		for j, q := range all {
			if i != j {
				alone = alone && !overlap(p.r, q.r)
				// Of two neighbours the smaller moves, of two equal ones the first.
				near = near || neighbours(p.r, q.r) && (p.r.len < q.r.len || p.r.len == q.r.len && i < j)
			}
		}
		if !alone || !near || p.r.len > 64<<20 {
			continue
		}
		memory := d.Buffers[p.arg.Index].Memory
		// The tail of the address is kept: what was aligned stays aligned, and no more.
		arena := make([]byte, len(memory)+2*gap+4096)
		base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(arena))))
		shift := gap + (p.r.lo-base-gap)%4096
		moved := arena[shift : shift+uint64(len(memory))]
		copy(moved, memory)
		c.buffer[p.arg.Index] = base + shift
		c.ranges[p.arg.Index].lo = base + shift
		write := p.arg.Access&kernel.Write != 0
		undo = append(undo, func() {
			if write {
				copy(memory, moved)
			}
			runtime.KeepAlive(arena)
		})
	}
	return func() {
		for _, f := range undo {
			f()
		}
	}
}

func product(n [3]uint32) int { return int(n[0]) * int(n[1]) * int(n[2]) }

func align16(n int) int { return (n + 15) &^ 15 }

// mix makes the seed of the nth dispatch.
func mix(seed, n uint64) uint64 {
	z := seed + n*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	return z ^ z>>27
}

// start runs c on n threads and waits for them, or for ctx to end and a kernel that does not stop.
// It calls keep once they have ended, also after it has given up on them.
func (e *Executor) start(ctx context.Context, o *object, c *dispatch, n int, keep func()) error {
	states := e.take(n, o)
	codes := make([]uintptr, n)
	var wg sync.WaitGroup
	for i := 1; i < n; i++ {
		wg.Go(func() { codes[i] = call(o.run, uintptr(unsafe.Pointer(c)), uintptr(unsafe.Pointer(states[i]))) })
	}
	if ctx.Done() == nil {
		codes[0] = call(o.run, uintptr(unsafe.Pointer(c)), uintptr(unsafe.Pointer(states[0])))
		wg.Wait()
	} else {
		wg.Go(func() { codes[0] = call(o.run, uintptr(unsafe.Pointer(c)), uintptr(unsafe.Pointer(states[0]))) })
		done := make(chan struct{})
		go func() {
			wg.Wait()
			keep()
			close(done)
		}()
		select {
		case <-done:
		case <-ctx.Done():
			atomic.StoreUint32(&c.stop, 1)
			if !stopAll(states, done) {
				return ctx.Err() // its threads, stacks and memory are abandoned with it
			}
		}
	}
	keep()
	runtime.KeepAlive(c)
	e.give(states)
	for _, code := range codes {
		switch code {
		case 0:
		case 1:
			return errors.New("no memory for the threads' stacks")
		default:
			return errors.New("the runtime refused the dispatch")
		}
	}
	return nil
}

// take hands out n workers' memory for an object's runtime. Each is a cell the C side keeps its
// pointer in.
func (e *Executor) take(n int, o *object) []*uintptr {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free = o.free
	k := min(n, len(e.idle))
	s := append([]*uintptr(nil), e.idle[len(e.idle)-k:]...)
	e.idle = e.idle[:len(e.idle)-k]
	for len(s) < n {
		s = append(s, new(uintptr))
	}
	return s
}

func (e *Executor) give(s []*uintptr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.idle = append(e.idle, s...)
}

// Close frees the threads' stacks. Loaded kernels stay loaded until the process ends.
func (e *Executor) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	for _, s := range e.idle {
		if *s != 0 {
			call(e.free, *s)
		}
	}
	e.idle = nil
	return nil
}
