package cpu

import (
	"unsafe"

	"github.com/gollm/gollm/engine/internal/exec/cpu/kernel"
)

// The product of many rows of activations and 16 to 64 rows of weights: the
// weights' quants are written out as panels, some hundred columns at a time, and each
// panel is multiplied with all panels of the activations while it is in the
// cache. Writing out takes 5 to 10 % of the time when there are 512 rows; no
// second copy of the weights is kept.
const (
	rowsMax      = 64  // rows of weights in an item
	partLeast    = 8   // panels of activations in an item
	quantColumns = 768 // most columns written out at a time, whole blocks of every type
	floatColumns = 512
	spare        = 8 // Transpose moves 8 columns at a time
)

// tile is a worker's memory for products.
type tile struct {
	quants      []int16   // [Rows][quantColumns], of one panel
	d, m        []float32 // [Rows][perRow]
	floats      []float32 // [Rows][floatColumns+spare]
	panel       []int16   // [rowsMax] transposed
	panelD      []float32
	panelM      []float32
	panelFloats []float32
	sums        []float32 // a panel after another: [columns][Rows]
}

const (
	perRow      = 2 * quantColumns / 32 // most scales, or minima
	floatStride = floatColumns + spare
)

func (t *tile) allocate(rows, most int) {
	if most <= few {
		return
	}
	t.quants = aligned[int16](rows * quantColumns)
	t.d, t.m = aligned[float32](rows*perRow), aligned[float32](rows*perRow)
	t.floats = aligned[float32](rows * floatStride)
	t.panel = aligned[int16](rowsMax * quantColumns)
	t.panelD, t.panelM = aligned[float32](rowsMax*perRow), aligned[float32](rowsMax*perRow)
	t.panelFloats = aligned[float32](rowsMax * floatStride)
	t.sums = aligned[float32](rowsMax * most)
}

// rowsOfItem is how many rows of weights make an item: as many as share the
// reading of the activations, unless workers would be without work, or would wait
// for one that has an item more.
func (r *runner) rowsOfItem(rows int) int {
	n := rowsMax
	for n > r.Rows && rows < 8*r.exec.team.n*n {
		n /= 2
	}
	return n
}

// partsOf is how many items n rows of activations are divided among, where rows of
// weights alone are too few items for the workers. Each part writes the weights out
// again, so it is not small.
func (r *runner) partsOf(n, items int) int {
	return max(1, min((4*r.exec.team.n+items-1)/items, n/(partLeast*r.Columns)))
}

// part returns the rows of part i.
func (r *runner) part(n, parts, i int) (from, to int) {
	each := r.padded((n + parts - 1) / parts)
	return min(n, i*each), min(n, (i+1)*each)
}

// columnsAtOnce is how many columns of weights are written out at a time: the same number
// each time, or nearly.
func (w weights) columnsAtOnce() int {
	most := quantColumns
	if !w.integer {
		most = floatColumns
	}
	steps := (w.Cols() + most - 1) / most
	return min(most, ((w.Cols()+steps-1)/steps+255)&^255)
}

// batch is the activations of a product: n rows, packed as panels from the given one
// on. The products are row order[i] of the result, or row first+i.
type batch struct {
	panel, n, first int
	order           []int32
}

// product writes columns from to from+rows, at most rowsMax, of out: the
// products of the rows of b with weights of the given expert, 0 without experts.
func (r *runner) product(wk *worker, w weights, f finish, b batch, out matrix, expert, from, rows int) {
	t, row := &wk.tile, expert*out.width+from
	columns, step := r.padded(b.n), w.columnsAtOnce()
	panels := (rows + r.Rows - 1) / r.Rows
	for k := 0; k < w.Cols(); k += step {
		cols := min(step, w.Cols()-k)
		for i := range panels {
			first := i * r.Rows
			if w.integer {
				r.expand(t, w, i, row+first, min(r.Rows, rows-first), k, cols)
			} else {
				r.expandFloats(t, w, i, row+first, min(r.Rows, rows-first), k, cols)
			}
		}
		r.fetchNext(w, row, rows, k+cols, step)
		for c := 0; c < columns; c += r.Columns {
			for i := range panels {
				at := i * columns
				if step < w.Cols() {
					at += c // otherwise the sums are done with at once, and stay in the cache
				}
				acc := t.sums[at*r.Rows:][:r.Columns*r.Rows]
				if k == 0 {
					clear(acc)
				}
				if w.integer {
					r.multiply(t, w, acc, i, b.panel*r.Columns+c, k, cols)
				} else {
					at := (b.panel*r.Columns+c)*w.Cols() + k*r.Columns
					r.GemmFloat(acc, t.panelFloats[i*r.Rows*floatStride:], r.input.floats[at:], cols)
				}
				if k+cols == w.Cols() {
					first := i * r.Rows
					r.finishTile(f, b, out, acc, c, expert, from+first, min(r.Rows, rows-first))
				}
			}
		}
	}
}

