package cpu

import (
	"slices"

	"github.com/gollm/gollm/engine/internal/exec/cpu/kernel"
	"github.com/gollm/gollm/engine/internal/program"
)

// few is the most rows of activations that are multiplied one by one. For more,
// weights are written out as panels, which pays from some five rows on.
const few = 4

// input is the activations that projections read, in the forms their kernels
// want. It is made once for all projections of a tensor that follow one another.
type input struct {
	// Rounded rows: of q and the others K, K/32, K/32 and K/16 for each row.
	q       []int16
	d, s, h []float32
	acts    []kernel.Act
	wide    []byte // of each row what Act.W points to
	// Panels of Columns rows: integers, as Set.ActPanel makes them, with [K/32][4][Columns]
	// scales and sums, or floats [K][Columns].
	panels []int16
	scales []float32
	floats []float32

	rounded             *rounding // what they are made of
	packed, packedFloat packing

	// Most values of a row times rows, and rows, to allocate.
	integers, integerRows, wideBytes, panelValues, floatValues int
}

// rounding is a tensor whose rows are rounded where somebody wants them.
type rounding struct {
	of     program.Tensor
	wanted []func() bool
}

// packing is what panels are made of: a tensor's rows, perhaps grouped.
type packing struct {
	of     program.Tensor
	groups *groups
}

func (in *input) allocate() {
	in.q = aligned[int16](in.integers)
	in.d, in.s, in.h = aligned[float32](in.integers/32), aligned[float32](in.integers/32), aligned[float32](in.integers/16)
	in.acts = make([]kernel.Act, in.integerRows)
	in.wide = aligned[byte](in.wideBytes)
	in.panels, in.scales = aligned[int16](in.panelValues), aligned[float32](in.panelValues/8)
	in.floats = aligned[float32](in.floatValues)
}

// padded is how many rows whole panels of a matrix have.
func (r *runner) padded(rows int) int { return (rows + r.Columns - 1) / r.Columns * r.Columns }

// maxRows is the most rows a tensor has.
func (r *runner) maxRows(t program.Tensor) int { return r.program.Info(t).MaxRows(r.limits) }

// roundRows adds the step that rounds the rows of t, unless it is there. They are
// wanted where the function says so, and then are at most the given number.
func (r *runner) roundRows(t program.Tensor, most int, wanted func() bool) {
	in, x := &r.input, r.matrix(t)
	in.integers, in.integerRows = max(in.integers, most*x.width), max(in.integerRows, most)
	in.wideBytes = max(in.wideBytes, most*r.WideBytes(x.width))
	if in.rounded != nil && in.rounded.of == t {
		in.rounded.wanted = append(in.rounded.wanted, wanted)
		return
	}
	of := &rounding{t, []func() bool{wanted}}
	in.rounded = of
	k, wide := x.width, r.WideBytes(x.width)
	r.addRows(func(_ *worker, i int) {
		if !slices.ContainsFunc(of.wanted, func(wanted func() bool) bool { return wanted() }) {
			return
		}
		q, d, s, h := in.q[i*k:(i+1)*k], in.d[i*k/32:(i+1)*k/32], in.s[i*k/32:(i+1)*k/32], in.h[i*k/16:(i+1)*k/16]
		r.Quantize(q, d, s, h, x.row(i))
		in.acts[i] = kernel.Act{Q: &q[0], D: &d[0], S: &s[0], H: &h[0]}
		if wide > 0 {
			w := in.wide[i*wide : (i+1)*wide]
			r.Wide(w, q, d)
			in.acts[i].W = &w[0]
		}
	}, x)
}

// packed is a worker's memory for the rows of a panel, rounded.
type packed struct {
	q       []int16 // [Columns][K]
	d, s, h []float32
}

func (p *packed) allocate(values int) {
	p.q = aligned[int16](values)
	p.d, p.s, p.h = aligned[float32](values/32), aligned[float32](values/32), aligned[float32](values/16)
}

