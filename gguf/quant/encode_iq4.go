package quant

import "encoding/binary"

// iq4Nearest maps ⌊2v⌋+256 to the index of the level of iq4Values nearest to v:
// halfway between two levels lies a multiple of ½.
var iq4Nearest = func() (table [512]uint8) {
	for i := range table {
		v := float32(i-256)/2 + 0.25
		for k := range iq4Values {
			if abs(iq4Values[k]-v) < abs(iq4Values[table[i]]-v) {
				table[i] = uint8(k)
			}
		}
	}
	return table
}()

func abs(v float32) float32 { return max(v, -v) }

// iq4Level returns the index of the level nearest to v.
func iq4Level(v float32) uint8 {
	if v < -127 {
		return 0
	}
	if v > 113 {
		return 15
	}
	return iq4Nearest[int32(2*v+256)&511] // positive, so that truncation is the floor
}

// fitIQ4 is fitScale for the levels of iq4Values. Tried are scales that take
// the extreme value near to either end.
func fitIQ4(x []float32) float32 {
	ext := extreme(x)
	if ext == 0 {
		return 0
	}
	var d, best float32
	for k := range 16 {
		target := iq4Values[0] + float32(k-7)
		if k == 15 {
			target = -iq4Values[0]
		}
		inv := target / ext
		var xq, qq float32
		for _, v := range x {
			q := iq4Values[iq4Level(v*inv)&15]
			w := float32(v*v) * q
			xq += float32(w * v)
			qq += float32(w * q)
		}
		if xq*xq > best*qq*clearly {
			d = xq / qq
			best = d * xq
		}
	}
	return d
}

func encodeIQ4_NL(dst []byte, src []float32) {
	for i := range len(src) / 32 {
		b, x := (*[18]byte)(dst[18*i:]), (*[32]float32)(src[32*i:])
		var n [32]float32
		top := normalise(n[:], x[:])
		putHalf(b[:], fitIQ4(n[:])*top)
		packIQ4((*[16]byte)(b[2:]), x, inverse(half(b[:])))
	}
}

func encodeIQ4_XS(dst []byte, src []float32) {
	for i := range len(src) / 256 {
		b, x := (*[136]byte)(dst[136*i:]), (*[256]float32)(src[256*i:])
		var n [256]float32
		top := normalise(n[:], x[:])
		var scales [8]float32
		for k := range scales {
			scales[k] = fitIQ4(n[32*k : 32*k+32])
		}
		var qs [8]int8
		d := putSigned(b[:], qs[:], scales[:], 32, top)
		clear(b[2:8])
		var high uint16
		for k, s := range qs {
			u := uint8(s + 32)
			b[4+k/2] |= u & 15 << (k % 2 * 4)
			high |= uint16(u>>4) << (2 * k)
			packIQ4((*[16]byte)(b[8+16*k:]), (*[32]float32)(x[32*k:]), inverse(d*float32(s)))
		}
		binary.LittleEndian.PutUint16(b[2:], high)
	}
}

// packIQ4 writes the indices of 32 values.
func packIQ4(q *[16]byte, x *[32]float32, inv float32) {
	for j := range q {
		q[j] = iq4Level(x[j]*inv) | iq4Level(x[j+16]*inv)<<4
	}
}
