package quant

import "math"

// fp4Values are twice the 16 values of a 4-bit float (E2M1: sign, two bits of
// exponent, one of fraction).
var fp4Values = [16]float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// decodeMXFP4: a power-of-two scale E8M0, 16 bytes of 4-bit floats; value =
// 2^(e−127)·fp4, low nibbles first. (OCP Microscaling Formats 1.0, but that e =
// 255 is a power too, not NaN.)
func decodeMXFP4(dst []float32, src []byte) {
	for i := range len(dst) / 32 {
		b, y := (*[17]byte)(src[17*i:]), (*[32]float32)(dst[32*i:])
		d := halfE8M0(b[0])
		for j, q := range b[1:] {
			y[j] = fp4Values[q&15] * d
			y[j+16] = fp4Values[q>>4] * d
		}
	}
}

// halfE8M0 returns 2^(e−128): half the value of an E8M0 scale, as fp4Values are
// doubled.
func halfE8M0(e uint8) float32 {
	if e < 2 { // subnormal
		return math.Float32frombits(0x00200000 << e)
	}
	return math.Float32frombits(uint32(e-1) << 23)
}

// decodeNVFP4: four scales UE4M3, 32 bytes of 4-bit floats; value = scale·fp4 in
// sub-blocks of 16, low nibbles of 8 bytes first. (The scale of the whole tensor, where
// there is one, is a tensor of its own.)
func decodeNVFP4(dst []float32, src []byte) {
	for i := range len(dst) / 64 {
		b, y := (*[36]byte)(src[36*i:]), (*[64]float32)(dst[64*i:])
		for k, s := range b[:4] {
			d := halfUE4M3(s)
			q, y := (*[8]byte)(b[4+8*k:]), (*[16]float32)(y[16*k:])
			for j, v := range q {
				y[j] = fp4Values[v&15] * d
				y[j+8] = fp4Values[v>>4] * d
			}
		}
	}
}

// halfUE4M3 returns half the value of an unsigned 8-bit float with 4 bits of
// exponent and 3 of fraction; 0x7f is ggml's mark of an empty sub-block. The
// eighth bit is ignored but for that mark.
func halfUE4M3(s uint8) float32 {
	if s == 0x7f {
		return 0
	}
	exp, man := uint32(s>>3&15), uint32(s&7)
	if exp == 0 {
		return float32(man) * 0x1p-10
	}
	return math.Float32frombits((exp+119)<<23 | man<<20) // bias 7 against 127, and a half
}
