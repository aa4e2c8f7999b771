package shaders_test

import (
	"math"
	"slices"
	"testing"

	"github.com/gollm/gollm/shaders"
)

func TestTopK(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name           string
		rows, width, k int
		change         func(row []float32)
	}{
		{"one_value", 1, 1, 1, nil},
		{"less_than_a_simdgroup", 1, 7, 3, nil},
		{"all_of_them", 2, 33, 33, nil},
		{"odd_tail", 3, 1025, 5, nil},
		{"many_rounds", 2, 5000, 40, nil},
		{"all_equal", 2, 100, 10, func(row []float32) {
			for i := range row {
				row[i] = -3
			}
		}},
		{"few_levels", 2, 3000, 50, func(row []float32) {
			for i := range row {
				row[i] = float32(math.Round(float64(row[i])))
			}
		}},
		{"zeros_of_both_signs", 1, 64, 64, func(row []float32) {
			for i := range row {
				row[i] = float32(math.Copysign(0, float64(row[i])))
			}
		}},
		{"infinite", 1, 64, 3, func(row []float32) {
			row[50], row[3], row[9] = float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Inf(1))
		}},
		{"not_numbers", 2, 70, 5, func(row []float32) {
			for i := range row {
				if i%20 != 7 { // four are left
					row[i] = float32(math.NaN())
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := r.normal(c.rows * c.width)
			for i := 0; i < len(x) && c.change != nil; i += c.width {
				c.change(x[i : i+c.width])
			}
			ids, values := r.alloc(4*c.rows*c.k), r.alloc(4*c.rows*c.k)
			r.run(step{shaders.TopK(c.rows, c.width, c.k), map[int]memory{shaders.SampleX: r.floats(x), shaders.SampleIDs: ids, shaders.SampleValues: values}})
			for row := range c.rows {
				logits := x[row*c.width : (row+1)*c.width]
				var order []int32
				for i, v := range logits {
					if v == v {
						order = append(order, int32(i))
					}
				}
				slices.SortStableFunc(order, func(a, b int32) int {
					switch x, y := logits[a], logits[b]; {
					case x > y:
						return -1
					case x < y:
						return 1
					}
					return 0
				})
				for len(order) < c.k {
					order = append(order, -1)
				}
				got := ids.ints()[row*c.k : (row+1)*c.k]
				if want := order[:c.k]; !slices.Equal(got, want) {
					t.Fatalf("row %d: %v, want %v", row, got, want)
				}
				for i, id := range got {
					if v := values.floats()[row*c.k+i]; id >= 0 && v != logits[id] {
						t.Errorf("row %d: value %d is %v, want %v", row, i, v, logits[id])
					}
				}
			}
		})
	}
}
