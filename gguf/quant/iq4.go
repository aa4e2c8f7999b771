package quant

import "encoding/binary"

// iq4Values is the codebook of IQ4_NL and IQ4_XS: 16 levels, denser near
// zero, fitted to the distribution of weights.
var iq4Values = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// decodeIQ4_NL: scale f16, 16 bytes of nibbles; value = d·codebook, low nibbles
// first.
func decodeIQ4_NL(dst []float32, src []byte) {
	for i := range len(dst) / 32 {
		b, y := (*[18]byte)(src[18*i:]), (*[32]float32)(dst[32*i:])
		d := half(b[:])
		for j, q := range b[2:] {
			y[j] = d * iq4Values[q&15]
			y[j+16] = d * iq4Values[q>>4]
		}
	}
}

// decodeIQ4_XS: d f16, a word of eight times 2 high scale bits, 4 bytes of two
// times 4 low ones, 128 bytes of nibbles; value = d·(scale−32)·codebook in sub-blocks of
// 32, each laid out as IQ4_NL.
func decodeIQ4_XS(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[136]byte)(src[136*i:]), (*[256]float32)(dst[256*i:])
		d, high := half(b[:]), binary.LittleEndian.Uint16(b[2:])
		for k := range 8 {
			s := int32(b[4+k/2]>>(k%2*4)&15) | int32(high>>(2*k)&3)<<4
			scale := d * float32(s-32)
			q, y := (*[16]byte)(b[8+16*k:]), (*[32]float32)(y[32*k:])
			for j, v := range q {
				y[j] = scale * iq4Values[v&15]
				y[j+16] = scale * iq4Values[v>>4]
			}
		}
	}
}
