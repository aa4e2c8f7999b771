package kerneltest

import (
	"math"

	"github.com/gollm/gollm/shaders"
)

func normCases() (list []Case) {
	for _, s := range []struct {
		name               string
		rows, width, group int
		o                  shaders.NormOptions
		mean               float64 // of the inputs
		quiet              bool    // the last row is all zeros
	}{
		{name: "one_value", rows: 1, width: 1, group: 1, o: shaders.NormOptions{Weight: true, Weights: 1}},
		{name: "one_row", rows: 1, width: 576, group: 576, o: shaders.NormOptions{Weight: true, Weights: 576}},
		{name: "odd_tail", rows: 3, width: 515, group: 515, o: shaders.NormOptions{Weight: true, Weights: 515}},
		{name: "several_rounds", rows: 2, width: 5000, group: 5000, o: shaders.NormOptions{Weight: true, Weights: 5000}},
		{name: "no_weights", rows: 2, width: 64, group: 64},
		{name: "zeros", rows: 2, width: 100, group: 100, o: shaders.NormOptions{Weight: true, Weights: 100}, quiet: true},
		{name: "heads", rows: 3, width: 9 * 64, group: 64, o: shaders.NormOptions{Weight: true, Weights: 64}},
		{name: "odd_heads", rows: 3, width: 7 * 33, group: 33, o: shaders.NormOptions{Weight: true, Weights: 33}},
		{name: "heads_own_weights", rows: 5, width: 5 * 40, group: 40, o: shaders.NormOptions{Weight: true, Weights: 5 * 40}},
		{name: "heads_no_weights", rows: 2, width: 2 * 128, group: 128},
		{name: "centred", rows: 3, width: 768, group: 768, o: shaders.NormOptions{Centred: true, Weight: true, Bias: true, Weights: 768}, mean: 3},
		{name: "centred_no_bias", rows: 2, width: 130, group: 130, o: shaders.NormOptions{Centred: true, Weight: true, Weights: 130}, mean: -2},
		{name: "centred_alone", rows: 2, width: 65, group: 65, o: shaders.NormOptions{Centred: true}, mean: 1},
		{name: "centred_heads", rows: 3, width: 6 * 80, group: 80, o: shaders.NormOptions{Centred: true, Weight: true, Bias: true, Weights: 80}, mean: 3},
	} {
		list = append(list, Case{Op: "norm", Name: s.name, run: func(t *trial) {
			o := s.o
			o.Eps = 1e-5
			x, weight, bias := t.normal(s.rows*s.width), t.normal(o.Weights), t.normal(o.Weights)
			for i := range x {
				x[i] += float32(s.mean)
				if s.quiet && i >= (s.rows-1)*s.width {
					x[i] = 0
				}
			}
			out := t.alloc(4 * len(x))
			buffers := map[int]memory{shaders.NormX: t.floats(x), shaders.NormOut: out}
			if o.Weight {
				buffers[shaders.NormWeight] = t.floats(weight)
			}
			if o.Bias {
				buffers[shaders.NormBias] = t.floats(bias)
			}
			t.launch(step{shaders.Norm(s.rows, s.width, s.group, o), buffers})
			var want []float64
			for from := 0; from < len(x); from += s.group {
				group := x[from : from+s.group]
				mean, square := 0.0, 0.0
				if o.Centred {
					for _, v := range group {
						mean += float64(v) / float64(s.group)
					}
				}
				for _, v := range group {
					square += (float64(v) - mean) * (float64(v) - mean) / float64(s.group)
				}
				for i, v := range group {
					y := (float64(v) - mean) / math.Sqrt(square+float64(o.Eps))
					if o.Weight {
						y *= float64(weight[(from+i)%o.Weights%s.width])
					}
					if o.Bias {
						y += float64(bias[(from+i)%o.Weights%s.width])
					}
					want = append(want, y)
				}
			}
			t.check(out.floats(), want, s.width, 0, 1e-6)
		}})
	}
	return list
}
