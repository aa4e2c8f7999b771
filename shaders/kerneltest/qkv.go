package kerneltest

import "github.com/gollm/gollm/shaders"

func qkvCases() (list []Case) {
	for _, a := range shaders.Types {
		for _, b := range shaders.Types {
			if !shaders.CanMatVecQKV(a, b) {
				continue
			}
			types := a.String()
			if a != b {
				types += "+" + b.String()
			}
			add := func(name string, long bool, rows [3]int, bias, norm bool) {
				list = append(list, Case{Op: "matvec_qkv", Type: types, Name: name, Long: long, run: func(t *trial) { t.qkv(a, b, rows, bias, norm) }})
			}
			// One variant of each pair of types, and all in a long run.
			i := int(a+b) % 4
			add("three", i != 0, [3]int{9, 4, 5}, false, false)
			add("one_row_each_with_bias", i != 1, [3]int{1, 1, 1}, true, false)
			add("normed", i != 2, [3]int{3, 8, 2}, false, true)
			add("normed_with_bias", i != 3, [3]int{5, 2, 7}, true, true)
			if a == b {
				add("two", a != shaders.Q4_K, [3]int{7, 6, 0}, false, true)
			}
		}
	}
	return list
}

// qkv projects one row by matrices of so many rows.
func (t *trial) qkv(a, b shaders.Type, rows [3]int, bias, norm bool) {
	const width, eps = 512, 1e-5
	o := shaders.Parts{Bias: bias, Norm: norm}
	x, weights := t.normal(width), t.normal(width)
	buffers := map[int]memory{shaders.QKVX: t.floats(x)}
	if norm {
		buffers[shaders.QKVNorm] = t.floats(weights)
	}
	row := normed(x, weights, eps, norm)
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
		buffers[shaders.QKVWeights+m], buffers[shaders.QKVOut+m] = t.bytes(w.data), t.alloc(4*n)
		if bias {
			buffers[shaders.QKVBias+m] = t.floats(v)
		}
		for i := range n {
			sizes[m] = max(sizes[m], spread(w.row(i), row))
			want[m] = append(want[m], finish(dot(w.row(i), row), v[i], 1, 0, o))
		}
	}
	p := shaders.MatVecQKVParams{Width: width, Rows0: uint32(rows[0]), Rows1: uint32(rows[1]), Rows2: uint32(rows[2]), Eps: eps}
	t.launch(step{shaders.MatVecQKV(a, b, p, bias, norm), buffers})
	for m, n := range rows {
		if n > 0 {
			t.check(buffers[shaders.QKVOut+m].floats(), want[m], n, sizes[m], linearBound)
		}
	}
}
