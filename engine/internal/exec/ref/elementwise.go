package ref

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
)

// elementwise runs f over the rows of x in parallel where there are many.
func (r *runner) elementwise(x matrix, f func(row int)) func() {
	each := func(_, from, to int) {
		for i := from; i < to; i++ {
			f(i)
		}
	}
	return func() { r.pool.each(r.count(x), 8, each) }
}

func (r *runner) add(op *program.Add) func() {
	a, b, out := r.matrix(op.A), r.matrix(op.B), r.matrix(op.Out)
	return r.elementwise(out, func(i int) {
		x, y, dst := a.row(i), b.row(i), out.row(i)
		for j := range dst {
			dst[j] = x[j] + y[j]
		}
	})
}

func (r *runner) mul(op *program.Mul) func() {
	a, b, out := r.matrix(op.A), r.matrix(op.B), r.matrix(op.Out)
	return r.elementwise(out, func(i int) {
		x, y, dst := a.row(i), b.row(i), out.row(i)
		if b.width == 1 {
			for j := range dst {
				dst[j] = x[j] * y[0]
			}
			return
		}
		for j := range dst {
			dst[j] = x[j] * y[j]
		}
	})
}

func (r *runner) scale(op *program.Scale) func() {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	return r.elementwise(out, func(i int) {
		src, dst := x.row(i), out.row(i)
		for j := range dst {
			dst[j] = src[j] * op.Factor
		}
	})
}

func (r *runner) scaleByPosition(op *program.ScaleByPosition) func() {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	return r.elementwise(out, func(i int) {
		p := (int(r.step.Positions[i]) + op.Offset) / op.Period
		f := float32(1 + float64(op.Beta)*math.Log1p(float64(p)))
		src, dst := x.row(i), out.row(i)
		for j := range dst {
			dst[j] = src[j] * f
		}
	})
}

func (r *runner) softcap(op *program.Softcap) func() {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	return r.elementwise(out, func(i int) {
		src, dst := x.row(i), out.row(i)
		for j := range dst {
			dst[j] = squash(src[j], op.Cap)
		}
	})
}

// squash is cap·tanh(x/cap).
func squash(x, limit float32) float32 {
	return limit * float32(math.Tanh(float64(x/limit)))
}

func (r *runner) activate(op *program.Activate) func() {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	act := activation(op.Act)
	return r.elementwise(out, func(i int) {
		src, dst := x.row(i), out.row(i)
		for j := range dst {
			dst[j] = float32(act(float64(src[j])))
		}
	})
}

func (r *runner) glu(op *program.GLU) func() {
	gate, up, out := r.matrix(op.Gate), r.matrix(op.Up), r.matrix(op.Out)
	if op.Act == program.GPTOSS {
		return r.elementwise(out, func(i int) {
			g, u, dst := gate.row(i), up.row(i), out.row(i)
			for j := range dst {
				x := min(float64(g[j]), 7)
				y := max(-7, min(float64(u[j]), 7))
				dst[j] = float32(x * sigmoid(1.702*x) * (y + 1))
			}
		})
	}
	act := activation(op.Act)
	return r.elementwise(out, func(i int) {
		g, u, dst := gate.row(i), up.row(i), out.row(i)
		for j := range dst {
			dst[j] = float32(act(float64(g[j]))) * u[j]
		}
	})
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// activation returns the function of the doc comment of each Activation.
func activation(a program.Activation) func(x float64) float64 {
	switch a {
	case program.SiLU:
		return func(x float64) float64 { return x * sigmoid(x) }
	case program.GELU:
		return func(x float64) float64 {
			return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*x*(1+0.044715*x*x)))
		}
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
	panic("ref: " + a.String() + " is not element-wise")
}
