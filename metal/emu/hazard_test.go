package emu

import (
	"context"
	"errors"
	"testing"

	"github.com/gollm/gollm/metal"
)

// Two encoders that write the same buffer are ordered by tracking in one queue, by a fence, by an event,
// or by the program's waiting; by nothing else.
func TestEncodersAreOrdered(t *testing.T) {
	type rig struct {
		t      *testing.T
		d      *metal.Device
		q1, q2 *metal.Queue
		p      *metal.Pipeline
		x      *metal.Buffer
		fence  *metal.Fence
		event  *metal.SharedEvent
	}
	scale := func(r *rig, cb *metal.CommandBuffer, before, after bool) {
		r.t.Helper()
		if err := cb.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
			if before {
				e.WaitFence(r.fence)
			}
			e.SetPipeline(r.p)
			e.SetBuffer(0, r.x, 0)
			e.SetBytes(1, []byte{0, 0, 0x80, 0x3f})
			e.DispatchThreads(one, one)
			if after {
				e.UpdateFence(r.fence)
			}
			return nil
		}); err != nil {
			r.t.Fatal(err)
		}
	}
	begin := func(r *rig, q *metal.Queue) *metal.CommandBuffer {
		cb := must[*metal.CommandBuffer](r.t)(q.CommandBuffer())
		r.t.Cleanup(cb.Release)
		return cb
	}
	finish := func(r *rig, list ...*metal.CommandBuffer) {
		for _, cb := range list {
			if err := errors.Join(cb.Commit()); err != nil {
				r.t.Fatal(err)
			}
		}
		for _, cb := range list {
			if err := cb.Wait(); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name    string
		options metal.ResourceOptions
		hazard  bool
		f       func(r *rig)
	}{
		{"tracked, one queue", metal.Shared, false, func(r *rig) {
			a, b := begin(r, r.q1), begin(r, r.q1)
			scale(r, a, false, false)
			scale(r, b, false, false)
			finish(r, a, b)
		}},
		{"tracked, two queues", metal.Shared, true, func(r *rig) {
			a, b := begin(r, r.q1), begin(r, r.q2)
			scale(r, a, false, false)
			scale(r, b, false, false)
			finish(r, a, b)
		}},
		{"untracked, nothing", metal.Untracked, true, func(r *rig) {
			a, b := begin(r, r.q1), begin(r, r.q1)
			scale(r, a, false, false)
			scale(r, b, false, false)
			finish(r, a, b)
		}},
		{"untracked, fence", metal.Untracked, false, func(r *rig) {
			a, b := begin(r, r.q1), begin(r, r.q1)
			scale(r, a, false, true)
			scale(r, b, true, false)
			finish(r, a, b)
		}},
		{"untracked, fences through a third", metal.Untracked, false, func(r *rig) {
			a, b := begin(r, r.q1), begin(r, r.q1)
			scale(r, a, false, true)
			scale(r, a, true, true)
			scale(r, b, true, false)
			finish(r, a, b)
		}},
		{"untracked, fence updated and not waited for", metal.Untracked, true, func(r *rig) {
			a, b := begin(r, r.q1), begin(r, r.q1)
			scale(r, a, false, true)
			scale(r, b, false, true)
			finish(r, a, b)
		}},
		{"untracked, the program waits", metal.Untracked, false, func(r *rig) {
			a, b := begin(r, r.q1), begin(r, r.q1)
			scale(r, a, false, false)
			scale(r, b, false, false)
			finish(r, a)
			finish(r, b)
		}},
		{"two queues, event", metal.Untracked, false, func(r *rig) {
			a, b := begin(r, r.q1), begin(r, r.q2)
			scale(r, a, false, false)
			a.Signal(r.event, 1)
			b.WaitFor(r.event, 1)
			scale(r, b, false, false)
			finish(r, a, b)
		}},
		{"two queues, the program waits for the event", metal.Shared, false, func(r *rig) {
			a, b := begin(r, r.q1), begin(r, r.q2)
			scale(r, a, false, false)
			a.Signal(r.event, 1)
			scale(r, b, false, false)
			if err := errors.Join(a.Commit(), r.event.Wait(context.Background(), 1)); err != nil {
				r.t.Fatal(err)
			}
			finish(r, b)
			if err := a.Wait(); err != nil {
				r.t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := fake(t, Options{Hazards: true})
			d := m.Device()
			r := &rig{t: t, d: d, q1: newQueue(t, d, metal.QueueOptions{}), q2: newQueue(t, d, metal.QueueOptions{}),
				p:     pipe(t, fakes(t, d), d, "scale", nil, metal.PipelineOptions{}),
				x:     must[*metal.Buffer](t)(d.NewBuffer(16, c.options)),
				fence: must[*metal.Fence](t)(d.NewFence()), event: must[*metal.SharedEvent](t)(d.NewSharedEvent())}
			t.Cleanup(r.x.Release)
			t.Cleanup(r.fence.Release)
			t.Cleanup(r.event.Release)
			c.f(r)
			v := m.TakeViolations()
			if c.hazard != (len(v) == 1 && v[0].Rule == UntrackedHazard) || !c.hazard && len(v) != 0 {
				t.Errorf("violations %v", v)
			}
		})
	}
}
