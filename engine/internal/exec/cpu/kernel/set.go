// Package kernel holds the loops that the CPU executor spends its time in: in
// assembly made from C (folder csrc, command c2s) where there is some for the
// processor, in Go everywhere.
//
// Weights are read as they lie in the file. Quantised ones are multiplied, as
// integers, with activations rounded to 15 bits and a scale for each 32: an error
// of some 3e-5, where 8 bits would make it 7e-3, at nearly the same speed (16-bit
// products are needed for Q8_0 in any case, and decoding waits for memory). Other
// weights are multiplied as floats.
//
// Assembly cannot be preempted, and neither can a loop of nothing but calls of it: a
// signal always finds it inside. So every method of Set is an ordinary Go function
// that is not inlined, which is where the runtime may stop a goroutine, and callers
// keep each call below some 100 µs.
package kernel

import (
	"unsafe"

	"github.com/gollm/gollm/gguf"
)

// Act is a row of activations as integers, as the kernels read it: K values in
// whole blocks of 32.
type Act struct {
	Q *int16   // [K] within ±16383
	D *float32 // [K/32] scale of each block
	S *float32 // [K/32] sum of each block's values
	H *float32 // [K/16] sum of each half block's values
	W *byte    // what Wide writes, where the kernels want it
}

// Column is a row of activations and where its products go.
type Column struct {
	Y   []float32
	Act *Act
}

type (
	dotFunc    func(y *float32, w *byte, stride, rows, nb int, a *Act)
	dotsFunc   func(columns *Column, w *byte, stride, rows, nb int)
	quantsFunc func(q *int16, d, m *float32, w *byte, nb int)
	floatFunc  func(y *float32, w *byte, stride, rows, n int, x *float32)
	gemmFunc   func(acc *float32, w *int16, wd, wm *float32, x *int16, xd *float32, nb int)
)

// byteProducts is what differs where matrix products are of bytes: quants are a byte, not
// a word that has the scale of its sub-block in it, and activations are two, x = 128·h + l.
type byteProducts struct {
	unit      int                                                   // bytes of a row that lie together in a panel
	transpose func(dst *byte, step int, src *byte, ld, n, rows int) // of units
	pack      func(dst, q *int16, ld, n int)
	gemm16    [3]gemmFunc // by minima of a block, of types with a scale for each 16
}

// types bounds the gguf types with kernels.
const types = 64

// Set is the kernels for one kind of processor. Those missing are nil.
type Set struct {
	Name    string
	Rows    int // weight rows in a panel of a matrix product, a multiple of 16
	Columns int // activations' rows in a panel of a matrix product
	Lanes   int // query rows in a panel of attention, a multiple of 4

	dot    [types]dotFunc
	dots   [types]dotsFunc // of columnsAtOnce
	quants [types]quantsFunc
	gemm   [3]gemmFunc   // by minima of a block
	bytes  *byteProducts // nil where integers are multiplied as words

	dotFloat, sumFloat [types]floatFunc
	dot4Float, dotNear [types]floatFunc // of a multiple of four rows
	gemmFloat          func(acc, w, x *float32, n int)
	transpose          func(dst *byte, step int, src *byte, ld, n, rows int)
	fetch              func(w *byte, stride, rows, n int)
	pack               func(dst, src *int32, ld, n, columns int)
	unpack             func(dst *float32, ld int, acc *float32, step, n, width int)

	widen    [types]func(y *float32, w *byte, n int)
	narrow   [types]func(y *byte, x *float32, n int)
	quantize func(q *int16, d, s, h, x *float32, nb int)
	wide     func(w *byte, q *int16, d *float32, nb int)
	wideSize func(n int) int

	scores  scoresFunc
	softcap capFunc
	mask    maskFunc
	weigh   weighFunc
	values  valuesFunc

	exp        func(x *float32, top float32, sum *float32, n int)
	silu, gelu func(y, g, u *float32, n int)
	squares    func(sum, x *float32, n int)
	scaleMul   func(y, x, w *float32, n int, f *float32)
	add        func(y, a, b *float32, n int)
}

// Integer reports whether products with weights of type t are of integers.
func (s *Set) Integer(t gguf.Type) bool { return t < types && s.quants[t] != nil }

// Minima returns the number of minima a block of 32 values of type t has.
func Minima(t gguf.Type) int {
	switch t {
	case gguf.Q4_1, gguf.Q5_1, gguf.Q4_K, gguf.Q5_K:
		return 1
	case gguf.Q2_K:
		return 2
	}
	return 0
}

