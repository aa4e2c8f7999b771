package cpu

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
)

// span is how many columns of a row make an item of an element-wise op.
const span = 2048

// elementwise adds a step that calls f for the columns [from, to) of every row
// of out.
func (r *runner) elementwise(f func(row, from, to int), out matrix, in ...matrix) {
	parts := (out.width + span - 1) / span
	if parts == 1 {
		r.addRows(func(_ *worker, i int) { f(i, 0, out.width) }, append([]matrix{out}, in...)...)
		return
	}
	r.add(func() int { return r.count(out) * parts }, func(_ *worker, item int) {
		from := item % parts * span
		f(item/parts, from, min(from+span, out.width))
	})
}

func (r *runner) sum(op *program.Add) {
	a, b, out := r.matrix(op.A), r.matrix(op.B), r.matrix(op.Out)
	r.elementwise(func(i, from, to int) {
		r.Add(out.row(i)[from:to], a.row(i)[from:to], b.row(i)[from:to])
	}, out, a, b)
}

func (r *runner) mul(op *program.Mul) {
	a, b, out := r.matrix(op.A), r.matrix(op.B), r.matrix(op.Out)
	one := float32(1)
	r.elementwise(func(i, from, to int) {
		if b.width == 1 {
			r.ScaleMul(out.row(i)[from:to], a.row(i)[from:to], r.ones, &b.row(i)[0])
			return
		}
		r.ScaleMul(out.row(i)[from:to], a.row(i)[from:to], b.row(i)[from:to], &one)
	}, out, a, b)
}

func (r *runner) scale(op *program.Scale) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	r.elementwise(func(i, from, to int) {
		r.ScaleMul(out.row(i)[from:to], x.row(i)[from:to], r.ones, &op.Factor)
	}, out, x)
}

func (r *runner) scaleByPosition(op *program.ScaleByPosition) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	r.elementwise(func(i, from, to int) {
		p := (int(r.step.Positions[i]) + op.Offset) / op.Period
		f := float32(1 + float64(op.Beta)*math.Log1p(float64(p)))
		src, dst := x.row(i)[from:to], out.row(i)[from:to]
		for j, v := range src {
			dst[j] = v * f
		}
	}, out, x)
}

func (r *runner) softcap(op *program.Softcap) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	r.elementwise(func(i, from, to int) {
		src, dst := x.row(i)[from:to], out.row(i)[from:to]
		for j, v := range src {
			dst[j] = squash(v, op.Cap)
		}
	}, out, x)
}

// squash is cap·tanh(x/cap).
func squash(x, limit float32) float32 {
	return limit * float32(math.Tanh(float64(x/limit)))
}

func (r *runner) activate(op *program.Activate) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	act := r.gate(op.Act)
	r.elementwise(func(i, from, to int) { act(out.row(i)[from:to], x.row(i)[from:to], r.ones) }, out, x)
}

func (r *runner) glu(op *program.GLU) {
	gate, up, out := r.matrix(op.Gate), r.matrix(op.Up), r.matrix(op.Out)
	act := r.gate(op.Act)
	r.elementwise(func(i, from, to int) { act(out.row(i)[from:to], gate.row(i)[from:to], up.row(i)[from:to]) }, out, gate, up)
}

// gate returns the function act(g)·u.
func (r *runner) gate(a program.Activation) func(y, g, u []float32) {
	switch a {
	case program.SiLU:
		return r.SiLU
	case program.GELU:
		return r.GELU
	case program.GPTOSS:
		return func(y, g, u []float32) {
			for j := range y {
				x, z := min(float64(g[j]), 7), max(-7, min(float64(u[j]), 7))
				y[j] = float32(x * sigmoid(1.702*x) * (z + 1))
			}
		}
	}
	f := plain(a)
	return func(y, g, u []float32) {
		for j, v := range g[:len(y)] {
			y[j] = float32(f(float64(v))) * u[j]
		}
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// plain returns the function of an activation without a kernel.
func plain(a program.Activation) func(x float64) float64 {
	switch a {
	case program.GELUErf:
		return func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }
	case program.ReLU:
		return func(x float64) float64 { return max(x, 0) }
	case program.ReLUSquared:
		return func(x float64) float64 { return max(x, 0) * max(x, 0) }
	case program.Sigmoid:
		return sigmoid
	case program.Tanh:
		return math.Tanh
	}
	panic("cpu: " + a.String() + " is not element-wise")
}
