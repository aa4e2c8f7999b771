package cpu

import (
	"unsafe"

	"github.com/gollm/gollm/engine/internal/exec/cpu/kernel"
)

// The product of many rows of activations and 16 to 64 rows of weights: the
// weights' quants are written out as panels, 512 columns at a time, and each
// panel is multiplied with all panels of the activations while it is in the
// cache. Writing out takes 5 to 10 % of the time when there are 512 rows; no
// second copy of the weights is kept.
const (
	tilesMax     = 4   // panels of weights in an item
	wordColumns  = 512 // columns written out at a time, whole blocks of every type
	floatColumns = 256
	spare        = 8 // Transpose moves 8 columns at a time
)

// tile is a worker's memory for products.
type tile struct {
	words       []int16 // [16][wordColumns], of one panel
	d, m        []float32
	floats      []float32 // [16][floatColumns+spare]
	panel       []int16   // [tilesMax] transposed
	panelD      []float32
	panelM      []float32
	panelFloats []float32
	sums        []float32 // [tilesMax][columns][16]
}

const (
	blocks      = wordColumns / 32
	floatStride = floatColumns + spare
)

func (t *tile) allocate(columns, most int) {
	if most <= few {
		return
	}
	t.words = aligned[int16](kernel.Rows * wordColumns)
	t.d, t.m = aligned[float32](kernel.Rows*blocks), aligned[float32](kernel.Rows*2*blocks)
	t.floats = aligned[float32](kernel.Rows * floatStride)
	t.panel = aligned[int16](tilesMax * kernel.Rows * wordColumns)
	t.panelD, t.panelM = aligned[float32](tilesMax*kernel.Rows*blocks), aligned[float32](tilesMax*kernel.Rows*2*blocks)
	t.panelFloats = aligned[float32](tilesMax * kernel.Rows * floatStride)
	t.sums = aligned[float32](tilesMax * kernel.Rows * most)
}

// tilesOfItem is how many panels of weights make an item: as many as share the
// reading of the activations, unless workers would be without work.
func (r *runner) tilesOfItem(rows int) int {
	return max(1, min(tilesMax, rows/(kernel.Rows*3*r.exec.team.n)))
}

// product writes n rows of out, of columns from to from+rows: at most
// tilesMax panels.
func (r *runner) product(wk *worker, w weights, f finish, x, out matrix, n, from, rows int) {
	t := &wk.tile
	columns := r.padded(n)
	tiles := (rows + kernel.Rows - 1) / kernel.Rows
	sums := t.sums[:tiles*columns*kernel.Rows]
	clear(sums)
	step := wordColumns
	if !w.integer {
		step = floatColumns
	}
	for k := 0; k < w.Cols(); k += step {
		cols := min(step, w.Cols()-k)
		for i := range tiles {
			first := from + i*kernel.Rows
			if w.integer {
				r.expand(t, w, i, first, min(kernel.Rows, from+rows-first), k, cols)
			} else {
				r.expandFloats(t, w, i, first, min(kernel.Rows, from+rows-first), k, cols)
			}
		}
		for c := 0; c < columns; c += r.Columns {
			for i := range tiles {
				acc := sums[(i*columns+c)*kernel.Rows:][:r.Columns*kernel.Rows]
				if w.integer {
					r.multiply(t, w, acc, i, c, k, cols)
				} else {
					at := c*x.width + k*r.Columns
					r.GemmFloat(acc, t.panelFloats[i*kernel.Rows*floatStride:], r.input.floats[at:], cols)
				}
			}
		}
	}
	for i := range tiles {
		first := from + i*kernel.Rows
		width := min(kernel.Rows, from+rows-first)
		for c := range n {
			y := out.row(c)[first : first+width]
			copy(y, sums[(i*columns+c)*kernel.Rows:])
			f.apply(y, 0, first)
		}
	}
}

// expand writes columns k to k+cols of up to 16 rows out as panel i.
func (r *runner) expand(t *tile, w weights, i, first, rows, k, cols int) {
	minima := kernel.Minima(w.Type)
	for j := range rows {
		src := w.Row(first + j)[w.Type.RowBytes(k):]
		r.Words(w.Type, t.words[j*wordColumns:], t.d[j*blocks:], t.m[j*2*blocks:], src, cols)
	}
	kernel.Transpose(r.Set, t.panel[i*kernel.Rows*wordColumns:], t.words, wordColumns, cols)
	kernel.Transpose(r.Set, t.panelD[i*kernel.Rows*blocks:], t.d, blocks, cols/32)
	if minima > 0 {
		kernel.Transpose(r.Set, t.panelM[i*kernel.Rows*2*blocks:], t.m, 2*blocks, minima*cols/32)
	}
}

// multiply adds the products of panel i with the panel of activations that begins
// with row c, over columns k to k+cols, to acc.
func (r *runner) multiply(t *tile, w weights, acc []float32, i, c, k, cols int) {
	in := &r.input
	at := c*w.Cols() + k*r.Columns
	r.Gemm(kernel.Minima(w.Type), acc,
		t.panel[i*kernel.Rows*wordColumns:], t.panelD[i*kernel.Rows*blocks:], t.panelM[i*kernel.Rows*2*blocks:],
		in.panels[at:], in.scales[at/8:], cols/32)
}

// expandFloats is expand with decoded weights.
func (r *runner) expandFloats(t *tile, w weights, i, first, rows, k, cols int) {
	for j := range rows {
		r.floats(w.table, t.floats[j*floatStride:][:cols], first+j, k)
	}
	kernel.Transpose(r.Set, t.panelFloats[i*kernel.Rows*floatStride:], t.floats, floatStride, cols)
}

// bytes views floats as the file's bytes.
func bytes(x []float32) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x)) }