// Scales returns the number of scales that Quants writes for a block of 32 values of type t.
func (s *Set) Scales(t gguf.Type) int {
	if s.bytes != nil && (t == gguf.Q2_K || t == gguf.Q3_K || t == gguf.Q6_K) {
		return 2
	}
	return 1
}

// Dot writes the products of len(y) rows of weights of type t, which is Integer,
// with a row of activations. The rows of cols values begin stride bytes apart in w.
//
//go:noinline
func (s *Set) Dot(t gguf.Type, y []float32, w []byte, stride, cols int, a *Act) {
	if len(y) == 0 {
		return
	}
	_ = w[(len(y)-1)*stride+t.RowBytes(cols)-1]
	s.dot[t](&y[0], &w[0], stride, len(y), cols/t.BlockSize(), a)
}

// columnsAtOnce is how many columns kernels multiply with weights that they unpack once.
const columnsAtOnce = 4

// Dots is Dot for several rows of activations, to the last bit. Their results are of the
// same length. It allocates where columns has no room for one more.
//
//go:noinline
func (s *Set) Dots(t gguf.Type, columns []Column, w []byte, stride, cols int) {
	rows := len(columns[0].Y)
	for _, c := range columns {
		_ = c.Y[:rows]
	}
	// Rows of less than four blocks are loaded in another way, which only dot knows.
	if f := s.dots[t]; f != nil && rows > 0 && cols >= 128 {
		_ = w[(rows-1)*stride+t.RowBytes(cols)-1]
		if len(columns)%columnsAtOnce == columnsAtOnce-1 {
			columns = append(columns, columns[0]) // once more is faster than the others one by one
		}
		for ; len(columns) >= columnsAtOnce; columns = columns[columnsAtOnce:] {
			f(&columns[0], &w[0], stride, rows, cols/t.BlockSize())
		}
	}
	for _, c := range columns {
		s.Dot(t, c.Y, w, stride, cols, c.Act)
	}
}

// Direct reports whether DotFloat reads rows of type t.
func (s *Set) Direct(t gguf.Type) bool { return t < types && s.dotFloat[t] != nil }

// longRow is the fewest bytes of rows, or of what lies between their beginnings,
// that are multiplied four at a time.
const longRow = 4096

// DotFloat is Dot with weights that are Direct and a row of floats, whose length is
// the number of columns.
//
//go:noinline
func (s *Set) DotFloat(t gguf.Type, y []float32, w []byte, stride int, x []float32) {
	if len(y) == 0 {
		return
	}
	_ = w[(len(y)-1)*stride+t.RowBytes(len(x))-1]
	// Short rows are faster one after another: see docs/RATIONALE.md.
	if four := len(y) &^ 3; four > 0 && s.dot4Float[t] != nil && stride >= longRow {
		s.dot4Float[t](&y[0], &w[0], stride, four, len(x), &x[0])
		if y = y[four:]; len(y) == 0 {
			return
		}
		w = w[four*stride:]
	}
	s.dotFloat[t](&y[0], &w[0], stride, len(y), len(x), &x[0])
}

// DotNear is DotFloat of rows that are in the cache, as attention's are: four at a time.
//
//go:noinline
func (s *Set) DotNear(t gguf.Type, y []float32, w []byte, stride int, x []float32) {
	if len(y) == 0 {
		return
	}
	_ = w[(len(y)-1)*stride+t.RowBytes(len(x))-1]
	four := 0
	if dot := s.dotNear[t]; dot != nil && len(y) >= 4 {
		four = len(y) &^ 3
		dot(&y[0], &w[0], stride, four, len(x), &x[0])
	}
	if four < len(y) {
		s.dotFloat[t](&y[four], &w[four*stride], stride, len(y)-four, len(x), &x[0])
	}
}

// Sum adds to y the sum of len(f) rows of type t, F32, F16 or Q8_0, row i times f[i].
//
//go:noinline
func (s *Set) Sum(t gguf.Type, y []float32, w []byte, stride int, f []float32) {
	if len(f) == 0 {
		return
	}
	_ = w[(len(f)-1)*stride+t.RowBytes(len(y))-1]
	s.sumFloat[t](&y[0], &w[0], stride, len(f), len(y), &f[0])
}

// Quants writes a row of weights out: cols integers, as words or as bytes in the first half
// of q, their scales, and the minima.
//
//go:noinline
func (s *Set) Quants(t gguf.Type, q []int16, d, m []float32, w []byte, cols int) {
	_, _, _, _ = q[cols-1], d[s.Scales(t)*cols/32-1], m[max(1, Minima(t)*cols/32)-1], w[t.RowBytes(cols)-1]
	s.quants[t](&q[0], &d[0], &m[0], &w[0], cols/t.BlockSize())
}

