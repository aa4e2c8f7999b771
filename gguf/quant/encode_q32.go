package quant

import "encoding/binary"

// The encoders of q32.go's types round with the exact scale, not with the one
// that is left after rounding it to F16: so does ggml, and the bytes are the same.

// encodeQ4_0 takes the extreme value to −8.
func encodeQ4_0(dst []byte, src []float32) {
	for i := range len(src) / 32 {
		b, x := (*[18]byte)(dst[18*i:]), (*[32]float32)(src[32*i:])
		d := extreme(x[:]) / -8
		inv := inverse(d)
		putHalf(b[:], d)
		for j := range 16 {
			b[2+j] = signedLevel(x[j], inv, 8) | signedLevel(x[j+16], inv, 8)<<4
		}
	}
}

// encodeQ5_0 takes the extreme value to −16.
func encodeQ5_0(dst []byte, src []float32) {
	for i := range len(src) / 32 {
		b, x := (*[22]byte)(dst[22*i:]), (*[32]float32)(src[32*i:])
		d := extreme(x[:]) / -16
		inv := inverse(d)
		putHalf(b[:], d)
		var high uint32
		for j := range 16 {
			q0, q1 := signedLevel(x[j], inv, 16), signedLevel(x[j+16], inv, 16)
			b[6+j] = q0&15 | q1<<4
			high |= uint32(q0>>4)<<j | uint32(q1>>4)<<(j+16)
		}
		binary.LittleEndian.PutUint32(b[2:], high)
	}
}

// signedLevel rounds x·inv, which lies in −n to n, to an integer of −n to n−1,
// and adds n.
func signedLevel(x, inv, n float32) uint8 {
	return uint8(min(int32(float32(x*inv)+(n+0.5)), int32(2*n-1)))
}

// unsignedLevel rounds x·inv >= 0 to an integer.
func unsignedLevel(x, inv float32) uint8 {
	return uint8(float32(x*inv) + 0.5)
}

// encodeQ4_1 takes the smallest value to 0 and the largest to 15.
func encodeQ4_1(dst []byte, src []float32) {
	for i := range len(src) / 32 {
		b, x := (*[20]byte)(dst[20*i:]), (*[32]float32)(src[32*i:])
		m, top := minMax(x)
		d := (top - m) / 15
		inv := inverse(d)
		putHalf(b[:], d)
		putHalf(b[2:], m)
		for j := range 16 {
			b[4+j] = unsignedLevel(x[j]-m, inv) | unsignedLevel(x[j+16]-m, inv)<<4
		}
	}
}

// encodeQ5_1 takes the smallest value to 0 and the largest to 31.
func encodeQ5_1(dst []byte, src []float32) {
	for i := range len(src) / 32 {
		b, x := (*[24]byte)(dst[24*i:]), (*[32]float32)(src[32*i:])
		m, top := minMax(x)
		d := (top - m) / 31
		inv := inverse(d)
		putHalf(b[:], d)
		putHalf(b[2:], m)
		var high uint32
		for j := range 16 {
			q0, q1 := unsignedLevel(x[j]-m, inv), unsignedLevel(x[j+16]-m, inv)
			b[8+j] = q0&15 | q1<<4
			high |= uint32(q0>>4)<<j | uint32(q1>>4)<<(j+16)
		}
		binary.LittleEndian.PutUint32(b[4:], high)
	}
}

// minMax returns the smallest and the largest value.
func minMax(x *[32]float32) (lo, hi float32) {
	lo, hi = x[0], x[0]
	for _, v := range x {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi
}

// encodeQ8_0 takes the extreme value to ±127.
func encodeQ8_0(dst []byte, src []float32) {
	for i := range len(src) / 32 {
		b, x := (*[34]byte)(dst[34*i:]), (*[32]float32)(src[32*i:])
		d := extreme(x[:]) / 127
		if d < 0 {
			d = -d
		}
		inv := inverse(d)
		putHalf(b[:], d)
		for j, v := range x {
			v = float32(v * inv)
			if v < 0 { // ties go away from zero
				b[2+j] = uint8(int8(v - 0.5))
			} else {
				b[2+j] = uint8(int8(v + 0.5))
			}
		}
	}
}
