package ref

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
)

func (r *runner) rope(op *program.RoPE) (func(), int, error) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	factors, err := vector(op.Rope.Factors)
	if err != nil {
		return nil, 0, err
	}
	freq, magnitude := op.Rope.Frequencies(factors)
	half := op.Rope.Dims / 2
	sin, cos := make([]float32, r.limits.Tokens*half), make([]float32, r.limits.Tokens*half)
	each := func(_, from, to int) {
		for i := from; i < to; i++ {
			s, c := sin[i*half:(i+1)*half], cos[i*half:(i+1)*half]
			for j, f := range freq {
				a, b := math.Sincos(float64(r.step.Positions[i]) * f)
				s[j], c[j] = float32(a*magnitude), float32(b*magnitude)
			}
			src, dst := x.row(i), out.row(i)
			copy(dst, src)
			for h := 0; h < len(src); h += op.Head {
				for j := range half {
					a, b := h+2*j, h+2*j+1
					if op.Rope.Pairing == program.Halves {
						a, b = h+j, h+j+half
					}
					dst[a] = src[a]*c[j] - src[b]*s[j]
					dst[b] = src[a]*s[j] + src[b]*c[j]
				}
			}
		}
	}
	return func() { r.pool.each(r.n, 8, each) }, 0, nil
}
