package quant

import "math"

// encodeMXFP4 gives the extreme value the exponent of the largest 4-bit
// float, 4 to 6. (OCP Microscaling Formats 1.0, section 6.3.)
func encodeMXFP4(dst []byte, src []float32) {
	for i := range len(src) / 32 {
		b, x := (*[17]byte)(dst[17*i:]), (*[32]float32)(src[32*i:])
		_, exp := math.Frexp(float64(extreme(x[:]))) // in ½ to 1, times 2^exp
		b[0] = 0
		if extreme(x[:]) != 0 {
			b[0] = uint8(max(exp-1-2+127, 0))
		}
		inv := 1 / float64(halfE8M0(b[0]))
		for j := range 16 {
			b[1+j] = fp4Level(float64(x[j])*inv) | fp4Level(float64(x[j+16])*inv)<<4
		}
	}
}

// fp4Level returns the index of the value of fp4Values nearest to v, of two the
// smaller, and for what rounds to zero the positive one.
func fp4Level(v float64) uint8 {
	var sign uint8
	if v < 0 {
		sign, v = 8, -v
	}
	var k uint8
	for k = 7; k > 0; k-- {
		if 2*v > float64(fp4Values[k]+fp4Values[k-1]) {
			return k | sign
		}
	}
	return 0
}
