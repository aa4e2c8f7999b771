package kerneltest

import (
	"cmp"
	"math"
	"slices"

	"github.com/gollm/gollm/shaders"
)

// logits draws rows of random values, each then changed if there is a change.
func (t *trial) logits(rows, width int, change func(row []float32)) []float32 {
	x := t.normal(rows * width)
	for i := 0; i < len(x) && change != nil; i += width {
		change(x[i : i+width])
	}
	return x
}

// fill is a change that makes all of a row v.
func fill(v float32) func(row []float32) {
	return func(row []float32) {
		for i := range row {
			row[i] = v
		}
	}
}

func topKCases() (list []Case) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, s := range []struct {
		name           string
		rows, width, k int
		change         func(row []float32)
	}{
		{"one_value", 1, 1, 1, nil},
		{"less_than_a_simdgroup", 1, 7, 3, nil},
		{"all_of_them", 2, 33, 33, nil},
		{"odd_tail", 3, 1025, 5, nil},
		{"greedy", 2, 32003, 1, nil},
		{"many_rounds", 2, 5000, 40, nil},
		{"all_equal", 2, 100, 10, fill(-3)},
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
		{"infinite", 1, 64, 3, func(row []float32) { row[50], row[3], row[9] = inf, -inf, inf }},
		{"not_numbers", 2, 70, 5, func(row []float32) {
			for i := range row {
				if i%20 != 7 { // four are left
					row[i] = nan
				}
			}
		}},
	} {
		list = append(list, Case{Op: "top_k", Name: s.name, run: func(t *trial) {
			x := t.logits(s.rows, s.width, s.change)
			ids, values := t.alloc(4*s.rows*s.k), t.alloc(4*s.rows*s.k)
			t.launch(step{shaders.TopK(s.rows, s.width, s.k), map[int]memory{shaders.SampleX: t.floats(x), shaders.SampleIDs: ids, shaders.SampleValues: values}})
			var want []int32
			for row := range s.rows {
				logits := x[row*s.width : (row+1)*s.width]
				var order []int32
				for i, v := range logits {
					if v == v {
						order = append(order, int32(i))
					}
				}
				slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(logits[b], logits[a]) })
				for len(order) < s.k {
					order = append(order, -1)
				}
				want = append(want, order[:s.k]...)
			}
			got := ids.ints()
			same(t, "the numbers", got, want)
			for i, id := range got {
				if v := values.floats()[i]; id >= 0 && v != x[i/s.k*s.width+int(id)] {
					t.fail("value %d is %v, want %v", i, v, x[i/s.k*s.width+int(id)])
				}
			}
		}})
	}
	return list
}

// greedy is what package sample picks at temperature 0: the first of the largest, -1 for what it refuses.
func greedy(row []float32) int32 {
	best, top := int32(-1), float32(math.Inf(-1))
	for i, v := range row {
		if v != v {
			return -1
		}
		if v > top {
			best, top = int32(i), v
		}
	}
	if math.IsInf(float64(top), 1) {
		return -1
	}
	return best
}

func argMaxCases() (list []Case) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, s := range []struct {
		name        string
		rows, width int
		change      func(row []float32)
	}{
		{"one_value", 1, 1, nil},
		{"less_than_a_simdgroup", 3, 7, nil},
		{"rows_not_aligned", 3, 1023, nil},
		{"odd_tail", 2, 5001, nil},
		{"many_rounds", 2, 32000, nil},
		{"all_equal", 2, 5000, fill(-3)},
		{"negative", 2, 500, func(row []float32) {
			for i := range row {
				row[i] = -float32(math.Abs(float64(row[i])))
			}
		}},
		{"few_levels", 4, 9000, func(row []float32) {
			for i := range row {
				row[i] = float32(math.Round(float64(row[i])))
			}
		}},
		{"ties_far_apart", 2, 8192, func(row []float32) { row[8191], row[4097], row[4100] = 99, 99, 99 }},
		{"zeros_of_both_signs", 1, 64, func(row []float32) {
			fill(-1)(row)
			row[9], row[5] = 0, float32(math.Copysign(0, -1))
		}},
		{"smallest_numbers", 1, 64, func(row []float32) {
			fill(0)(row)
			row[40], row[41] = math.SmallestNonzeroFloat32, 2*math.SmallestNonzeroFloat32
		}},
		{"one_finite", 1, 300, func(row []float32) {
			fill(-inf)(row)
			row[277] = -math.MaxFloat32
		}},
		{"none_finite", 1, 300, fill(-inf)},
		{"infinite", 1, 300, func(row []float32) { row[7] = inf }},
		{"not_a_number", 2, 300, func(row []float32) { row[299] = nan }},
		{"negative_not_a_number", 2, 300, func(row []float32) { row[0] = float32(math.Copysign(math.NaN(), -1)) }},
	} {
		list = append(list, Case{Op: "argmax", Name: s.name, run: func(t *trial) {
			x := t.logits(s.rows, s.width, s.change)
			ids := t.alloc(4 * s.rows)
			t.launch(step{shaders.ArgMax(s.rows, s.width), map[int]memory{shaders.SampleX: t.floats(x), shaders.SampleIDs: ids}})
			var want []int32
			for row := range s.rows {
				want = append(want, greedy(x[row*s.width:(row+1)*s.width]))
			}
			same(t, "the numbers", ids.ints(), want)
		}})
	}
	return list
}

func logSumExpCases() (list []Case) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, s := range []struct {
		name        string
		rows, width int
		change      func(row []float32)
	}{
		{"one_value", 1, 1, nil},
		{"less_than_a_simdgroup", 3, 7, nil},
		{"odd_tail", 2, 5001, nil},
		{"many_rounds", 2, 32003, nil},
		{"all_equal", 2, 5000, fill(-3)},
		{"far_from_zero", 2, 3000, func(row []float32) {
			for i := range row {
				row[i] = 30*row[i] - 1000
			}
		}},
		{"too_large_for_exp", 2, 300, fill(300)},
		{"not_numbers", 2, 300, func(row []float32) { row[299], row[0] = nan, -inf }},
		{"no_number", 2, 70, fill(nan)},
		{"none_finite", 1, 300, fill(-inf)},
		{"infinite", 1, 300, func(row []float32) { row[7] = inf }},
	} {
		list = append(list, Case{Op: "logsumexp", Name: s.name, run: func(t *trial) {
			x := t.logits(s.rows, s.width, s.change)
			values := t.alloc(4 * s.rows)
			t.launch(step{shaders.LogSumExp(s.rows, s.width), map[int]memory{shaders.SampleX: t.floats(x), shaders.SampleValues: values}})
			for row, got := range values.floats() {
				if want := logSumExp(x[row*s.width : (row+1)*s.width]); math.IsInf(want, 0) {
					same(t, "the sum", []float32{got}, []float32{float32(want)})
				} else {
					t.checkEach([]float32{got}, []float64{want}, 1, 1, 4e-6)
				}
			}
		}})
	}
	return list
}

func logSumExp(row []float32) float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range row {
		if v == v {
			top = max(top, float64(v))
		}
	}
	if math.IsInf(top, 0) {
		return top
	}
	for _, v := range row {
		if v == v {
			sum += math.Exp(float64(v) - top)
		}
	}
	return top + math.Log(sum)
}