// Fetch asks for rows of n bytes, which begin stride apart, to be brought near.
//
//go:noinline
func (s *Set) Fetch(w []byte, stride, rows, n int) {
	if s.fetch == nil || rows <= 0 {
		return
	}
	_ = w[(rows-1)*stride+n-1]
	s.fetch(&w[0], stride, rows, n)
}

// QuantPanel makes a panel of Rows rows of cols integers, whole blocks, as Quants writes
// them; they begin ld words apart.
//
//go:noinline
func (s *Set) QuantPanel(dst, src []int16, ld, cols int) {
	if s.bytes == nil {
		Transpose(s, dst, src, ld, cols)
		return
	}
	_, _ = dst[s.Rows*cols/2-1], src[(s.Rows-1)*ld+cols/2-1]
	unit := s.bytes.unit
	s.bytes.transpose((*byte)(unsafe.Pointer(&dst[0])), s.Rows*unit, (*byte)(unsafe.Pointer(&src[0])), 2*ld, cols/unit, s.Rows)
}

// ActPanel makes a panel of Columns rows of cols rounded activations, whole blocks, which
// begin cols apart.
//
//go:noinline
func (s *Set) ActPanel(dst, q []int16, cols int) {
	if s.bytes == nil {
		Pack(s, dst, q, cols/2, cols/2)
		return
	}
	_, _ = dst[s.Columns*cols-1], q[s.Columns*cols-1]
	s.bytes.pack(&dst[0], &q[0], cols, cols)
}

// Gemm adds to acc [Columns][Rows] the products of nb blocks of 32 of two panels, of weights
// of type t and of activations, with their scales: wd [nb][Scales][Rows], wm
// [nb][Minima][Rows]; xd [nb][4][Columns]: scale, sum, sums of the halves. Of each row a panel
// has 4 or 8 bytes side by side, then those of the next: of words w is [nb][16][Rows][2], x
// [nb][16][Columns][2].
//
//go:noinline
func (s *Set) Gemm(t gguf.Type, acc []float32, w []int16, wd, wm []float32, x []int16, xd []float32, nb int) {
	minima, scales := Minima(t), s.Scales(t)
	words, gemm := nb*32*s.Rows, s.gemm[minima]
	if s.bytes != nil {
		words /= 2
	}
	if scales == 2 {
		gemm = s.bytes.gemm16[minima]
	}
	_, _, _ = acc[s.Columns*s.Rows-1], w[words-1], wd[nb*scales*s.Rows-1]
	_, _, _ = wm[max(1, nb*minima*s.Rows)-1], x[nb*32*s.Columns-1], xd[nb*4*s.Columns-1]
	gemm(&acc[0], &w[0], &wd[0], &wm[0], &x[0], &xd[0], nb)
}

// GemmFloat adds to acc [Columns][Rows] the product of w [n][Rows] and x
// [n][Columns].
//
//go:noinline
func (s *Set) GemmFloat(acc, w, x []float32, n int) {
	_, _, _ = acc[s.Columns*s.Rows-1], w[n*s.Rows-1], x[n*s.Columns-1]
	s.gemmFloat(&acc[0], &w[0], &x[0], n)
}

// Transpose writes n columns of Rows rows of src, which begin ld elements apart, so
// that column k is at dst[k·Rows]. It may read and write up to 7 columns more.
//
//go:noinline
func Transpose[T int16 | float32](s *Set, dst, src []T, ld, n int) {
	// Elements are 32 bits: a float, or two words.
	size := int(unsafe.Sizeof(dst[0]))
	per := 4 / size
	n = (n/per + 7) &^ 7
	_, _ = dst[n*s.Rows*per-1], src[(s.Rows-1)*ld+n*per-1]
	s.transpose((*byte)(unsafe.Pointer(&dst[0])), s.Rows*4, (*byte)(unsafe.Pointer(&src[0])), ld*size, n, s.Rows)
}

// TransposeFloats writes n columns of some rows, both multiples of 8, which begin ld
// apart: column k to dst[k·step].
//
//go:noinline
func (s *Set) TransposeFloats(dst []float32, step int, src []float32, ld, n, rows int) {
	_, _ = dst[(n-1)*step+rows-1], src[(rows-1)*ld+n-1]
	s.transpose((*byte)(unsafe.Pointer(&dst[0])), 4*step, (*byte)(unsafe.Pointer(&src[0])), 4*ld, n, rows)
}

