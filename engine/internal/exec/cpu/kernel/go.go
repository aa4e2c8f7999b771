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
		Rows:      16,
		Columns:   4,
		Lanes:     goLanes,
		dotFloat:  [types]floatFunc{gguf.F32: dotF32Go, gguf.F16: dotF16Go, gguf.Q8_0: dotQ8_0Go},
		sumFloat:  [types]floatFunc{gguf.F32: sumF32Go, gguf.F16: sumF16Go, gguf.Q8_0: sumQ8_0Go},
		gemmFloat: gemmFloatGo,
		transpose: transposeGo,
		pack:      packGo,
		unpack:    unpackGo,
		narrow:    [types]func(*byte, *float32, int){gguf.F16: narrowF16Go, gguf.Q8_0: narrowQ8_0Go},
		scores:    scoresGo,
		softcap:   softcapGo,
		mask:      maskGo,
		weigh:     weighGo,
		values:    valuesGo,
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
	const Rows = 16
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

func transposeGo(dst *byte, step int, src *byte, ld, n, rows int) {
	for k := range n {
		for r := range rows {
			*(*uint32)(unsafe.Add(unsafe.Pointer(dst), k*step+4*r)) = *(*uint32)(unsafe.Add(unsafe.Pointer(src), r*ld+4*k))
		}
	}
}

func unpackGo(dst *float32, ld int, acc *float32, step, n, width int) {
	to, from := unsafe.Slice(dst, (n-1)*ld+width), unsafe.Slice(acc, (n-1)*step+width)
	for i := range n {
		copy(to[i*ld:][:width], from[i*step:])
	}
}

func packGo(dst, src *int32, ld, n, columns int) {
	to, from := unsafe.Slice(dst, n*columns), unsafe.Slice(src, (columns-1)*ld+n)
	for c := range columns {
		for i, v := range from[c*ld:][:n] {
			to[i*columns+c] = v
		}
	}
}

// q8_0 is a block of Q8_0: a scale, a half, and 32 numbers.
const q8_0 = 34

func dotQ8_0Go(y *float32, w *byte, stride, rows, n int, x *float32) {
	out, v := unsafe.Slice(y, rows), unsafe.Slice(x, n)
	b := unsafe.Slice(w, (rows-1)*stride+n/32*q8_0)
	for r := range out {
		sum, row := float32(0), b[r*stride:]
		for i := 0; i < n; i += 32 {
			block, part := row[i/32*q8_0:][:q8_0], float32(0)
			for j, a := range v[i : i+32] {
				part += a * float32(int8(block[2+j]))
			}
			sum += part * f16(block)
		}
		out[r] = sum
	}
}

func sumQ8_0Go(y *float32, w *byte, stride, rows, n int, f *float32) {
	out, factors := unsafe.Slice(y, n), unsafe.Slice(f, rows)
	b := unsafe.Slice(w, (rows-1)*stride+n/32*q8_0)
	for r, f := range factors {
		row := b[r*stride:]
		for i := 0; i < n; i += 32 {
			block := row[i/32*q8_0:][:q8_0]
			d := f * f16(block)
			for j := range 32 {
				out[i+j] += d * float32(int8(block[2+j]))
			}
		}
	}
}

func narrowF16Go(y *byte, x *float32, n int) {
	out := unsafe.Slice(y, 2*n)
	for i, v := range unsafe.Slice(x, n) {
		h := quant.F32ToF16(v)
		out[2*i], out[2*i+1] = byte(h), byte(h>>8)
	}
}

var encodeQ8_0, _ = quant.Encoder(gguf.Q8_0)

func narrowQ8_0Go(y *byte, x *float32, n int) {
	out, v := unsafe.Slice(y, n/32*q8_0), unsafe.Slice(x, n)
	encodeQ8_0(out, v)
	for i := range n / 32 {
		sum := float32(0)
		for _, a := range v[32*i : 32*i+32] {
			sum += a
		}
		if sum != sum { // not a number stays none
			out[i*q8_0], out[i*q8_0+1] = 0, 0x7e
		}
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
