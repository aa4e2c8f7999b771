package emu

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/internal/objc"
)

// hazards reports pairs of dispatches that use the same memory, one of them to write, with no barrier
// for it between.
func (m *Machine) hazards(e *encoder) {
	for j := range e.commands {
		later := e.commands[j].dispatch
		if later == nil {
			continue
		}
		var free []*object // of which a barrier between says that they are ordered
		for i := j - 1; i >= 0; i-- {
			c := &e.commands[i]
			if c.barrier {
				if c.only == nil {
					break
				}
				free = append(free, c.only...)
			} else if o := conflict(c.dispatch, later); o != nil && !slices.Contains(free, o) {
				m.report(&Violation{Rule: MissingBarrier, Object: e.obj.String(), Detail: fmt.Sprintf(
					"dispatches %d (%s) and %d (%s) of %s both use %s from the same offset, and no barrier orders them",
					i, c.dispatch.pipeline.label, j, later.pipeline.label, e.obj, o)})
			}
		}
	}
}

// conflict finds a buffer two dispatches use from the same offset, one through a pointer it may write to.
func conflict(a, b *dispatch) *object {
	for _, x := range a.pipeline.data.(*pipeline).kernel.Args() {
		for _, y := range b.pipeline.data.(*pipeline).kernel.Args() {
			if x.Kind == kernel.ArgThreadgroup || y.Kind == kernel.ArgThreadgroup || (x.Access|y.Access)&kernel.Write == 0 {
				continue
			}
			p, q := &a.buffers[x.Index], &b.buffers[y.Index]
			if p.obj != nil && p.obj == q.obj && p.offset == q.offset {
				return p.obj
			}
		}
	}
	return nil
}

// history is a set of encoders.
type history map[*encoder]bool

func (h history) add(other history) { maps.Copy(h, other) }

// since is h without what the program knew to have ended when it committed cb: of that nobody need be
// told who comes later.
func (h history) since(cb *commandBuffer) history {
	kept := history{}
	for e := range h {
		if e.cb.number > cb.seen[e.cb.q] {
			kept[e] = true
		}
	}
	return kept
}

// fenceStep is updateFence: or waitForFence: in an encoder.
type fenceStep struct {
	fence  *object
	update bool
}

func useFence(c *call) uintptr {
	if e, ok := c.encoder(); ok && c.need(0) {
		f := c.args[0].obj
		e.cb.use(c.m, f)
		e.fences = append(e.fences, fenceStep{f, c.msg == objc.ComputeCommandEncoderUpdateFence || c.msg == objc.BlitCommandEncoderUpdateFence})
	}
	return 0
}

// signalled is a value a command buffer raised an event to.
type signalled struct {
	value uint64
	cb    *commandBuffer
}

// signalledBy notes which encoders have ended when cb raises the event.
func (e *event) signalledBy(cb *commandBuffer, value uint64, known history) {
	e.after = e.after.since(cb)
	e.after.add(known)
	for _, s := range cb.steps {
		if s.encoder != nil && s.encoder.state == objc.MTLCommandEncoderErrorStateCompleted {
			e.after[s.encoder] = true
			e.after.add(s.encoder.knows)
		}
	}
	e.signals = slices.DeleteFunc(e.signals, func(s signalled) bool { return s.cb.number <= cb.seen[s.cb.q] })
	e.signals = append(e.signals, signalled{value, cb})
}

// seen notes that the program knows the event's value, and so that what signalled it has ended.
func (e *event) seen() {
	for _, s := range e.signals {
		if s.value <= e.value {
			s.cb.q.seen = max(s.cb.q.seen, s.cb.number)
		}
	}
	e.signals = nil
}

// observed notes that the program has asked for the status and, if it is over, knows that it is.
func (cb *commandBuffer) observed() {
	if cb.status >= objc.MTLCommandBufferStatusCompleted {
		cb.q.seen = max(cb.q.seen, cb.number)
	}
}

// follows tells whether something orders e after an earlier encoder.
func (e *encoder) follows(earlier *encoder) bool {
	return earlier == e || e.knows[earlier] || earlier.cb.number <= e.cb.seen[earlier.cb.q]
}

// ordered reports buffers that an encoder, which has just run, uses although nothing orders it after
// what used them before. known are the encoders its command buffer's events speak of.
func (m *Machine) ordered(e *encoder, known history) {
	e.knows = maps.Clone(known)
	for _, f := range e.fences {
		if !f.update {
			e.knows.add(f.fence.data.(*fence).after)
		}
	}
	reads, writes := e.touched()
	check := func(o *object, earlier *encoder, what string) {
		b := o.data.(*buffer)
		if earlier == nil || e.follows(earlier) || earlier.cb.q == e.cb.q && b.options&objc.MTLResourceHazardTrackingModeUntracked == 0 {
			return
		}
		m.report(&Violation{Rule: UntrackedHazard, Object: e.obj.String(), Detail: fmt.Sprintf(
			"%s %s %s, which %s may still be using: no fence, event or wait orders them", e.obj, what, o, earlier.obj)})
	}
	for _, o := range writes {
		b := o.data.(*buffer)
		check(o, b.writer, "writes")
		for r := range b.readers {
			check(o, r, "writes")
		}
		b.writer, b.readers = e, nil
	}
	for _, o := range reads {
		b := o.data.(*buffer)
		check(o, b.writer, "reads")
		if b.readers == nil {
			b.readers = history{}
		}
		b.readers[e] = true
	}
	for _, f := range e.fences {
		if f.update {
			d := f.fence.data.(*fence)
			d.after = d.after.since(e.cb)
			d.after.add(e.knows)
			d.after[e] = true
		}
	}
}

// touched lists the buffers an encoder's commands read, and those they may write.
func (e *encoder) touched() (reads, writes []*object) {
	seen := map[*object]kernel.Access{}
	use := func(o *object, a kernel.Access) {
		if o != nil {
			seen[o] |= a
		}
	}
	for i := range e.commands {
		if b := e.commands[i].copy; b != nil {
			use(b.src, kernel.Read)
			use(b.dst, kernel.Write)
		}
		d := e.commands[i].dispatch
		if d == nil {
			continue
		}
		use(d.indirect, kernel.Read)
		for _, a := range d.pipeline.data.(*pipeline).kernel.Args() {
			switch {
			case a.Kind == kernel.ArgBuffer:
				use(d.buffers[a.Index].obj, a.Access)
			case a.Kind == kernel.ArgConstant:
				use(d.buffers[a.Index].obj, kernel.Read)
			}
		}
	}
	for o, a := range seen {
		if a&kernel.Write != 0 {
			writes = append(writes, o)
		} else {
			reads = append(reads, o)
		}
	}
	return reads, writes
}