// Pack makes a panel of Columns rows of elements, floats or pairs of words: dst
// [n][Columns] of src, whose rows begin ld elements apart.
//
//go:noinline
func Pack[T int16 | float32](s *Set, dst, src []T, ld, n int) {
	per := 4 / int(unsafe.Sizeof(dst[0]))
	_, _ = dst[n*s.Columns*per-1], src[((s.Columns-1)*ld+n)*per-1]
	s.pack((*int32)(unsafe.Pointer(&dst[0])), (*int32)(unsafe.Pointer(&src[0])), ld, n, s.Columns)
}

// Unpack writes the first width values of n columns of accumulators [n][Rows] to
// rows of dst, which begin ld apart.
//
//go:noinline
func (s *Set) Unpack(dst []float32, ld int, acc []float32, n, width int) {
	_, _ = dst[(n-1)*ld+width-1], acc[(n-1)*s.Rows+width-1]
	s.unpack(&dst[0], ld, &acc[0], s.Rows, n, width)
}

// Widen reports whether t has a conversion to floats here, and does it.
//
//go:noinline
func (s *Set) Widen(t gguf.Type, y []float32, w []byte) bool {
	if t >= types || s.widen[t] == nil {
		return false
	}
	_ = w[t.RowBytes(len(y))-1]
	s.widen[t](&y[0], &w[0], len(y))
	return true
}

// Narrow rounds x, whole blocks, to type t: F16, or Q8_0.
//
//go:noinline
func (s *Set) Narrow(t gguf.Type, y []byte, x []float32) {
	if len(x) > 0 {
		_ = y[t.RowBytes(len(x))-1]
		s.narrow[t](&y[0], &x[0], len(x))
	}
}

// Quantize rounds x, whole blocks of 32, to 15 bits.
//
//go:noinline
func (s *Set) Quantize(q []int16, d, sums, halves, x []float32) {
	nb := len(x) / 32
	_, _, _, _ = q[nb*32-1], d[nb-1], sums[nb-1], halves[2*nb-1]
	s.quantize(&q[0], &d[0], &sums[0], &halves[0], &x[0], nb)
}

// WideBytes is the size of what Wide writes for n activations, 0 if the kernels do
// not read it.
func (s *Set) WideBytes(n int) int {
	if s.wide == nil {
		return 0
	}
	return s.wideSize(n)
}

// Wide writes rounded activations, whole blocks of 32, in the form that Act.W has. w
// begins on a cache line, for speed.
//
//go:noinline
func (s *Set) Wide(w []byte, q []int16, d []float32) {
	nb := len(q) / 32
	_, _ = w[s.WideBytes(len(q))-1], d[nb-1]
	s.wide(&w[0], &q[0], &d[0], nb)
}

// Exp replaces x, a multiple of 8 values, by e^(x-top) and returns the sum.
//
//go:noinline
func (s *Set) Exp(x []float32, top float32, sum *float32) {
	_ = x[len(x)&^7-1]
	s.exp(&x[0], top, sum, len(x))
}

// SiLU writes g·σ(g)·u.
//
//go:noinline
func (s *Set) SiLU(y, g, u []float32) { gated(y, g, u, s.silu, siluGo) }

// GELU writes gelu(g)·u, gelu by the tanh approximation.
//
//go:noinline
func (s *Set) GELU(y, g, u []float32) { gated(y, g, u, s.gelu, geluGo) }

func gated(y, g, u []float32, wide, rest func(y, g, u *float32, n int)) {
	g, u = g[:len(y)], u[:len(y)]
	n := len(y) &^ 7
	if n > 0 {
		wide(&y[0], &g[0], &u[0], n)
	}
	if n < len(y) {
		rest(&y[n], &g[n], &u[n], len(y)-n)
	}
}

// Squares returns Σx².
//
//go:noinline
func (s *Set) Squares(x []float32, sum *float32) { s.squares(sum, &x[0], len(x)) }

// ScaleMul writes x·f·w.
//
//go:noinline
func (s *Set) ScaleMul(y, x, w []float32, f *float32) {
	_, _ = x[len(y)-1], w[len(y)-1]
	s.scaleMul(&y[0], &x[0], &w[0], len(y), f)
}

// Add writes a+b.
//
//go:noinline
func (s *Set) Add(y, a, b []float32) {
	_, _ = a[len(y)-1], b[len(y)-1]
	s.add(&y[0], &a[0], &b[0], len(y))
}
