package shaders_test

import (
	"fmt"
	"testing"

	"github.com/gollm/gollm/shaders"
)

func TestMatVecQKV(t *testing.T) {
	r := newRig(t)
	for _, a := range shaders.Types {
		for _, b := range shaders.Types {
			if !shaders.CanMatVecQKV(a, b) {
				continue
			}
			o := shaders.Parts{Bias: r.rng.IntN(2) == 0, Norm: r.rng.IntN(2) == 0}
			rows := [3]int{1 + r.rng.IntN(9), 1 + r.rng.IntN(9), 1 + r.rng.IntN(9)}
			if a == b && r.rng.IntN(3) == 0 {
				rows[2] = 0
			}
			const width, eps = 512, 1e-5
			x, norm := r.normal(width), r.normal(width)
			buffers := map[int]memory{shaders.QKVX: r.floats(x)}
			if o.Norm {
				buffers[shaders.QKVNorm] = r.floats(norm)
			}
			row := normed(x, norm, eps, o.Norm)
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
				w, bias := r.matrix(typ, width, n), r.normal(n)
				buffers[shaders.QKVWeights+m], buffers[shaders.QKVOut+m] = r.bytes(w.data), r.alloc(4*n)
				if o.Bias {
					buffers[shaders.QKVBias+m] = r.floats(bias)
				}
				for i := range n {
					sizes[m] = max(sizes[m], size(w.row(i), row))
					want[m] = append(want[m], finish(dot(w.row(i), row), bias[i], 1, 0, o))
				}
			}
			p := shaders.MatVecQKVParams{Width: width, Rows0: uint32(rows[0]), Rows1: uint32(rows[1]), Rows2: uint32(rows[2]), Eps: eps}
			r.run(step{shaders.MatVecQKV(a, b, p, o.Bias, o.Norm), buffers})
			for m, n := range rows {
				if n > 0 {
					r.check(fmt.Sprintf("%s %s matrix %d %+v", a, b, m, o), buffers[shaders.QKVOut+m].floats(), want[m], n, sizes[m], bound)
				}
			}
		}
	}
}
