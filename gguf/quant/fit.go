package quant

// What the encoders share: finding the scale (and min) with which a few integers
// come nearest to the values of a block. There is no closed form, since rounding
// depends on the scale; but for given integers the best scale is a least-squares
// fit. So a number of scales is tried, each improved by the fit, and the best
// kept.

// round returns the integer nearest to v, ties to even; |v| must be below 2^22.
func round(v float32) float32 {
	const magic = 3 << 22 // a float of this size has no bits for a fraction
	return float32(v+magic) - magic
}

// level returns x·inv rounded to an integer of lo to hi.
func level(x, inv, lo, hi float32) float32 {
	v := float32(x * inv)
	if v > hi {
		v = hi
	}
	if v < lo {
		v = lo
	}
	return round(v)
}

// inverse returns 1/d, and 0 for a d so small that the quotient would overflow:
// what it scales then becomes 0.
func inverse(d float32) float32 {
	if -0x1p-126 < d && d < 0x1p-126 {
		return 0
	}
	return 1 / d
}

// extreme returns the value of greatest magnitude with its sign.
func extreme(x []float32) float32 {
	var m, a float32
	for _, v := range x {
		if w := max(v, -v); w > a {
			m, a = v, w
		}
	}
	return m
}

// normalise sets n to x divided by its greatest magnitude, and returns that:
// squares of squares of n neither overflow nor, where they matter, underflow.
func normalise(n, x []float32) float32 {
	m := extreme(x)
	if m < 0 {
		m = -m
	}
	if m == 0 {
		clear(n)
		return 0
	}
	for i, v := range x {
		n[i] = v / m
	}
	return m
}

// fitScale returns the d that makes Σ (x − d·q)² small, q = x/d rounded to the
// integers −n to n−1. Tried are scales that take the extreme value to −n, where
// there is a level more than on the other side, and near to it.
func fitScale(x []float32, n float32) float32 {
	ext := extreme(x)
	if ext == 0 {
		return 0
	}
	var d, best float32
	for k := range 19 {
		inv := -(n + tenths(k)) / ext
		var xq, qq float32
		for _, v := range x {
			q := level(v, inv, -n, n-1)
			xq += float32(q * v)
			qq += float32(q * q)
		}
		// The fit is d = xq/qq and takes xq²/qq off Σ x².
		if xq*xq > best*qq*clearly {
			d = xq / qq
			best = d * xq
		}
	}
	return d
}

// tenths returns 0, 0.1, −0.1, 0.2, −0.2 …
func tenths(k int) float32 {
	return float32(0.1 * float32((k+1)/2*(k%2*2-1)))
}

// clearly is the factor by which a fit must be better to be preferred to one tried
// earlier: more than rounding errors make of two equal ones.
const clearly = 1 + 2e-6

// fitScaleMin returns d and m >= 0 that make Σ (x − (d·q − m))² small, q =
// (x+m)/d rounded to the integers 0 to n. Tried are scales that take the largest
// value to n, and near to it, each followed by the one its fit leads to.
func fitScaleMin(x []float32, n float32) (d, m float32) {
	var lo, hi, sx float32
	hi = x[0]
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
		sx += v
	}
	if hi-lo < 0x1p-100 {
		return 0, -lo
	}
	size := float32(len(x))
	var best float32
	for k := range 9 {
		inv, base := (n+2*tenths(k))/(hi-lo), lo
		for range 2 {
			var q1, qq, xq float32
			for _, v := range x {
				q := level(v-base, inv, 0, n)
				q1 += q
				qq += float32(q * q)
				xq += float32(q * v)
			}
			// x ≈ fit·q + c; a positive c cannot be stored, nor can c be
			// told from the rest where all q are the same.
			fit, c := xq/qq, float32(0)
			if det := float32(size*qq) - float32(q1*q1); det > 1e-6*qq*size {
				if c0 := (float32(qq*sx) - float32(q1*xq)) / det; c0 < 0 {
					fit, c = (float32(size*xq)-float32(sx*q1))/det, c0
				}
			}
			// What the fit takes off Σ x².
			if gain := float32(fit*xq) + float32(c*sx); gain > best*clearly {
				best, d, m = gain, fit, -c
			}
			inv, base = inverse(fit), c
		}
	}
	return d, m
}
