package quant

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The IQ types of one to three bits: eight (or four) values are an index into a
// codebook of vectors (grids.go), with their signs and scales beside.

// The levels the packed codebooks index.
var (
	iq2Levels    = [4]float32{8, 25, 43}
	iq3xxsLevels = [8]float32{4, 12, 20, 28, 36, 44, 52, 62}
	iq3sLevels   = [8]float32{1, 3, 5, 7, 9, 11, 13, 15}
)

// iq1Delta is what IQ1_S and IQ1_M add to all values of a group, or subtract.
const iq1Delta = 0.125

// parity completes seven sign bits to the eight of a group: their number is
// always even.
func parity(s uint32) uint8 {
	v := uint8(s & 127)
	return v | uint8(bits.OnesCount8(v)&1)<<7
}

// signed returns v with its sign flipped if bit j of signs is set.
func signed(v float32, signs uint8, j int) float32 {
	return math.Float32frombits(math.Float32bits(v) ^ uint32(signs>>(j&7)&1)<<31)
}

// iq2Group sets 8 values from an entry of an IQ2 codebook.
func iq2Group(y *[8]float32, scale float32, grid uint16, signs uint8) {
	for j := range y {
		y[j] = signed(scale*iq2Levels[grid>>(2*j)&3], signs, j)
	}
}

// iq3Group sets 8 values from two entries of an IQ3 codebook.
func iq3Group(y *[8]float32, scale float32, levels *[8]float32, grid0, grid1 uint16, signs uint8) {
	grid := uint32(grid0) | uint32(grid1)<<12
	for j := range y {
		y[j] = signed(scale*levels[grid>>(3*j)&7], signs, j)
	}
}

// iq1Group sets 8 values from an entry of the IQ1 codebook.
func iq1Group(y *[8]float32, scale float32, grid uint16, minus bool) {
	delta := float32(iq1Delta)
	if minus {
		delta = -delta
	}
	values := [4]float32{scale * (-1 + delta), scale * delta, scale * (1 + delta)}
	for j := range y {
		y[j] = values[grid>>(2*j)&3]
	}
}

// decodeIQ2_XXS: d f16, then for each 32 values four codebook indices of 8 bits,
// and 32 bits: four times 7 signs, a scale of 4. value = d·(½+scale)/4·±grid.
func decodeIQ2_XXS(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[66]byte)(src[66*i:]), (*[256]float32)(dst[256*i:])
		d := half(b[:])
		for k := range 8 {
			q := b[2+8*k : 10+8*k]
			aux := binary.LittleEndian.Uint32(q[4:])
			scale := d * (0.5 + float32(aux>>28)) * 0.25
			for l := range 4 {
				iq2Group((*[8]float32)(y[32*k+8*l:]), scale, iq2xxsGrid[q[l]], parity(aux>>(7*l)))
			}
		}
	}
}

// decodeIQ2_XS: d f16, 32 words of 9 index bits and 7 signs, 8 bytes of two
// 4-bit scales; value = d·(½+scale)/4·±grid, a scale for 16 values.
func decodeIQ2_XS(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[74]byte)(src[74*i:]), (*[256]float32)(dst[256*i:])
		d := half(b[:])
		for k := range 32 {
			q := binary.LittleEndian.Uint16(b[2+2*k:])
			scale := d * (0.5 + float32(b[66+k/4]>>(k%4/2*4)&15)) * 0.25
			iq2Group((*[8]float32)(y[8*k:]), scale, iq2xsGrid[q&511], parity(uint32(q>>9)))
		}
	}
}

// decodeIQ2_S: d f16, 32 bytes of low index bits, 32 bytes of signs, 8 bytes of
// four times two high index bits, 8 bytes of two 4-bit scales; value =
// d·(½+scale)/4·±grid, a scale for 16 values.
func decodeIQ2_S(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[82]byte)(src[82*i:]), (*[256]float32)(dst[256*i:])
		d := half(b[:])
		for k := range 32 {
			index := uint16(b[2+k]) | uint16(b[66+k/4]>>(k%4*2)&3)<<8
			scale := d * (0.5 + float32(b[74+k/4]>>(k%4/2*4)&15)) * 0.25
			iq2Group((*[8]float32)(y[8*k:]), scale, iq2sGrid[index], b[34+k])
		}
	}
}

