package shaders_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// BenchmarkMatVec is the bytes per second that projections of 1, 4 and 8 columns move, for a matrix of
// GOLLM_SHAPE=ROWSxWIDTH, by the GPU's clock. On the emulator's CPU the figures mean nothing.
func BenchmarkMatVec(b *testing.B) {
	rows, width := 256, 1024
	if s := os.Getenv("GOLLM_SHAPE"); s != "" {
		if n, err := fmt.Sscanf(s, "%dx%d", &rows, &width); n != 2 {
			b.Fatalf("GOLLM_SHAPE=%s: %v", s, err)
		}
	}
	for _, typ := range shaders.Types {
		for _, columns := range []int{1, 4, 8} {
			b.Run(fmt.Sprintf("%s/%d", typ, columns), func(b *testing.B) {
				r := newRig(b)
				w := r.alloc(rows * typ.RowBytes(width)) // any bits are weights
				for i := range w.data() {
					w.data()[i] = byte(i * 37 >> 3)
				}
				buffers := map[int]memory{shaders.LinearWeights: w, shaders.LinearX: r.floats(r.normal(columns * width)), shaders.LinearOut: r.alloc(4 * columns * rows)}
				p := shaders.MatVecParams{Width: uint32(width), Rows: uint32(rows)}
				launch := shaders.MatVec(typ, p, shaders.Parts{})
				if columns > 1 {
					launch = shaders.MatVecN(typ, p, shaders.Parts{}, columns)
				}
				r.measure(b, step{launch, buffers})
			})
		}
	}
}

// measure runs a step again and again, and reports the GPU's time.
func (r *rig) measure(b *testing.B, s step) {
	const repeat = 16 // launches in a command buffer
	pipeline := r.pipeline(s.launch.Kernel)
	seconds, launches := 0.0, 0
	for b.Loop() {
		cb, err := r.queue.CommandBuffer()
		if err != nil {
			b.Fatal(err)
		}
		err = cb.Compute(metal.ComputeOptions{Serial: true}, func(e *metal.ComputeEncoder) error {
			e.SetPipeline(pipeline)
			e.SetBytes(0, s.launch.Params)
			for index, m := range s.buffers {
				e.SetBuffer(index, m.Buffer, front)
			}
			g, t := s.launch.Groups, s.launch.Threads
			for range repeat {
				e.DispatchThreadgroups(metal.Size{Width: g[0], Height: g[1], Depth: g[2]}, metal.Size{Width: t[0], Height: t[1], Depth: t[2]})
			}
			return nil
		})
		if err == nil {
			err = cb.Commit()
		}
		if err == nil {
			err = cb.Wait()
		}
		if err != nil {
			b.Fatal(err)
		}
		start, end := cb.GPUTime()
		seconds += end - start
		launches += repeat
		cb.Release()
	}
	b.ReportMetric(float64(s.launch.Read+s.launch.Written)*float64(launches)/seconds/1e9, "GB/s")
	b.ReportMetric(seconds/float64(launches)*1e6, "µs/launch")
	b.ReportMetric(0, "ns/op")
}
