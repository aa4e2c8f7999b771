package quant

// The encoders of qk.go's types fit a scale (and min) to each sub-block, round
// those to integers times the block's scale, which is rounded to F16, and round the
// values with what a decoder will then see. As all of that moves the scale away from
// the fit, the neighbours of a sub-block's integer scale are tried too.

func encodeQ2_K(dst []byte, src []float32) {
	for i := range len(src) / 256 {
		b, x := (*[84]byte)(dst[84*i:]), (*[256]float32)(src[256*i:])
		var u [256]uint8
		var scales, mins [16]uint8
		encodeScaleMin(b[80:84], scales[:], mins[:], &u, x, 15, 3)
		clear(b[16:80])
		for k := range scales {
			b[k] = scales[k] | mins[k]<<4
			q := (*[16]byte)(b[16+k/8*32+k%2*16:])
			for l, v := range u[16*k : 16*k+16] {
				q[l] |= v << (k / 2 % 4 * 2)
			}
		}
	}
}

func encodeQ3_K(dst []byte, src []float32) {
	for i := range len(src) / 256 {
		b, x := (*[110]byte)(dst[110*i:]), (*[256]float32)(src[256*i:])
		var u [256]uint8
		var scales [16]int8
		encodeScale(b[108:], scales[:], &u, x, 32, 4)
		clear(b[:108])
		for k, s := range scales {
			v := uint8(s + 32)
			b[96+k%8] |= v & 15 << (k / 8 * 4)
			b[104+k%4] |= v >> 4 << (k / 4 * 2)
			h, q := (*[16]byte)(b[k%2*16:]), (*[16]byte)(b[32+k/8*32+k%2*16:])
			for l, v := range u[16*k : 16*k+16] {
				q[l] |= v & 3 << (k / 2 % 4 * 2)
				h[l] |= v >> 2 << (k / 2)
			}
		}
	}
}

func encodeQ4_K(dst []byte, src []float32) {
	for i := range len(src) / 256 {
		b, x := (*[144]byte)(dst[144*i:]), (*[256]float32)(src[256*i:])
		var u [256]uint8
		var scales, mins [8]uint8
		encodeScaleMin(b[:4], scales[:], mins[:], &u, x, 63, 15)
		putScales4((*[12]byte)(b[4:]), &scales, &mins)
		for j := range 4 {
			q, u := (*[32]byte)(b[16+32*j:]), (*[64]uint8)(u[64*j:])
			for l := range q {
				q[l] = u[l] | u[l+32]<<4
			}
		}
	}
}

func encodeQ5_K(dst []byte, src []float32) {
	for i := range len(src) / 256 {
		b, x := (*[176]byte)(dst[176*i:]), (*[256]float32)(src[256*i:])
		var u [256]uint8
		var scales, mins [8]uint8
		encodeScaleMin(b[:4], scales[:], mins[:], &u, x, 63, 31)
		putScales4((*[12]byte)(b[4:]), &scales, &mins)
		high := (*[32]byte)(b[16:])
		clear(high[:])
		for j := range 4 {
			q, u := (*[32]byte)(b[48+32*j:]), (*[64]uint8)(u[64*j:])
			for l := range q {
				q[l] = u[l]&15 | u[l+32]<<4
				high[l] |= u[l]>>4<<(2*j) | u[l+32]>>4<<(2*j+1)
			}
		}
	}
}

// putScales4 is the inverse of q4Scales.
func putScales4(b *[12]byte, scales, mins *[8]uint8) {
	for j := range 4 {
		b[j] = scales[j] | scales[j+4]>>4<<6
		b[4+j] = mins[j] | mins[j+4]>>4<<6
		b[8+j] = scales[j+4]&15 | mins[j+4]<<4
	}
}

func encodeQ6_K(dst []byte, src []float32) {
	for i := range len(src) / 256 {
		b, x := (*[210]byte)(dst[210*i:]), (*[256]float32)(src[256*i:])
		var u [256]uint8
		var scales [16]int8
		encodeScale(b[208:], scales[:], &u, x, 128, 32)
		clear(b[:192])
		for k, s := range scales {
			b[192+k] = uint8(s)
			run := k / 2 % 4 // of 32, in the half k/8
			low := (*[16]byte)(b[k/8*64+run%2*32+k%2*16:])
			high := (*[16]byte)(b[128+k/8*32+k%2*16:])
			for l, v := range u[16*k : 16*k+16] {
				low[l] |= v & 15 << (run / 2 * 4)
				high[l] |= v >> 4 << (run * 2)
			}
		}
	}
}