// decodeIQ3_XXS: d f16, 64 codebook indices of 8 bits, each for 4 values, then for each
// 32 values 32 bits: four times 7 signs, a scale of 4. value =
// d·(½+scale)/2·±grid.
func decodeIQ3_XXS(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[98]byte)(src[98*i:]), (*[256]float32)(dst[256*i:])
		d := half(b[:])
		for k := range 8 {
			aux := binary.LittleEndian.Uint32(b[66+4*k:])
			scale := d * (0.5 + float32(aux>>28)) * 0.5
			for l := range 4 {
				q := (*[2]byte)(b[2+8*k+2*l:])
				iq3Group((*[8]float32)(y[32*k+8*l:]), scale, &iq3xxsLevels,
					iq3xxsGrid[q[0]], iq3xxsGrid[q[1]], parity(aux>>(7*l)))
			}
		}
	}
}

// decodeIQ3_S: d f16, 64 bytes of low index bits, 8 bytes of ninth bits, 32
// bytes of signs, 4 bytes of two 4-bit scales; value = d·(1+2·scale)·±grid, a
// scale for 32 values.
func decodeIQ3_S(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[110]byte)(src[110*i:]), (*[256]float32)(dst[256*i:])
		d := half(b[:])
		for k := range 32 {
			q := (*[2]byte)(b[2+2*k:])
			high := uint16(b[66+k/4]) >> (k % 4 * 2)
			scale := d * float32(1+2*int32(b[106+k/8]>>(k%8/4*4)&15))
			iq3Group((*[8]float32)(y[8*k:]), scale, &iq3sLevels,
				iq3sGrid[uint16(q[0])|high&1<<8], iq3sGrid[uint16(q[1])|high>>1&1<<8], b[74+k])
		}
	}
}

// decodeIQ1_S: d f16, 32 bytes of low index bits, then for each 32 values a word: four
// times 3 high index bits, a scale of 3 bits, the sign of delta. value =
// d·(2·scale+1)·(grid±⅛).
func decodeIQ1_S(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[50]byte)(src[50*i:]), (*[256]float32)(dst[256*i:])
		d := half(b[:])
		for k := range 8 {
			high := binary.LittleEndian.Uint16(b[34+2*k:])
			scale := d * float32(int32(2*(high>>12&7)+1))
			for l := range 4 {
				index := uint16(b[2+4*k+l]) | high>>(3*l)&7<<8
				iq1Group((*[8]float32)(y[32*k+8*l:]), scale, iq1Grid[index], high&0x8000 != 0)
			}
		}
	}
}

// decodeIQ1_M: 32 bytes of low index bits, 16 bytes of two nibbles (3 high index bits,
// the sign of delta), 4 words of four 3-bit scales, each for 16 values, and in their
// top nibbles d, f16. value = d·(2·scale+1)·(grid±⅛).
func decodeIQ1_M(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[56]byte)(src[56*i:]), (*[256]float32)(dst[256*i:])
		var scales [4]uint16
		var dbits uint16
		for w := range scales {
			scales[w] = binary.LittleEndian.Uint16(b[48+2*w:])
			dbits |= scales[w] >> 12 << (4 * w)
		}
		d := F16ToF32(dbits)
		for k := range 32 {
			high := uint16(b[32+k/2] >> (k % 2 * 4))
			scale := d * float32(int32(2*(scales[k/8]>>(k%8/2*3)&7)+1))
			iq1Group((*[8]float32)(y[8*k:]), scale, iq1Grid[uint16(b[k])|high&7<<8], high&8 != 0)
		}
	}
}
