package shaders_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/kerneltest"
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
	r := newRig(b, kerneltest.Options{})
	for _, typ := range shaders.Types {
		for _, columns := range []int{1, 4, 8} {
			b.Run(fmt.Sprintf("%s/%d", typ, columns), func(b *testing.B) {
				best := kerneltest.Speed{}
				for b.Loop() {
					s, err := r.TimeMatVec(typ, width, rows, columns, 16)
					if err != nil {
						b.Fatal(err)
					}
					if best.Seconds == 0 || s.Seconds < best.Seconds {
						best = s
					}
				}
				b.ReportMetric(best.Rate()/1e9, "GB/s")
				b.ReportMetric(best.Seconds*1e6, "µs/launch")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
