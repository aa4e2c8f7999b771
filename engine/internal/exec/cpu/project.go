package cpu

import (
	"github.com/gollm/gollm/engine/internal/exec/cpu/kernel"
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

// projection is a product of weights with the rows of x. An item is some rows of the
// weights: few enough to keep every worker busy, and below a dozen microseconds.
type projection struct {
	weights
	finish
	x, out matrix

	chunk, chunks int // rows of weights in an item, and items, where rows of x are few
	span, spans   int // and where they are many, see rowsOfItem
}

// project adds the steps of a projection: the input's other forms, then the product.
// Products with the same input that follow one another are one step.
func (r *runner) project(op *program.Project) error {
	p := &projection{x: r.matrix(op.X), out: r.matrix(op.Out)}
	var err error
	if p.weights, err = r.newWeights(op.Linear.Weight); err != nil {
		return err
	}
	if p.finish, err = newFinish(op.Linear); err != nil {
		return err
	}
	if p.integer {
		r.roundRows(op.X, min(few, r.maxRows(op.X)), func() bool { return r.count(p.x) <= few })
		r.packPanels(op.X, nil)
	} else {
		r.packFloats(op.X, nil)
		r.need.row = max(r.need.row, p.Cols())
	}
	r.need.columns = max(r.need.columns, r.padded(r.maxRows(op.X)))
	r.alone = r.alone || p.x.repeat > 1
	p.chunk = r.chunkRows(p.weights, p.out.width)
	p.chunks = (p.out.width + p.chunk - 1) / p.chunk
	p.span = r.rowsOfItem(p.out.width)
	p.spans = (p.out.width + p.span - 1) / p.span

	if last := len(r.steps) - 1; last >= 0 && r.steps[last].of == op.X {
		r.steps[last].projections = append(r.steps[last].projections, p)
		return nil
	}
	at := len(r.steps)
	r.steps = append(r.steps, step{of: op.X, projections: []*projection{p}, items: func() (n int) {
		for _, p := range r.steps[at].projections {
			n += r.itemsOf(p)
		}
		return n
	}})
	return nil
}

// itemsOf is how many items a projection has in this step.
func (r *runner) itemsOf(p *projection) int {
	switch n := r.count(p.x); {
	case n == 0:
		return 0
	case n <= few:
		return p.chunks
	default:
		return p.spans * r.partsOf(n, p.spans)
	}
}

// projectItem does an item of the projections that are step at of r, and of others that
// have few rows, as r then has.
func (r *runner) projectItem(at, id, item int, others []*runner) {
	k, p := 0, r.steps[at].projections[0]
	for n := r.itemsOf(p); item >= n; n = r.itemsOf(p) {
		item, k = item-n, k+1
		p = r.steps[at].projections[k]
	}
	n := r.count(p.x)
	if n > few {
		r.projectMany(p, &r.workers[id], n, item)
		return
	}
	from := item * p.chunk
	to := min(from+p.chunk, p.out.width)
	if p.integer && n+len(others) > 1 {
		r.projectTogether(at, k, id, from, to, others)
		return
	}
	r.projectFew(p, &r.workers[id], from, to)
	for _, o := range others {
		o.projectFew(o.steps[at].projections[k], &o.workers[id], from, to)
	}
}

// projectFew multiplies rows from to to of the weights with each row of x.
func (r *runner) projectFew(p *projection, w *worker, from, to int) {
	for i := range r.count(p.x) {
		y := p.out.row(i)[from:to]
		r.rowsTimes(w, p.weights, y, from, p.x, i)
		p.apply(y, 0, from)
	}
}

// projectTogether is projectFew of projection k of step at, for r and others at once.
func (r *runner) projectTogether(at, k, id, from, to int, others []*runner) {
	p, columns := r.steps[at].projections[k], r.workers[id].columns[:0]
	columns = r.appendColumns(columns, p, from, to)
	for _, o := range others {
		columns = o.appendColumns(columns, o.steps[at].projections[k], from, to)
	}
	stride := p.RowBytes()
	r.Dots(p.Type, columns, p.Data[from*stride:], stride, p.Cols())
	for _, c := range columns {
		p.apply(c.Y, 0, from)
	}
}

func (r *runner) appendColumns(columns []kernel.Column, p *projection, from, to int) []kernel.Column {
	for i := range r.count(p.x) {
		columns = append(columns, kernel.Column{Y: p.out.row(i)[from:to], Act: &r.input.acts[i]})
	}
	return columns
}

// projectMany does an item of a projection of n rows, more than a few.
func (r *runner) projectMany(p *projection, w *worker, n, item int) {
	parts := r.partsOf(n, p.spans)
	from := item / parts * p.span
	first, end := r.part(n, parts, item%parts)
	if first < end {
		r.product(w, p.weights, p.finish, batch{panel: first / r.Columns, n: end - first, first: first}, p.out, 0, from, min(p.span, p.out.width-from))
	}
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
