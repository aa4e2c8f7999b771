package cpu

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
)

// affine is a norm's decoded weight and bias, of the row's width.
type affine struct{ weight, bias []float32 }

func (r *runner) newAffine(n program.Norm, width int) (a affine, err error) {
	if a.weight, err = vector(n.Weight); err != nil {
		return a, err
	}
	if a.bias, err = vector(n.Bias); err != nil {
		return a, err
	}
	a.weight, a.bias = repeat(a.weight, width), repeat(a.bias, width)
	if a.weight == nil {
		a.weight = r.ones[:width]
	}
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

func (r *runner) rmsNorm(op *program.RMSNorm) error {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	a, err := r.newAffine(op.Norm, x.width)
	r.need.row = max(r.need.row, 1)
	r.addRows(func(w *worker, i int) {
		src, dst := x.row(i), out.row(i)
		f := &w.row[0]
		for g := 0; g < len(src); g += op.Group {
			r.Squares(src[g:g+op.Group], f)
			*f = float32(1 / math.Sqrt(float64(*f)/float64(op.Group)+float64(op.Norm.Eps)))
			r.ScaleMul(dst[g:g+op.Group], src[g:], a.weight[g:], f)
		}
		if a.bias != nil {
			r.Add(dst, dst, a.bias)
		}
	}, x, out)
	return err
}

func (r *runner) layerNorm(op *program.LayerNorm) error {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	a, err := r.newAffine(op.Norm, x.width)
	r.addRows(func(_ *worker, i int) {
		src, dst := x.row(i), out.row(i)
		for g := 0; g < len(src); g += op.Group {
			n := float64(op.Group)
			mean, variance := 0.0, 0.0
			for _, v := range src[g : g+op.Group] {
				mean += float64(v)
			}
			mean /= n
			for _, v := range src[g : g+op.Group] {
				variance += (float64(v) - mean) * (float64(v) - mean)
			}
			scale := 1 / math.Sqrt(variance/n+float64(op.Norm.Eps))
			for j := g; j < g+op.Group; j++ {
				dst[j] = float32((float64(src[j])-mean)*scale) * a.weight[j]
			}
		}
		if a.bias != nil {
			r.Add(dst, dst, a.bias)
		}
	}, x, out)
	return err
}
