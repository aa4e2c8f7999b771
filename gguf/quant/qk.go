package quant

import (
	"encoding/binary"
	"math"
)

// The K types: 256 values a block, in 8 or 16 sub-blocks whose scales (and
// mins) are small integers times a scale of the whole block.

// decodeQ2_K: 16 scales and mins (low and high nibbles of 16 bytes), 64 bytes of 2-bit
// quants, d and dmin f16; value = d·scale·q − dmin·min in sub-blocks of 16.
// A quant byte holds one value of each of four runs of 32.
func decodeQ2_K(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[84]byte)(src[84*i:]), (*[256]float32)(dst[256*i:])
		d, dmin := half(b[80:]), half(b[82:])
		for k, s := range b[:16] { // sub-block k
			scale, min := d*float32(s&15), float32(dmin*float32(s>>4))
			shift := k / 2 % 4 * 2
			q, y := (*[16]byte)(b[16+k/8*32+k%2*16:]), (*[16]float32)(y[16*k:])
			for l, v := range q {
				y[l] = float32(scale*float32(int32(v>>(shift&7)&3))) - min
			}
		}
	}
}

// decodeQ3_K: 32 bytes of high bits, 64 bytes of low 2 bits, 16 6-bit scales in
// 12 bytes, d f16; value = d·(scale−32)·(q−4) in sub-blocks of 16. Bit n of the high
// bits belongs to run n of 32 values, the low bits lie as in Q2_K.
func decodeQ3_K(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[110]byte)(src[110*i:]), (*[256]float32)(dst[256*i:])
		d := half(b[108:])
		scales := q3Scales((*[12]byte)(b[96:]))
		for k, s := range scales {
			scale := d * float32(int32(s)-32)
			run := k / 2
			shift := run % 4 * 2
			h, q := (*[16]byte)(b[k%2*16:]), (*[16]byte)(b[32+k/8*32+k%2*16:])
			y := (*[16]float32)(y[16*k:])
			for l := range y {
				v := int32(q[l]>>(shift&7)&3) | int32(h[l]>>(run&7)&1)<<2
				y[l] = scale * float32(v-4)
			}
		}
	}
}

// q3Scales unpacks the 6-bit scales of Q3_K: the low 4 bits in the nibbles of
// the first 8 bytes, the high 2 bits in the last 4.
func q3Scales(b *[12]byte) (s [16]uint8) {
	for j := range 4 {
		h := b[8+j]
		s[j] = b[j]&15 | h<<4&0x30
		s[j+4] = b[j+4]&15 | h<<2&0x30
		s[j+8] = b[j]>>4 | h&0x30
		s[j+12] = b[j+4]>>4 | h>>2&0x30
	}
	return s
}

// decodeQ4_K: d and dmin f16, 8 scales and mins of 6 bits in 12 bytes, 128 bytes
// of nibbles; value = d·scale·q − dmin·min in sub-blocks of 32. The low nibbles of 32
// bytes are one sub-block, the high nibbles the next.
func decodeQ4_K(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[144]byte)(src[144*i:]), (*[256]float32)(dst[256*i:])
		d, dmin := half(b[:]), half(b[2:])
		scales, mins := q4Scales((*[12]byte)(b[4:]))
		for j := range 4 {
			d0, m0 := d*float32(scales[2*j]), float32(dmin*float32(mins[2*j]))
			d1, m1 := d*float32(scales[2*j+1]), float32(dmin*float32(mins[2*j+1]))
			q, y := (*[32]byte)(b[16+32*j:]), (*[64]float32)(y[64*j:])
			for l, v := range q {
				y[l] = float32(d0*float32(int32(v&15))) - m0
				y[l+32] = float32(d1*float32(int32(v>>4))) - m1
			}
		}
	}
}

// decodeQ5_K: as Q4_K with 32 bytes of fifth bits before the nibbles; bit n of
// them belongs to sub-block n.
func decodeQ5_K(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[176]byte)(src[176*i:]), (*[256]float32)(dst[256*i:])
		d, dmin := half(b[:]), half(b[2:])
		scales, mins := q4Scales((*[12]byte)(b[4:]))
		high := (*[32]byte)(b[16:])
		for j := range 4 {
			d0, m0 := d*float32(scales[2*j]), float32(dmin*float32(mins[2*j]))
			d1, m1 := d*float32(scales[2*j+1]), float32(dmin*float32(mins[2*j+1]))
			q, y := (*[32]byte)(b[48+32*j:]), (*[64]float32)(y[64*j:])
			for l, v := range q {
				h := high[l] >> (2 * j & 7)
				y[l] = float32(d0*float32(int32(v&15|h&1<<4))) - m0
				y[l+32] = float32(d1*float32(int32(v>>4|h>>1&1<<4))) - m1
			}
		}
	}
}

// q4Scales unpacks the 6-bit scales and mins of Q4_K and Q5_K: those of
// sub-blocks 0 to 3 in the low bits of bytes 0 to 7, and of sub-blocks 4 to 7 with 4
// bits in the nibbles of bytes 8 to 11 and 2 in the high bits of bytes 0 to 7.
func q4Scales(b *[12]byte) (scales, mins [8]uint8) {
	for j := range 4 {
		scales[j], mins[j] = b[j]&63, b[j+4]&63
		scales[j+4] = b[j+8]&15 | b[j]>>6<<4
		mins[j+4] = b[j+8]>>4 | b[j+4]>>6<<4
	}
	return scales, mins
}

// decodeQ6_K: 128 bytes of low nibbles, 64 bytes of high 2 bits, 16 signed byte
// scales, d f16; value = d·scale·(q−32) in sub-blocks of 16. Of each 128 values,
// a high byte holds one of each of four runs of 32, and 64 low bytes hold runs
// 0 and 1 in their low nibbles, 2 and 3 in their high ones.
func decodeQ6_K(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[210]byte)(src[210*i:]), (*[256]float32)(dst[256*i:])
		d := half(b[208:])
		var scales [16]float32
		for k, s := range b[192:208] {
			scales[k] = d * float32(int8(s))
		}
		for n := range 4 { // 16 columns of each run: n/2 is the half, n%2 the part of its runs
			at := n%2*16 + n/2*64
			l0, l1 := (*[16]byte)(b[at:]), (*[16]byte)(b[at+32:])
			h := (*[16]byte)(b[128+n%2*16+n/2*32:])
			y := (*[112]float32)(y[n%2*16+n/2*128:])
			s := (*[7]float32)(scales[n%2+n/2*8:])
			s0, s1, s2, s3 := s[0], s[2], s[4], s[6]
			for l, hv := range h {
				v0, v1 := l0[l], l1[l]
				y[l] = s0 * float32(int32(v0&15|hv<<4&48)-32)
				y[l+32] = s1 * float32(int32(v1&15|hv<<2&48)-32)
				y[l+64] = s2 * float32(int32(v0>>4|hv&48)-32)
				y[l+96] = s3 * float32(int32(v1>>4|hv>>2&48)-32)
			}
		}
	}
}

// decodeQ8_K: d f32, 256 signed bytes, 16 sums of 16 quants (an aid for dot
// products); value = d·q. ggml uses it for activations only.
func decodeQ8_K(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[292]byte)(src[292*i:]), (*[256]float32)(dst[256*i:])
		d := math.Float32frombits(binary.LittleEndian.Uint32(b[:]))
		for j, q := range b[4:260] {
			y[j] = d * float32(int8(q))
		}
	}
}
