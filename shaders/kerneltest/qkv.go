package kerneltest

import (
	"fmt"

	"github.com/gollm/gollm/shaders"
)

func qkvCases() []Case {
	return eachPair("matvec_qkv", func(a, b shaders.Type, add func(string, bool, func(*trial))) {
		for i, c := range []struct {
			name       string
			rows       [3]int
			bias, norm bool
		}{
			{"three", [3]int{9, 4, 5}, false, false},
			{"one_row_each_with_bias", [3]int{1, 1, 1}, true, false},
			{"normed", [3]int{3, 8, 2}, false, true},
			{"normed_with_bias", [3]int{5, 2, 7}, true, true},
		} {
			// One variant of each pair of types, and all in a long run.
			add(c.name, int(a+b)%4 != i, func(t *trial) { t.qkv(a, b, c.rows, 1, c.bias, c.norm) })
		}
		if a == b {
			add("two", a != shaders.Q4_K, func(t *trial) { t.qkv(a, b, [3]int{7, 6, 0}, 1, false, true) })
		}
	})
}

func qkvNCases() []Case {
	return eachPair("matvec_qkv_n", func(a, b shaders.Type, add func(string, bool, func(*trial))) {
		few := 3 + int(a)%5
		for i, c := range []struct {
			name       string
			rows       [3]int
			columns    int
			bias, norm bool
		}{
			{"two_columns", [3]int{9, 4, 5}, 2, false, false},
			{fmt.Sprintf("%d_columns_normed", few), [3]int{3, 8, 2}, few, false, true},
			{"most_columns_normed_with_bias", [3]int{5, 2, 7}, shaders.MaxColumns, true, true},
		} {
			add(c.name, int(a+b)%3 != i, func(t *trial) { t.qkv(a, b, c.rows, c.columns, c.bias, c.norm) })
		}
		if a == b {
			add("two", a != shaders.Q4_K, func(t *trial) { t.qkv(a, b, [3]int{7, 6, 0}, 4, false, true) })
		}
	})
}

// eachPair makes the cases of every pair of types that projections in one launch may have.
func eachPair(op string, f func(a, b shaders.Type, add func(name string, long bool, run func(*trial)))) (list []Case) {
	for _, a := range shaders.Types {
		for _, b := range shaders.Types {
			if !shaders.CanMatVecQKV(a, b) {
				continue
			}
			types := a.String()
			if a != b {
				types += "+" + b.String()
			}
			f(a, b, func(name string, long bool, run func(*trial)) {
				list = append(list, Case{Op: op, Type: types, Name: name, Long: long, run: run})
			})
		}
	}
	return list
}

// qkv projects rows of activations by matrices of so many rows.
func (t *trial) qkv(a, b shaders.Type, rows [3]int, columns int, bias, norm bool) {
	const width, eps = 512, 1e-5
	o := shaders.Parts{Bias: bias, Norm: norm}
	x, weights := t.normal(columns*width), t.normal(width)
	buffers := map[int]memory{shaders.QKVX: t.floats(x)}
	if norm {
		buffers[shaders.QKVNorm] = t.floats(weights)
	}
	var want [3][]float64
	var sizes [3]float64
	for m, n := range rows {
		if n == 0 {
			continue
		}
		typ := a
		if m == 2 {
			typ = b
		}
		w, v := t.matrix(typ, width, n), t.normal(n)
		buffers[shaders.QKVWeights+m], buffers[shaders.QKVOut+m] = t.bytes(w.data), t.alloc(4*columns*n)
		if bias {
			buffers[shaders.QKVBias+m] = t.floats(v)
		}
		for j := range columns {
			row := normed(x[j*width:(j+1)*width], weights, eps, norm)
			for i := range n {
				sizes[m] = max(sizes[m], spread(w.row(i), row))
				want[m] = append(want[m], finish(dot(w.row(i), row), v[i], 1, 0, o))
			}
		}
	}
	p := shaders.MatVecQKVParams{Width: width, Rows0: uint32(rows[0]), Rows1: uint32(rows[1]), Rows2: uint32(rows[2]), Eps: eps}
	t.launch(step{shaders.MatVecQKV(a, b, p, bias, norm, columns), buffers})
	for m, n := range rows {
		if n > 0 {
			t.check(buffers[shaders.QKVOut+m].floats(), want[m], n, sizes[m], linearBound)
		}
	}
}
