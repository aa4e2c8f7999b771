package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gollm/gollm/gguf"
)

// TestDots: several columns at once are, to the last bit, what each is alone, whether
// they are as many as a kernel takes or not, rows are odd and the last block stands alone.
func TestDots(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for typ := range gguf.Type(types) {
			if !s.Integer(typ) {
				continue
			}
			for _, blocks := range []int{1, 3, 4, 5, 6, 7, 18} {
				cols := blocks * typ.BlockSize()
				const most = 2*columnsAtOnce + 1
				for _, rows := range []int{1, 4, 7} {
					w, _ := weights(r, typ, rows, cols)
					var columns []Column
					var want [][]float32
					for range most {
						a := quantized(s, normal(r, cols))
						columns = append(columns, Column{Y: make([]float32, rows), Act: &a.act})
						y := make([]float32, rows)
						s.Dot(typ, y, w, typ.RowBytes(cols), cols, &a.act)
						want = append(want, y)
					}
					for n := 1; n <= most; n++ {
						for _, c := range columns {
							clear(c.Y)
						}
						s.Dots(typ, columns[:n:n], w, typ.RowBytes(cols), cols)
						for i, c := range columns[:n] {
							if !slices.Equal(c.Y, want[i]) {
								t.Fatalf("%s, %d blocks, %d rows, column %d of %d: %v, alone %v", typ, blocks, rows, i, n, c.Y, want[i])
							}
						}
					}
				}
			}
		}
	})
}

// BenchmarkDots multiplies 32 KB of weights, as an item of a projection does, with some
// columns.
func BenchmarkDots(b *testing.B) {
	s, r := Sets()[0], rand.New(rand.NewPCG(1, 2))
	for _, typ := range []gguf.Type{gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q8_0, gguf.Q4_K, gguf.Q6_K} {
		for _, cols := range []int{512, 5632} {
			rows := (32 << 10) / typ.RowBytes(cols)
			w, _ := weights(r, typ, rows, cols)
			var columns []Column
			for range columnsAtOnce {
				columns = append(columns, Column{Y: make([]float32, rows), Act: &quantized(s, normal(r, cols)).act})
			}
			for n := 1; n <= columnsAtOnce; n++ {
				b.Run(fmt.Sprintf("%s/%d_values/%d_columns", typ, cols, n), func(b *testing.B) {
					for b.Loop() {
						s.Dots(typ, columns[:n:n], w, typ.RowBytes(cols), cols)
					}
					b.ReportMetric(float64(b.N*n*rows*cols)/b.Elapsed().Seconds()/1e9, "Gweights/s")
				})
			}
		}
	}
}
