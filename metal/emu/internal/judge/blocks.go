package main

import (
	"encoding/binary"
	"math/rand/v2"
)

// Random blocks of ggml's quantized types (layouts: ggml-common.h), and the values they stand for.

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

func blockQ4_0(r *rand.Rand, b []byte) []float64 {
	d, bits := half(r)
	fill(r, b)
	binary.LittleEndian.PutUint16(b, bits)
	v := make([]float64, 32)
	for i := range 16 {
		v[i], v[i+16] = d*(float64(b[2+i]&15)-8), d*(float64(b[2+i]>>4)-8)
	}
	return v
}

func blockQ8_0(r *rand.Rand, b []byte) []float64 {
	d, bits := half(r)
	fill(r, b)
	binary.LittleEndian.PutUint16(b, bits)
	v := make([]float64, 32)
	for i := range v {
		v[i] = d * float64(int8(b[2+i]))
	}
	return v
}

func blockQ4_K(r *rand.Rand, b []byte) []float64 {
	fill(r, b)
	d, bits := half(r)
	m, mbits := half(r)
	binary.LittleEndian.PutUint16(b, bits)
	binary.LittleEndian.PutUint16(b[2:], mbits)
	s := b[4:16]
	v := make([]float64, 256)
	for j := range 8 { // eight sub-blocks of 32: 6-bit scale and minimum
		sc, mn := s[j%4]&63, s[j%4+4]&63
		if j >= 4 {
			sc, mn = s[j+4]&15|s[j-4]>>6<<4, s[j+4]>>4|s[j]>>6<<4
		}
		for i := range 32 {
			q := b[16+32*(j/2)+i]
			if j%2 == 1 {
				q >>= 4
			}
			v[32*j+i] = d*float64(sc)*float64(q&15) - m*float64(mn)
		}
	}
	return v
}

func blockQ6_K(r *rand.Rand, b []byte) []float64 {
	fill(r, b)
	d, bits := half(r)
	binary.LittleEndian.PutUint16(b[208:], bits)
	low, high, scales := b[:128], b[128:192], b[192:208]
	v := make([]float64, 256)
	for n := range 2 { // halves of 128
		for i := range 32 {
			l0, l1, h := low[64*n+i], low[64*n+32+i], high[32*n+i]
			for k, q := range []byte{l0&15 | h&3<<4, l1&15 | h>>2&3<<4, l0>>4 | h>>4&3<<4, l1>>4 | h>>6<<4} {
				v[128*n+32*k+i] = d * float64(int8(scales[8*n+2*k+i/16])) * (float64(q) - 32)
			}
		}
	}
	return v
}