// encodeScale encodes a block as d·scale·q, for q of −n to n−1 and scales of
// −nScale to nScale−1, one for each of len(scales) sub-blocks: d to dst as F16,
// q+n to u.
func encodeScale(dst []byte, scales []int8, u *[256]uint8, x *[256]float32, nScale, n float32) {
	size := 256 / len(scales)
	var norm [256]float32
	var fit [16]float32
	top := normalise(norm[:], x[:])
	for k := range scales {
		x := norm[size*k : size*k+size]
		fit[k] = fitScale(x, n)
	}
	d := putSigned(dst, scales, fit[:len(scales)], nScale, top)
	for k := range scales {
		x, u := x[size*k:size*k+size], u[size*k:size*k+size]
		s := float32(scales[k])
		best := float32(-1)
		for _, t := range [3]float32{s, s - 1, s + 1} {
			if t < -nScale || t >= nScale {
				continue
			}
			e := scaleError(x, d*t, n)
			if best < 0 || e < best {
				best, scales[k] = e, int8(t)
			}
		}
		inv := inverse(d * float32(scales[k]))
		for l, v := range x {
			u[l] = uint8(level(v, inv, -n, n-1) + n)
		}
	}
}

// scaleError returns Σ (x − d·q)², q as in fitScale.
func scaleError(x []float32, d, n float32) (sum float32) {
	inv := inverse(d)
	for _, v := range x {
		e := v - float32(d*level(v, inv, -n, n-1))
		sum += float32(e * e)
	}
	return sum
}

// encodeScaleMin encodes a block as d·scale·q − dmin·min, for q of 0 to n and scales
// and mins of 0 to nScale, one for each of len(scales) sub-blocks: d and dmin to dst as
// F16, q to u.
func encodeScaleMin(dst []byte, scales, mins []uint8, u *[256]uint8, x *[256]float32, nScale, n float32) {
	size := 256 / len(scales)
	var norm [256]float32
	var fit, fitMin [16]float32
	top := normalise(norm[:], x[:])
	for k := range scales {
		x := norm[size*k : size*k+size]
		fit[k], fitMin[k] = fitScaleMin(x, n)
	}
	d := putUnsigned(dst, scales, fit[:len(scales)], nScale, top)
	dmin := putUnsigned(dst[2:], mins, fitMin[:len(scales)], nScale, top)
	for k := range scales {
		x, u := x[size*k:size*k+size], u[size*k:size*k+size]
		s, m := float32(scales[k]), float32(mins[k])
		best := float32(-1)
		for _, t := range [3]float32{s, s - 1, s + 1} {
			if t < 0 || t > nScale {
				continue
			}
			// The min that suits this scale, from the levels of the old min.
			m := bestMin(x, d*t, float32(dmin*m), n)
			m = level(m, inverse(dmin), 0, nScale)
			e := scaleMinError(x, d*t, float32(dmin*m), n)
			if best < 0 || e < best {
				best, scales[k], mins[k] = e, uint8(t), uint8(m)
			}
		}
		inv, min := inverse(d*float32(scales[k])), float32(dmin*float32(mins[k]))
		for l, v := range x {
			u[l] = uint8(level(v+min, inv, 0, n))
		}
	}
}

// bestMin returns the m that makes Σ (x − (d·q − m))² least for the q that belong to
// the min m0.
func bestMin(x []float32, d, m0, n float32) float32 {
	inv := inverse(d)
	var sum float32
	for _, v := range x {
		sum += float32(d*level(v+m0, inv, 0, n)) - v
	}
	return sum / float32(len(x))
}

// scaleMinError returns Σ (x − (d·q − m))², q as in fitScaleMin.
func scaleMinError(x []float32, d, m, n float32) (sum float32) {
	inv := inverse(d)
	for _, v := range x {
		v += m
		e := v - float32(d*level(v, inv, 0, n))
		sum += float32(e * e)
	}
	return sum
}

// putUnsigned rounds scales >= 0, whose unit is unit, to q of 0 to n. It writes
// their common scale to dst, as F16, and returns it as it will be read.
func putUnsigned(dst []byte, q []uint8, scales []float32, n, unit float32) float32 {
	top := extreme(scales)
	inv := n * inverse(top)
	for k, s := range scales {
		q[k] = uint8(level(s, inv, 0, n))
	}
	putHalf(dst, top/n*unit)
	return half(dst)
}

// putSigned does the same for scales of either sign, with q of −n to n−1.
func putSigned(dst []byte, q []int8, scales []float32, n, unit float32) float32 {
	top := extreme(scales)
	inv := -n * inverse(top)
	for k, s := range scales {
		q[k] = int8(level(s, inv, -n, n-1))
	}
	putHalf(dst, top/-n*unit)
	return half(dst)
}
