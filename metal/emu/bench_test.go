package emu

import (
	"testing"

	"github.com/gollm/gollm/metal"
)

// BenchmarkDispatch is what the emulator itself costs for a dispatch of three messages and an empty
// kernel.
func BenchmarkDispatch(b *testing.B) {
	m, err := Open(Options{compiler: fakeCompiler{}, executor: fakeExecutor{}})
	if err != nil {
		b.Fatal(err)
	}
	d := m.Device()
	q, _ := d.NewQueue(metal.QueueOptions{})
	l, _ := d.NewLibrary("half2", metal.CompileOptions{})
	f, _ := l.Function("half2", nil)
	p, err := d.NewPipeline(f, metal.PipelineOptions{})
	if err != nil {
		b.Fatal(err)
	}
	x, _ := d.NewBuffer(4096, metal.Shared)
	const n = 300
	encode := func(e *metal.ComputeEncoder) error {
		e.SetPipeline(p)
		for i := range n {
			e.SetBuffer(0, x, 2*i)
			e.DispatchThreads(metal.Size{Width: 1, Height: 1, Depth: 1}, metal.Size{Width: 1, Height: 1, Depth: 1})
			e.Barrier()
		}
		return nil
	}
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
		if err := cb.Wait(); err != nil {
			b.Fatal(err)
		}
		cb.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/dispatch")
}
