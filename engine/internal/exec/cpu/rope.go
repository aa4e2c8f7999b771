package cpu

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
)

// ropeTable holds the sines and cosines of a step's positions, which all layers
// with the same rotation share.
type ropeTable struct {
	half     int
	sin, cos []float32 // [tokens][half]
}

// ropeOf returns the table of a rotation; the first time it adds the step that
// fills it.
func (r *runner) ropeOf(rope *program.Rope) (*ropeTable, error) {
	if t := r.ropes[rope]; t != nil {
		return t, nil
	}
	factors, err := vector(rope.Factors)
	if err != nil {
		return nil, err
	}
	freq, magnitude := rope.Frequencies(factors)
	n := len(freq)
	t := &ropeTable{half: n, sin: make([]float32, r.limits.Tokens*n), cos: make([]float32, r.limits.Tokens*n)}
	r.add(r.tokens, func(_ *worker, i int) {
		s, c := t.sin[i*n:(i+1)*n], t.cos[i*n:(i+1)*n]
		for j, f := range freq {
			a, b := math.Sincos(float64(r.step.Positions[i]) * f)
			s[j], c[j] = float32(a*magnitude), float32(b*magnitude)
		}
	})
	r.ropes[rope] = t
	return t, nil
}

func (r *runner) rope(op *program.RoPE) error {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	t, err := r.ropeOf(op.Rope)
	if err != nil {
		return err
	}
	half, dims := t.half, op.Rope.Dims
	r.addRows(func(_ *worker, i int) {
		s, c := t.sin[i*half:(i+1)*half], t.cos[i*half:(i+1)*half]
		src, dst := x.row(i), out.row(i)
		for h := 0; h < len(src); h += op.Head {
			a, y := src[h:h+op.Head], dst[h:h+op.Head]
			copy(y[dims:], a[dims:])
			if op.Rope.Pairing == program.Halves {
				rotateHalves(y, a, s, c)
			} else {
				rotateAdjacent(y, a, s, c)
			}
		}
	}, x, out)
	return nil
}

func rotateHalves(y, x, s, c []float32) {
	n := len(s)
	c = c[:n]
	x0, x1, y0, y1 := x[:n], x[n:2*n], y[:n], y[n:2*n]
	for j, s := range s {
		a, b := x0[j], x1[j]
		y0[j], y1[j] = a*c[j]-b*s, a*s+b*c[j]
	}
}

func rotateAdjacent(y, x, s, c []float32) {
	c = c[:len(s)]
	for j, s := range s {
		p, q := (*[2]float32)(x[2*j:]), (*[2]float32)(y[2*j:])
		q[0], q[1] = p[0]*c[j]-p[1]*s, p[0]*s+p[1]*c[j]
	}
}
