package ref

import "github.com/gollm/gollm/engine/internal/program"

func (r *runner) project(op *program.Project) (func(), int, error) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	w, err := newWeights(op.Linear.Weight)
	if err != nil {
		return nil, 0, err
	}
	finish, err := newFinish(op.Linear)
	// Goroutines share out the weight's rows, so that each is decoded once for
	// all tokens.
	each := func(worker, from, to int) {
		n := r.count(x)
		for o := from; o < to; o++ {
			row := w.row(o, r.row[worker])
			scale, bias := finish.at(0, o)
			i := 0
			for ; i+4 <= n; i += 4 {
				y := dot4(row, x.row(i), x.row(i+1), x.row(i+2), x.row(i+3))
				for j := range y {
					out.data[(i+j)*out.width+o] = y[j]*scale + bias
				}
			}
			for ; i < n; i++ {
				out.data[i*out.width+o] = dot(row, x.row(i))*scale + bias
			}
		}
	}
	grain := max(1, 1<<15/w.Cols())
	return func() {
		if r.count(x) > 0 {
			r.pool.each(out.width, grain, each)
		}
	}, w.Cols(), err
}

// finish is what a projection does to the products: scale, then bias.
type finish struct {
	scale, bias []float32
	scaleBias   bool
}

func newFinish(l program.Linear) (f finish, err error) {
	if f.scale, err = vector(l.Scale); err != nil {
		return f, err
	}
	f.scaleBias = l.ScaleBias
	f.bias, err = vector(l.Bias)
	return f, err
}

// at returns the scale of an expert (0 without experts) and the bias of one of
// its outputs, counted through all experts.
func (f finish) at(expert, output int) (scale, bias float32) {
	scale = 1
	if f.scale != nil {
		scale = f.scale[expert]
	}
	if f.bias != nil {
		bias = f.bias[output]
	}
	if f.scaleBias {
		bias *= scale
	}
	return scale, bias
}

// dot is Σ a·b in four running sums, which is both faster and closer to the
// exact sum than one.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// dot4 is the dot product of w with four vectors: w is loaded once for all.
// Two running sums each.
func dot4(w, a, b, c, d []float32) [4]float32 {
	var a0, a1, b0, b1, c0, c1, d0, d1 float32
	a, b, c, d = a[:len(w)], b[:len(w)], c[:len(w)], d[:len(w)]
	i := 0
	for ; i+2 <= len(w); i += 2 {
		w0, w1 := w[i], w[i+1]
		a0 += w0 * a[i]
		a1 += w1 * a[i+1]
		b0 += w0 * b[i]
		b1 += w1 * b[i+1]
		c0 += w0 * c[i]
		c1 += w1 * c[i+1]
		d0 += w0 * d[i]
		d1 += w1 * d[i+1]
	}
	if i < len(w) {
		a0 += w[i] * a[i]
		b0 += w[i] * b[i]
		c0 += w[i] * c[i]
		d0 += w[i] * d[i]
	}
	return [4]float32{a0 + a1, b0 + b1, c0 + c1, d0 + d1}
}