// packPanels adds the step that rounds and packs the rows of t, if there are many.
func (r *runner) packPanels(t program.Tensor, g *groups) {
	in, x := &r.input, r.matrix(t)
	in.panelValues = max(in.panelValues, r.panelRows(t, g)*x.width)
	r.need.packed = max(r.need.packed, r.Columns*x.width)
	if in.packed == (packing{t, g}) {
		return
	}
	in.packed = packing{t, g}
	k, c := x.width, r.Columns
	r.add(r.panelCount(x, g), func(wk *worker, p int) {
		w := &wk.packed
		rows := r.rowsOfPanel(x, g, p)
		for i := range rows.n {
			at := i * k / 32
			r.Quantize(w.q[i*k:][:k], w.d[at:][:k/32], w.s[at:][:k/32], w.h[2*at:][:k/16], x.row(rows.row(i)))
		}
		if rows.n < c { // the rest counts for nothing, but must be numbers
			clear(w.q[rows.n*k : c*k])
			clear(w.d[rows.n*k/32 : c*k/32])
			clear(w.s[rows.n*k/32 : c*k/32])
			clear(w.h[rows.n*k/16 : c*k/16])
		}
		r.ActPanel(in.panels[p*c*k:][:c*k], w.q, k)
		packScales(in.scales[p*c*k/8:][:c*k/8], w.d, w.s, w.h, c)
	})
}

// packScales writes [K/32][4][columns] of d, s [columns][K/32] and h [columns][K/16].
//
//go:noinline
func packScales(dst, d, s, h []float32, columns int) {
	n := len(dst) / (4 * columns)
	for c := range columns {
		d, s, h := d[c*n:][:n], s[c*n:][:n], h[c*2*n:][:2*n]
		for b, v := range d {
			to := dst[b*4*columns+c:][:3*columns+1]
			to[0], to[columns], to[2*columns], to[3*columns] = v, s[b], h[2*b], h[2*b+1]
		}
	}
}

// packFloats adds the step that packs the rows of t as floats, if there are many.
func (r *runner) packFloats(t program.Tensor, g *groups) {
	in, x := &r.input, r.matrix(t)
	in.floatValues = max(in.floatValues, r.panelRows(t, g)*x.width)
	if in.packedFloat == (packing{t, g}) {
		return
	}
	in.packedFloat = packing{t, g}
	k, c := x.width, r.Columns
	r.add(r.panelCount(x, g), func(_ *worker, p int) {
		panel := in.floats[p*c*k:][:c*k]
		rows := r.rowsOfPanel(x, g, p)
		if rows.n == c && g == nil {
			kernel.Pack(r.Set, panel, x.data[p*c*k:][:c*k], k, k)
			return
		}
		if rows.n < c {
			clear(panel)
		}
		for i := range rows.n {
			o := i
			for _, v := range x.row(rows.row(i)) {
				panel[o] = v
				o += c
			}
		}
	})
}

// panelRows is the most rows that panels of t's rows have.
func (r *runner) panelRows(t program.Tensor, g *groups) int {
	rows := r.maxRows(t)
	if g == nil {
		return r.padded(rows)
	}
	// Each group may end with a panel that is not full.
	pairs := r.limits.Tokens * g.each
	return r.padded(pairs) + min(pairs, g.experts)*r.Columns
}

// panelCount is the number of panels of x's rows, 0 if they are few.
func (r *runner) panelCount(x matrix, g *groups) func() int {
	return func() int {
		if g != nil {
			return g.panels(r)
		}
		n := r.count(x)
		if n <= few {
			return 0
		}
		return (n + r.Columns - 1) / r.Columns
	}
}

// rows is the rows of a panel: n from first on, or of pairs in the order of groups.
type rows struct {
	first, n int
	order    []int32
	per      int // pairs that have one row
}

func (p rows) row(i int) int {
	if p.order == nil {
		return p.first + i
	}
	return int(p.order[p.first+i]) / p.per
}

// rowsOfPanel returns the rows of x that make panel p.
func (r *runner) rowsOfPanel(x matrix, g *groups, p int) rows {
	if g != nil {
		return g.rowsOfPanel(x, r.Columns, p)
	}
	first := p * r.Columns
	return rows{first: first, n: min(r.Columns, r.count(x)-first)}
}
