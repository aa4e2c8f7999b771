package quant

import (
	"encoding/binary"
	"math"
)

// F16ToF32 returns the value of an IEEE 754 binary16 number, exactly.
func F16ToF32(h uint16) float32 {
	b := uint32(h&0x7fff) << 13
	switch h & 0x7c00 {
	case 0: // zero or subnormal
		b = math.Float32bits(float32(h&0x3ff) * 0x1p-24)
	case 0x7c00: // infinity or NaN
		b |= 0x7f800000
	default:
		b += (127 - 15) << 23
	}
	return math.Float32frombits(b | uint32(h&0x8000)<<16)
}

// F32ToF16 returns the binary16 number nearest to f, ties to even. What is too
// large becomes infinity, a NaN stays one.
func F32ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign, b := uint16(b>>16&0x8000), b&0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00
	case b >= 0x47800000: // 65536 and above
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: subnormal
		// Adding 1/2 leaves a float whose last bit counts 2^-24, as a
		// subnormal half does, rounded by the hardware.
		r := math.Float32frombits(b) + 0.5
		return sign | uint16(math.Float32bits(r)-0x3f000000)
	}
	// Rounding may carry into the exponent, up to infinity: as it should.
	b += 0xfff + b>>13&1
	return sign | uint16((b-112<<23)>>13)
}

// BF16ToF32 returns the value of a bfloat16 number: the upper half of a
// float32.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 returns the bfloat16 number nearest to f, ties to even. A NaN
// stays one.
func F32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// half reads a little-endian binary16 number from the first two bytes of b.
func half(b []byte) float32 { return F16ToF32(binary.LittleEndian.Uint16(b)) }

func putHalf(b []byte, f float32) { binary.LittleEndian.PutUint16(b, F32ToF16(f)) }
