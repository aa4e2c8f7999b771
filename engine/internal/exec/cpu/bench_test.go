package cpu_test

import (
	"fmt"
	"testing"

	"github.com/gollm/gollm/engine/internal/exec/cpu"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// BenchmarkLlama measures tokens a second of a model of SmolLM2-135M's size: of
// decoding at the end of a context of 64, and of a prompt of 512.
func BenchmarkLlama(b *testing.B) {
	for _, typ := range []gguf.Type{gguf.Q4_0, gguf.Q4_1, gguf.Q8_0, gguf.Q4_K, gguf.Q6_K, gguf.F16} {
		m := newLlama(b, smolLM2, typ, 512)
		for _, threads := range []int{1, 0} {
			e := cpu.New(threads, cpu.Options{})
			for _, n := range []int{1, 512} {
				r, err := e.Compile(m.program, m.pool.Memory(), program.Limits{Tokens: n, Outputs: 1})
				if err != nil {
					b.Fatal(err)
				}
				s := m.step(0, n)
				if n == 1 {
					s = m.step(63, 1)
				}
				b.Run(fmt.Sprintf("%s/%d_threads/%d_tokens", typ, e.Threads(), n), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if err := r.Run(s); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tokens/s")
				})
			}
			e.Close()
		}
	}
}
