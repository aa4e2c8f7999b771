package ref

import "github.com/gollm/gollm/engine/internal/program"

func (r *runner) project(op *program.Project) (func(), int, error) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	w, err := newWeights(op.Linear.Weight)
	if err != nil {
		return nil, 0, err
	}
	finish, err := newFinish(op.Linear)
	cols := w.Cols()
	// Goroutines share out the weight's rows: each is decoded once for all
	// tokens.
	each := func(worker, from, to int) {
		n := r.count(x)
		put := func(token, output int, y float32) {
			scale, bias := finish.at(0, output)
			out.data[token*out.width+output] = y*scale + bias
		}
		for ; from < to; from += 4 {
			rows := min(4, to-from)
			var row [4][]float32
			for j := range rows {
				row[j] = w.row(from+j, r.row[worker][j*cols:])
			}
			i := 0
			for ; i+4 <= n; i += 4 {
				a, b, c, d := x.row(i), x.row(i+1), x.row(i+2), x.row(i+3)
				for j, w := range row[:rows] {
					ya, yb, yc, yd := dot4(w, a, b, c, d)
					put(i, from+j, ya)
					put(i+1, from+j, yb)
					put(i+2, from+j, yc)
					put(i+3, from+j, yd)
				}
			}
			for ; i < n; i++ {
				y := dotRows(x.row(i), row[:rows])
				for j := range rows {
					put(i, from+j, y[j])
				}
			}
		}
	}
	grain := max(1, 1<<15/cols)
	return func() {
		if r.count(x) > 0 {
			r.pool.each(out.width, grain, each)
		}
	}, 4 * cols, err
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

// dot4 returns the dot products of x with four vectors of its length. Four sums
// side by side are what keeps a scalar processor busy, each is a plain sum in
// order: whether x is one of four tokens' row or one of four weights', the result
// is the same to the last bit, so that it does not depend on how many tokens a
// step has.
func dot4(x, a, b, c, d []float32) (ya, yb, yc, yd float32) {
	a, b, c, d = a[:len(x)], b[:len(x)], c[:len(x)], d[:len(x)]
	for i, v := range x {
		ya += v * a[i]
		yb += v * b[i]
		yc += v * c[i]
		yd += v * d[i]
	}
	return ya, yb, yc, yd
}

// dotRows returns the dot products of x with up to four rows, as dot4 sums.
func dotRows(x []float32, row [][]float32) (y [4]float32) {
	if len(row) == 4 {
		y[0], y[1], y[2], y[3] = dot4(x, row[0], row[1], row[2], row[3])
		return y
	}
	for j, w := range row {
		w = w[:len(x)]
		for i, v := range x {
			y[j] += v * w[i]
		}
	}
	return y
}
