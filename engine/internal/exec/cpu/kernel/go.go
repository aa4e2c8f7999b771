package kernel

import (
	"math"
	"unsafe"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// goSet is the kernels in Go: floats only, so that weights are decoded first.
func goSet() *Set {
	return &Set{
		Name:      "go",
		Columns:   4,
		dotFloat:  [types]floatFunc{gguf.F32: dotF32Go, gguf.F16: dotF16Go},
		sumFloat:  [types]floatFunc{gguf.F32: sumF32Go, gguf.F16: sumF16Go},
		gemmFloat: gemmFloatGo,
		transpose: transposeGo,
		narrow:    narrowGo,
		exp:       expGo,
		silu:      siluGo,
		gelu:      geluGo,
		squares:   squaresGo,
		scaleMul:  scaleMulGo,
		add:       addGo,
	}
}

// f32 and f16 read a number of a file, which need not be aligned.
func f32(b []byte) float32 {
	return math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
}
func f16(b []byte) float32 { return quant.F16ToF32(uint16(b[0]) | uint16(b[1])<<8) }

func dotF32Go(y *float32, w *byte, stride, rows, n int, x *float32) {
	dotGo(y, w, stride, rows, n, 4, x, f32)
}
func dotF16Go(y *float32, w *byte, stride, rows, n int, x *float32) {
	dotGo(y, w, stride, rows, n, 2, x, f16)
}
func sumF32Go(y *float32, w *byte, stride, rows, n int, f *float32) {
	sumGo(y, w, stride, rows, n, 4, f, f32)
}
func sumF16Go(y *float32, w *byte, stride, rows, n int, f *float32) {
	sumGo(y, w, stride, rows, n, 2, f, f16)
}

func dotGo(y *float32, w *byte, stride, rows, n, size int, x *float32, read func([]byte) float32) {
	out, v := unsafe.Slice(y, rows), unsafe.Slice(x, n)
	b := unsafe.Slice(w, (rows-1)*stride+n*size)
	for r := range out {
		sum, row := float32(0), b[r*stride:]
		for i, a := range v {
			sum += a * read(row[i*size:])
		}
		out[r] = sum
	}
}

func sumGo(y *float32, w *byte, stride, rows, n, size int, f *float32, read func([]byte) float32) {
	out, factors := unsafe.Slice(y, n), unsafe.Slice(f, rows)
	b := unsafe.Slice(w, (rows-1)*stride+n*size)
	for r, f := range factors {
		row := b[r*stride:]
		for i := range out {
			out[i] += f * read(row[i*size:])
		}
	}
}

func gemmFloatGo(acc, w, x *float32, n int) {
	a, ws, xs := unsafe.Slice(acc, 4*Rows), unsafe.Slice(w, n*Rows), unsafe.Slice(x, n*4)
	for k := range n {
		row := ws[k*Rows:][:Rows]
		for c, v := range xs[k*4 : k*4+4] {
			s := a[c*Rows:][:Rows]
			for i, w := range row {
				s[i] += v * w
			}
		}
	}
}

func transposeGo(dst *byte, step int, src *byte, ld, n int) {
	for k := range n {
		for r := range Rows {
			*(*uint32)(unsafe.Add(unsafe.Pointer(dst), k*step+4*r)) = *(*uint32)(unsafe.Add(unsafe.Pointer(src), r*ld+4*k))
		}
	}
}

func narrowGo(y *uint16, x *float32, n int) {
	out := unsafe.Slice(y, n)
	for i, v := range unsafe.Slice(x, n) {
		out[i] = quant.F32ToF16(v)
	}
}

func expGo(x *float32, top float32, sum *float32, n int) {
	s := unsafe.Slice(x, n)
	for i, v := range s {
		s[i] = float32(math.Exp(float64(v - top)))
		*sum += s[i]
	}
}

func siluGo(y, g, u *float32, n int) {
	out, b := unsafe.Slice(y, n), unsafe.Slice(u, n)
	for i, v := range unsafe.Slice(g, n) {
		out[i] = float32(float64(v)/(1+math.Exp(-float64(v)))) * b[i]
	}
}

func geluGo(y, g, u *float32, n int) {
	out, b := unsafe.Slice(y, n), unsafe.Slice(u, n)
	for i, v := range unsafe.Slice(g, n) {
		x := float64(v)
		out[i] = float32(0.5*x*(1+math.Tanh(math.Sqrt(2/math.Pi)*x*(1+0.044715*x*x)))) * b[i]
	}
}

func squaresGo(sum, x *float32, n int) {
	s := 0.0
	for _, v := range unsafe.Slice(x, n) {
		s += float64(v) * float64(v)
	}
	*sum = float32(s)
}

func scaleMulGo(y, x, w *float32, n int, f *float32) {
	out, b := unsafe.Slice(y, n), unsafe.Slice(w, n)
	for i, v := range unsafe.Slice(x, n) {
		out[i] = v * *f * b[i]
	}
}

func addGo(y, a, b *float32, n int) {
	out, c := unsafe.Slice(y, n), unsafe.Slice(b, n)
	for i, v := range unsafe.Slice(a, n) {
		out[i] = v + c[i]
	}
}
