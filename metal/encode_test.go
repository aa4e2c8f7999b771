package metal_test

import (
	"testing"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
)

// noop is a machine whose every message does nothing, so that only the sending is measured.
func noop(tb testing.TB) *metal.Device {
	tb.Helper()
	d, err := emu.Mute()
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// token is what a decoder of 32 layers encodes for one token: 300 dispatches of 9 kernels, 6 buffers
// each, a barrier for two dispatches of three.
type token struct {
	pipes [9]*metal.Pipeline
	bufs  [8]*metal.Buffer
	args  [64]byte
	n     int
}

func newToken(tb testing.TB, d *metal.Device, n int) *token {
	tb.Helper()
	t := &token{n: n}
	l, err := d.NewLibrary("", metal.CompileOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	f, err := l.Function("f", nil)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range t.pipes {
		if t.pipes[i], err = d.NewPipeline(f, metal.PipelineOptions{}); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range t.bufs {
		if t.bufs[i], err = d.NewBuffer(64, metal.Private); err != nil {
			tb.Fatal(err)
		}
	}
	return t
}

func (t *token) encode(e *metal.ComputeEncoder) error {
	for i := range t.n {
		e.SetPipeline(t.pipes[i%len(t.pipes)])
		b := &t.bufs
		e.SetBuffers(0, metal.Binding{Buffer: b[i%8], Offset: 64 * i}, metal.Binding{Buffer: b[(i+1)%8]}, metal.Binding{Buffer: b[(i+2)%8]},
			metal.Binding{Buffer: b[(i+3)%8]}, metal.Binding{Buffer: b[(i+4)%8]}, metal.Binding{Buffer: b[(i+5)%8]})
		e.SetBytes(6, t.args[:])
		e.DispatchThreadgroups(metal.Size{Width: 32, Height: 1, Depth: 1}, metal.Size{Width: 32, Height: 4, Depth: 1})
		if i%3 != 0 {
			e.Barrier()
		}
	}
	return nil
}

// BenchmarkToken encodes 300 dispatches into a command buffer and commits it.
func BenchmarkToken(b *testing.B) {
	d := noop(b)
	q, err := d.NewQueue(metal.QueueOptions{})
	if err != nil {
		b.Fatal(err)
	}
	t := newToken(b, d, 300)
	encode := t.encode
	b.ReportAllocs()
	for b.Loop() {
		cb, err := q.CommandBuffer()
		if err != nil {
			b.Fatal(err)
		}
		if err := cb.Compute(metal.ComputeOptions{}, encode); err != nil {
			b.Fatal(err)
		}
		if err := cb.Commit(); err != nil {
			b.Fatal(err)
		}
		cb.Release()
	}
}

// Encoding must not allocate: not for a dispatch, and not for a command buffer once there are
// released ones.
func TestEncodingDoesNotAllocate(t *testing.T) {
	d := noop(t)
	q, err := d.NewQueue(metal.QueueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tok := newToken(t, d, 20)
	encode := tok.encode
	n := testing.AllocsPerRun(50, func() {
		cb, err := q.CommandBuffer()
		if err != nil {
			t.Fatal(err)
		}
		if err := cb.Compute(metal.ComputeOptions{}, encode); err != nil {
			t.Fatal(err)
		}
		if err := cb.Commit(); err != nil {
			t.Fatal(err)
		}
		cb.Release()
	})
	if n != 0 && !raceEnabled {
		t.Errorf("%g allocations", n)
	}
}
