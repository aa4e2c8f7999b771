package emu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"time"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/internal/objc"
)

// clock is the machine's uptime in seconds.
func (m *Machine) clock() float64 { return 1 + time.Since(m.begun).Seconds() }

// runQueue is the GPU as one queue sees it: it runs command buffers in order until the queue is gone.
func (m *Machine) runQueue(q *queue) {
	defer m.gpus.Done()
	runtime.LockOSThread() // completed handlers run here, inside an autorelease pool of this thread
	defer runtime.UnlockOSThread()
	m.mu.Lock()
	defer func() { m.unlock() }()
	for {
		switch {
		case len(q.order) > 0 && q.order[0].committed():
			m.run(q.order[0])
			m.unlock() // blocks of what was freed
			m.mu.Lock()
		case q.gone || m.closing:
			return
		default:
			m.changed.Wait()
		}
	}
}

// run executes a command buffer; mu is held, but not while kernels run.
func (m *Machine) run(cb *commandBuffer) {
	cb.status = objc.MTLCommandBufferStatusScheduled
	cb.startTime = m.clock()
	failed := m.execute(cb)
	cb.endTime = m.clock()
	m.stats.CommandBuffers++
	cb.status = objc.MTLCommandBufferStatusCompleted
	if failed != nil {
		cb.status = objc.MTLCommandBufferStatusError
		failed.info = m.infos(cb)
		cb.err = m.owned(m.add("NSError", failed))
	}
	handlers := cb.handlers
	cb.finish(m)
	m.handle(cb.obj, handlers)
	m.drop(cb.obj)
}

// handle calls completed handlers, on this thread, inside a pool.
func (m *Machine) handle(o *object, blocks []uintptr) {
	if len(blocks) == 0 {
		return
	}
	t := threadID()
	p := m.poolPush(t)
	c := call{m: m, thread: t}
	c.lend(o)
	m.unlock()
	for _, b := range blocks {
		invoke(b, o.id)
	}
	m.mu.Lock()
	m.poolPop(t, p)
}

// execute runs the steps of a command buffer until one fails.
func (m *Machine) execute(cb *commandBuffer) *nsError {
	if cb.broken != nil {
		return &nsError{domain: commandBufferDomain, code: objc.MTLCommandBufferErrorInvalidResource, text: cb.broken.Error()}
	}
	if f, ok := m.nextFault(); ok {
		for _, s := range cb.steps {
			if s.encoder != nil && f != SubmissionsIgnored {
				s.encoder.state = objc.MTLCommandEncoderErrorStateFaulted
				break
			}
		}
		return f.error()
	}
	if need := m.workingSet(cb); need > m.opt.Chip.WorkingSet {
		return OutOfMemory.error()
	}
	ctx := context.Background()
	if m.opt.Watchdog > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.opt.Watchdog)
		defer cancel()
	}
	known := history{} // encoders that this command buffer's events say have ended
	for _, s := range cb.steps {
		switch {
		case s.encoder != nil:
			if err := m.runEncoder(ctx, s.encoder); err != nil {
				s.encoder.state = objc.MTLCommandEncoderErrorStateFaulted
				return err
			}
			s.encoder.state = objc.MTLCommandEncoderErrorStateCompleted
			if m.opt.Hazards {
				m.ordered(s.encoder, known)
			}
		case s.wait:
			e := s.event.data.(*event)
			for e.value < s.value {
				if m.closing {
					return Timeout.error()
				}
				m.changed.Wait()
			}
			known.add(e.after)
		default:
			e := s.event.data.(*event)
			if m.opt.Hazards {
				e.signalledBy(cb, s.value, known)
			}
			if e.value < s.value {
				e.value = s.value
				m.changed.Broadcast()
			}
		}
	}
	return nil
}

// workingSet is the bytes that must be resident for a command buffer.
func (m *Machine) workingSet(cb *commandBuffer) (n int64) {
	all := map[*object]bool{}
	for o := range cb.uses {
		all[o] = true
	}
	for _, s := range append(slices.Clone(cb.q.sets), cb.sets...) {
		for o := range s.data.(*residencySet).now {
			all[o] = true
		}
	}
	for o := range all {
		if b, ok := o.data.(*buffer); ok {
			n += b.size(m.opt.PageSize)
		}
	}
	return n
}

func (m *Machine) runEncoder(ctx context.Context, e *encoder) *nsError {
	e.sample(m, e.start)
	if m.opt.Hazards && !e.serial {
		m.hazards(e)
	}
	cache, _ := m.executor.(kernel.Caching)
	m.turn++
	turn := m.turn
	for _, i := range m.order(e) {
		c := &e.commands[i]
		if reads := c.reads(); cache != nil && len(reads) > 0 {
			if err := cache.Flush(reads...); err != nil {
				return internal(err)
			}
		}
		if c.copy != nil {
			c.copy.run()
			m.turn++
			c.copy.dst.data.(*buffer).generation = m.turn
			continue
		}
		d := c.dispatch.kernelDispatch(turn)
		g := d.Threadgroups
		if g[0] == 0 || g[1] == 0 || g[2] == 0 {
			continue // an indirect dispatch of nothing
		}
		if hi, n := bits.Mul64(uint64(g[0]), uint64(g[1])); hi != 0 || n > maxIndirect || n*uint64(g[2]) > maxIndirect {
			m.report(&Violation{Rule: IndirectSize, Object: e.obj.String(), Detail: fmt.Sprintf("kernel %q: the grid read from %s is %v threadgroups",
				d.Kernel.Name(), c.dispatch.indirect, g)})
			return Timeout.error() // what a GPU would come to
		}
		m.stats.Dispatches++
		m.mu.Unlock()
		err := m.executor.Run(ctx, d)
		m.mu.Lock()
		if err != nil {
			return m.runFailed(e, d, err)
		}
	}
	if cache != nil {
		if err := cache.Flush(); err != nil {
			return internal(err)
		}
	}
	e.sample(m, e.end)
	return nil
}