// fetchNext asks for what is written out after columns up to k of the given rows: the
// next columns, or the first ones of the next rows. Rows that are read a part at a
// time are no stream that the processor would see.
func (r *runner) fetchNext(w weights, row, rows, k, step int) {
	if k == w.Cols() {
		k, row = 0, row+rows
	}
	if rows = min(rows, w.Rows()-row); rows > 0 {
		stride, from := w.RowBytes(), w.Type.RowBytes(k)
		r.Fetch(w.Data[row*stride+from:], stride, rows, w.Type.RowBytes(min(step, w.Cols()-k)))
	}
}

// finishTile writes sums [Columns][Rows], of the rows of b from c on, to columns from
// to from+width of out.
func (r *runner) finishTile(f finish, b batch, out matrix, sums []float32, c, expert, from, width int) {
	n := min(r.Columns, b.n-c)
	if b.order == nil {
		r.Unpack(out.data[(b.first+c)*out.width+from:], out.width, sums, n, width)
	} else {
		for i := range n {
			copy(out.row(int(b.order[c+i]))[from:from+width], sums[i*r.Rows:])
		}
	}
	if f.scale == nil && f.bias == nil {
		return
	}
	for i := range n {
		to := b.first + c + i
		if b.order != nil {
			to = int(b.order[c+i])
		}
		f.apply(out.row(to)[from:from+width], expert, expert*out.width+from)
	}
}

// expand writes columns k to k+cols of up to Rows rows out as panel i.
func (r *runner) expand(t *tile, w weights, i, first, rows, k, cols int) {
	scales, minima := r.Scales(w.Type), kernel.Minima(w.Type)
	for j := range rows {
		src := w.Row(first + j)[w.Type.RowBytes(k):]
		r.Quants(w.Type, t.quants[j*quantColumns:], t.d[j*perRow:], t.m[j*perRow:], src, cols)
	}
	r.QuantPanel(t.panel[i*r.Rows*quantColumns:], t.quants, quantColumns, cols)
	kernel.Transpose(r.Set, t.panelD[i*r.Rows*perRow:], t.d, perRow, scales*cols/32)
	if minima > 0 {
		kernel.Transpose(r.Set, t.panelM[i*r.Rows*perRow:], t.m, perRow, minima*cols/32)
	}
}

// multiply adds the products of panel i with the panel of activations that begins
// with row c, over columns k to k+cols, to acc.
func (r *runner) multiply(t *tile, w weights, acc []float32, i, c, k, cols int) {
	in := &r.input
	at := c*w.Cols() + k*r.Columns
	r.Gemm(w.Type, acc,
		t.panel[i*r.Rows*quantColumns:], t.panelD[i*r.Rows*perRow:], t.panelM[i*r.Rows*perRow:],
		in.panels[at:], in.scales[at/8:], cols/32)
}

// expandFloats is expand with decoded weights.
func (r *runner) expandFloats(t *tile, w weights, i, first, rows, k, cols int) {
	for j := range rows {
		r.floats(w.table, t.floats[j*floatStride:][:cols], first+j, k)
	}
	kernel.Transpose(r.Set, t.panelFloats[i*r.Rows*floatStride:], t.floats, floatStride, cols)
}

// bytes views floats as the file's bytes.
func bytes(x []float32) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x)) }
