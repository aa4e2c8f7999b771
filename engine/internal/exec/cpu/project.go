package cpu

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// weights is a weight tensor as its kernels read it.
type weights struct {
	table
	integer bool // multiplied with rounded activations
	direct  bool // floats read in place; otherwise rows are decoded
}

func (r *runner) newWeights(t *gguf.Tensor) (weights, error) {
	w, err := newTable(t)
	return weights{table: w, integer: !r.exec.precise && r.Integer(t.Type), direct: r.Direct(t.Type)}, err
}

// project adds the steps of a projection: the input's other forms, then the
// product. An item is a few rows of the weights: few enough to keep every worker
// busy, and below a dozen microseconds.
func (r *runner) project(op *program.Project) error {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	w, err := r.newWeights(op.Linear.Weight)
	if err != nil {
		return err
	}
	finish, err := newFinish(op.Linear)
	if err != nil {
		return err
	}
	if w.integer {
		r.roundRows(op.X, min(few, r.maxRows(op.X)), func() bool { return r.count(x) <= few })
		r.packPanels(op.X, nil)
	} else {
		r.packFloats(op.X, nil)
		r.need.row = max(r.need.row, w.Cols())
	}
	r.need.columns = max(r.need.columns, r.padded(r.maxRows(op.X)))

	chunk := r.chunkRows(w, out.width)
	span := r.rowsOfItem(out.width)
	spans := (out.width + span - 1) / span
	items := func() int {
		switch n := r.count(x); {
		case n == 0:
			return 0
		case n <= few:
			return (out.width + chunk - 1) / chunk
		}
		return spans * r.partsOf(r.count(x), spans)
	}
	r.addProjection(op.X, items, func(wk *worker, item int) {
		n := r.count(x)
		if n > few {
			parts := r.partsOf(n, spans)
			from := item / parts * span
			first, end := r.part(n, parts, item%parts)
			if first < end {
				r.product(wk, w, finish, batch{panel: first / r.Columns, n: end - first, first: first}, out, 0, from, min(span, out.width-from))
			}
			return
		}
		from := item * chunk
		to := min(from+chunk, out.width)
		for i := range n {
			y := out.row(i)[from:to]
			r.rowsTimes(wk, w, y, from, x, i)
			finish.apply(y, 0, from)
		}
	})
	return nil
}

// chunkRows is how many rows of weights make an item when rows of activations
// are few: some 32 KB, and at least some items for each worker. One that has nobody to
// share with takes 128 KB.
func (r *runner) chunkRows(w weights, rows int) int {
	size := 32 << 10
	if r.exec.team.n == 1 {
		size *= 4
	}
	chunk := max(4, size/max(1, w.RowBytes())) &^ 3
	return max(4, min(chunk, (rows/(4*r.exec.team.n)+3)&^3))
}

// rowsTimes writes the products of len(y) rows of weights, from row from on, with row
// i of x.
func (r *runner) rowsTimes(wk *worker, w weights, y []float32, from int, x matrix, i int) {
	stride := w.RowBytes()
	switch {
	case w.integer:
		r.Dot(w.Type, y, w.Data[from*stride:], stride, w.Cols(), &r.input.acts[i])
	case w.direct:
		r.DotFloat(w.Type, y, w.Data[from*stride:], stride, x.row(i))
	default:
		row := wk.row[:w.Cols()]
		for j := range y {
			r.floats(w.table, row, from+j, 0)
			r.DotFloat(gguf.F32, y[j:j+1], bytes(row), 4*len(row), x.row(i))
		}
	}
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

// apply finishes products of an expert (0 without experts), whose first has the
// bias of the given number, counted through all experts.
func (f finish) apply(y []float32, expert, first int) {
	scale := float32(1)
	if f.scale != nil {
		scale = f.scale[expert]
	}
	switch {
	case f.bias == nil && f.scale == nil:
	case f.bias == nil:
		for i := range y {
			y[i] *= scale
		}
	case f.scaleBias:
		for i, b := range f.bias[first : first+len(y)] {
			y[i] = (y[i] + b) * scale
		}
	default:
		for i, b := range f.bias[first : first+len(y)] {
			y[i] = y[i]*scale + b
		}
	}
}