// reads names the buffers that a command reads or changes by way of the host's memory.
func (c *command) reads() (buffers []uint64) {
	switch {
	case c.copy != nil:
		for _, o := range []*object{c.copy.src, c.copy.dst} {
			if o != nil {
				buffers = append(buffers, o.data.(*buffer).gpu)
			}
		}
	case c.dispatch != nil && c.dispatch.indirect != nil:
		buffers = append(buffers, c.dispatch.indirect.data.(*buffer).gpu)
	}
	return buffers
}

// internal is a failure of the emulator's own.
func internal(err error) *nsError {
	ne := Internal.error()
	ne.text = fmt.Sprintf("%s: %v", ne.text, err)
	return ne
}

// runFailed says what an executor's error is to a Metal program.
func (m *Machine) runFailed(e *encoder, d *kernel.Dispatch, err error) *nsError {
	if errors.Is(err, context.DeadlineExceeded) {
		return Timeout.error()
	}
	var f *kernel.Fault
	if errors.As(err, &f) {
		m.report(&Violation{Rule: Rule(f.Rule), Object: e.obj.String(), Detail: f.Error()})
		ne := PageFault.error()
		ne.text += ": " + f.Error()
		return ne
	}
	return internal(fmt.Errorf("kernel %q: %w", d.Kernel.Name(), err))
}

func (b *blit) run() {
	dst := b.dst.data.(*buffer).mem[b.dstAt : b.dstAt+b.n]
	if b.src != nil {
		copy(dst, b.src.data.(*buffer).mem[b.srcAt:])
		return
	}
	for i := range dst {
		dst[i] = b.value
	}
}

// maxIndirect is more threadgroups than any grid means to have: the buffer was not written.
const maxIndirect = 1 << 32

// kernelDispatch is the dispatch as an executor wants it. What the program can write may have changed
// since the last turn.
func (d *dispatch) kernelDispatch(turn uint64) *kernel.Dispatch {
	k := &kernel.Dispatch{
		Kernel: d.pipeline.data.(*pipeline).kernel, Threadgroups: d.grid, ThreadsPerThreadgroup: d.threads,
		Threads: d.exact, ThreadgroupMemory: d.threadgroup,
	}
	if d.indirect != nil {
		p := d.indirect.data.(*buffer).mem[d.indirectOffset:]
		for i := range 3 {
			k.Threadgroups[i] = int(binary.LittleEndian.Uint32(p[4*i:]))
		}
	}
	for i := range d.buffers {
		b := &d.buffers[i]
		if !b.set() {
			continue
		}
		k.Buffers[i] = kernel.Binding{Memory: b.memory(), Set: true, Label: "setBytes"}
		if b.obj != nil {
			x := b.obj.data.(*buffer)
			private := x.options&objc.MTLResourceStorageModePrivate != 0
			n := x.generation
			if !private && !x.fixed {
				n = max(n, turn)
			}
			k.Buffers[i] = kernel.Binding{Memory: b.memory(), Set: true, Label: b.obj.label, Buffer: x.gpu, Whole: x.mem, Generation: n, Private: private}
		}
	}
	return k
}

// order is a permitted order of an encoder's dispatches and copies: the encoding order if it is serial,
// else a random one of those the barriers allow.
func (m *Machine) order(e *encoder) []int {
	order := make([]int, 0, len(e.commands))
	var part []int // what no barrier for all divides
	partial := false
	flush := func() {
		if partial {
			order = m.orderPart(e, part, order)
		} else {
			m.rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
			order = append(order, part...)
		}
		part, partial = part[:0], false
	}
	for i := range e.commands {
		switch c := &e.commands[i]; {
		case !c.barrier && e.serial:
			order = append(order, i)
		case !c.barrier:
			part = append(part, i)
		case c.only == nil:
			flush()
		default:
			partial = true
		}
	}
	flush()
	return order
}

// orderPart orders dispatches between which there are barriers for some resources.
func (m *Machine) orderPart(e *encoder, part, order []int) []int {
	done := make([]bool, len(part))
	for range part {
		var ready []int
		for k := range part {
			if !done[k] && e.ready(part, k, done) {
				ready = append(ready, k)
			}
		}
		k := ready[m.rng.IntN(len(ready))]
		done[k] = true
		order = append(order, part[k])
	}
	return order
}

// ready tells whether every dispatch that the k-th of part must wait for is done: those before a
// barrier before it that share with it a resource the barrier is for.
func (e *encoder) ready(part []int, k int, done []bool) bool {
	var only []*object // of the barriers passed on the way back
	at := part[k]
	for j := k - 1; j >= 0; j-- {
		for ; at > part[j]; at-- {
			only = append(only, e.commands[at].only...)
		}
		if !done[j] && slices.ContainsFunc(only, func(o *object) bool {
			return e.commands[part[j]].dispatch.touches(o) && e.commands[part[k]].dispatch.touches(o)
		}) {
			return false
		}
	}
	return true
}

func (d *dispatch) touches(o *object) bool {
	if d.indirect == o {
		return true
	}
	for _, a := range d.pipeline.data.(*pipeline).kernel.Args() {
		if a.Kind != kernel.ArgThreadgroup && d.buffers[a.Index].obj == o {
			return true
		}
	}
	return false
}
