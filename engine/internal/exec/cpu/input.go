package cpu

import (
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
	wide    []byte // of each row what Act.W points to, wideStep apart
	// Panels of Columns rows: integers [K/32][16][Columns][2] with [K/32][4][Columns]
	// scales and sums, or floats [K][Columns].
	panels []int16
	scales []float32
	floats []float32

	rounded, packed, packedFloat program.Tensor // what they are made of

	// Most values of a row times rows, and rows, to allocate.
	integers, integerRows, panelValues, floatValues, wideBytes int
}

func (in *input) allocate(columns int) {
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

// roundRows adds the step that rounds the rows of t, unless that is done.
func (r *runner) roundRows(t program.Tensor) {
	in, x, rows := &r.input, r.matrix(t), r.maxRows(t)
	in.integers, in.integerRows = max(in.integers, rows*x.width), max(in.integerRows, rows)
	in.wideBytes = max(in.wideBytes, rows*r.WideBytes(x.width))
	if in.rounded == t {
		return
	}
	in.rounded = t
	k, wide := x.width, r.WideBytes(x.width)
	r.add(r.counter(x), func(_ *worker, i int) {
		q, d, s, h := in.q[i*k:(i+1)*k], in.d[i*k/32:(i+1)*k/32], in.s[i*k/32:(i+1)*k/32], in.h[i*k/16:(i+1)*k/16]
		r.Quantize(q, d, s, h, x.row(i))
		in.acts[i] = kernel.Act{Q: &q[0], D: &d[0], S: &s[0], H: &h[0]}
		if wide > 0 {
			w := in.wide[i*wide : (i+1)*wide]
			r.Wide(w, q, d)
			in.acts[i].W = &w[0]
		}
	})
}

// packPanels adds the step that packs the rounded rows of t, if there are many.
func (r *runner) packPanels(t program.Tensor) {
	in, x := &r.input, r.matrix(t)
	rows := r.padded(r.maxRows(t))
	in.panelValues = max(in.panelValues, rows*x.width)
	if in.packed == t {
		return
	}
	in.packed = t
	k, c := x.width, r.Columns
	r.add(r.panelCount(x), func(_ *worker, p int) {
		first := p * c
		n := min(c, r.count(x)-first)
		panel, scales := in.panels[first*k:][:c*k], in.scales[first*k/8:][:c*k/8]
		if n < c {
			clear(panel)
			clear(scales)
		}
		for i := range n {
			packPairs(panel[2*i:], in.q[(first+i)*k:][:k], 2*c)
			at := (first + i) * k / 32
			d, s, h := in.d[at:at+k/32], in.s[at:at+k/32], in.h[2*at:2*at+k/16]
			for b := range d {
				o := b*4*c + i
				scales[o], scales[o+c], scales[o+2*c], scales[o+3*c] = d[b], s[b], h[2*b], h[2*b+1]
			}
		}
	})
}

// packPairs spreads pairs of words, step words apart.
//
//go:noinline
func packPairs(dst, src []int16, step int) {
	for i := 0; i+1 < len(src); i += 2 {
		o := i / 2 * step
		dst[o], dst[o+1] = src[i], src[i+1]
	}
}

// packFloats adds the step that packs the rows of t as floats, if there are many.
func (r *runner) packFloats(t program.Tensor) {
	in, x := &r.input, r.matrix(t)
	rows := r.padded(r.maxRows(t))
	in.floatValues = max(in.floatValues, rows*x.width)
	if in.packedFloat == t {
		return
	}
	in.packedFloat = t
	k, c := x.width, r.Columns
	r.add(r.panelCount(x), func(_ *worker, p int) {
		panel := in.floats[p*c*k:][:c*k]
		n := min(c, r.count(x)-p*c)
		if n < c {
			clear(panel)
		}
		for i := range n {
			o := i
			for _, v := range x.row(p*c + i) {
				panel[o] = v
				o += c
			}
		}
	})
}

// panelCount is the number of panels of x's rows, 0 if they are few.
func (r *runner) panelCount(x matrix) func() int {
	return func() int {
		n := r.count(x)
		if n <= few {
			return 0
		}
		return (n + r.Columns - 1) / r.Columns
	}
}
