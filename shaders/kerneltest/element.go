package kerneltest

import (
	"fmt"
	"math"

	"github.com/gollm/gollm/shaders"
)

// elementCases are functions of values. Each tells of errors relative to the value itself or to the noise of its inputs'
// rounding, whichever is larger: an activation far below zero must keep its digits.
func elementCases() (list []Case) {
	const factor = 1.7
	add := func(name string, f shaders.Element, act uint32, spread float64, want func(a, b float64) float64) {
		for i, n := range []int{1, 1027, 4096} {
			// The length and the function have nothing to do with one another.
			long := i != (int(f)+int(act))%3
			list = append(list, Case{Op: "elementwise", Name: fmt.Sprintf("%s_%d_values", name, n), Long: long, run: func(t *trial) {
				a, b := t.normal(n), t.normal(n)
				for i := range a {
					a[i] *= float32(spread)
				}
				out := t.alloc(4 * n)
				buffers := map[int]memory{shaders.ElementA: t.floats(a), shaders.ElementOut: out}
				if f.Two() {
					buffers[shaders.ElementB] = t.floats(b)
				}
				t.launch(step{shaders.Elementwise(f, n, factor, act), buffers})
				var y []float64
				for i := range a {
					y = append(y, want(float64(a[i]), float64(b[i])))
				}
				t.checkEach(out.floats(), y, n, 1, 1e-6)
			}})
		}
	}
	add("add", shaders.ElementAdd, 0, 1, func(a, b float64) float64 { return a + b })
	add("mul", shaders.ElementMul, 0, 1, func(a, b float64) float64 { return a * b })
	add("scale", shaders.ElementScale, 0, 1, func(a, _ float64) float64 { return a * float64(float32(factor)) })
	add("softcap", shaders.ElementSoftcap, 0, 5, func(a, _ float64) float64 { f := float64(float32(factor)); return f * math.Tanh(a/f) })
	for i, act := range activations {
		for _, range_ := range []struct {
			name   string
			spread float64
		}{{"", 1}, {"near_zero_", 0.01}, {"far_", 40}} {
			add(range_.name+act.name, shaders.ElementActivate, uint32(i), range_.spread, func(a, _ float64) float64 { return act.f(a) })
		}
	}
	for i := range len(activations) + 1 {
		add("glu_"+gluName(i), shaders.ElementGLU, uint32(i), 3, func(a, b float64) float64 { return glu(a, b, i) })
	}
	for _, s := range []struct {
		name        string
		rows, width int
	}{{"one_value", 1, 1}, {"odd_tail", 3, 333}, {"wide", 2, 2048}} {
		list = append(list, Case{Op: "elementwise", Name: "mul_rows_" + s.name, run: func(t *trial) {
			x, f := t.normal(s.rows*s.width), t.normal(s.rows)
			out := t.alloc(4 * len(x))
			t.launch(step{shaders.MulRows(s.rows, s.width), map[int]memory{shaders.ElementA: t.floats(x), shaders.ElementB: t.floats(f), shaders.ElementOut: out}})
			var want []float64
			for i, v := range x {
				want = append(want, float64(v)*float64(f[i/s.width]))
			}
			t.checkEach(out.floats(), want, s.width, 0, 1e-7)
		}}, Case{Op: "elementwise", Name: "scale_by_position_" + s.name, run: func(t *trial) {
			const period, offset, beta = 8192, 1, 0.1
			x := t.normal(s.rows * s.width)
			var positions []int32
			for i := range s.rows {
				positions = append(positions, int32([]int{period - 1, 5, 10 * period}[i]))
			}
			out := t.alloc(4 * len(x))
			t.launch(step{shaders.ScaleByPosition(s.rows, s.width, period, offset, beta), map[int]memory{shaders.ElementA: t.floats(x), shaders.ElementB: t.ints(positions), shaders.ElementOut: out}})
			var want []float64
			for i, v := range x {
				steps := math.Floor(float64(positions[i/s.width]+offset) / period)
				want = append(want, float64(v)*(1+float64(float32(beta))*math.Log(1+steps)))
			}
			t.checkEach(out.floats(), want, s.width, 0, 3e-7)
		}})
	}
	return list
}
