package ref

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
)

// affine is a norm's decoded weight and bias, repeated to the row's width.
type affine struct{ weight, bias []float32 }

func newAffine(n program.Norm, width int) (a affine, err error) {
	if a.weight, err = vector(n.Weight); err != nil {
		return a, err
	}
	if a.bias, err = vector(n.Bias); err != nil {
		return a, err
	}
	a.weight, a.bias = repeat(a.weight, width), repeat(a.bias, width)
	return a, nil
}

// repeat tiles v to n values; nil stays nil.
func repeat(v []float32, n int) []float32 {
	if v == nil || len(v) == n {
		return v
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = v[i%len(v)]
	}
	return out
}

func (a affine) apply(row []float32) {
	if a.weight != nil {
		for i, w := range a.weight {
			row[i] *= w
		}
	}
	if a.bias != nil {
		for i, b := range a.bias {
			row[i] += b
		}
	}
}

func (r *runner) rmsNorm(op *program.RMSNorm) (func(), int, error) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	a, err := newAffine(op.Norm, x.width)
	each := func(_, from, to int) {
		for i := from; i < to; i++ {
			src, dst := x.row(i), out.row(i)
			for g := 0; g < len(src); g += op.Group {
				sum := 0.0
				for _, v := range src[g : g+op.Group] {
					sum += float64(v) * float64(v)
				}
				scale := float32(1 / math.Sqrt(sum/float64(op.Group)+float64(op.Norm.Eps)))
				for j := g; j < g+op.Group; j++ {
					dst[j] = src[j] * scale
				}
			}
			a.apply(dst)
		}
	}
	return func() { r.pool.each(r.count(x), 16, each) }, 0, err
}

func (r *runner) layerNorm(op *program.LayerNorm) (func(), int, error) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	a, err := newAffine(op.Norm, x.width)
	each := func(_, from, to int) {
		for i := from; i < to; i++ {
			src, dst := x.row(i), out.row(i)
			for g := 0; g < len(src); g += op.Group {
				n := float64(op.Group)
				mean, variance := 0.0, 0.0
				for _, v := range src[g : g+op.Group] {
					mean += float64(v) / n
				}
				for _, v := range src[g : g+op.Group] {
					variance += (float64(v) - mean) * (float64(v) - mean) / n
				}
				scale := 1 / math.Sqrt(variance+float64(op.Norm.Eps))
				for j := g; j < g+op.Group; j++ {
					dst[j] = float32((float64(src[j]) - mean) * scale)
				}
			}
			a.apply(dst)
		}
	}
	return func() { r.pool.each(r.count(x), 16, each) }, 0, err
}
