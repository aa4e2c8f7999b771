package quant

// Types of one and two bits a value.

// decodeQ1_0: scale f16, 128 bits; value = d where the bit is set, else −d.
func decodeQ1_0(dst []float32, src []byte) {
	for i := range len(dst) / 128 {
		b, y := (*[18]byte)(src[18*i:]), (*[128]float32)(dst[128*i:])
		d := half(b[:])
		values := [2]float32{-d, d}
		for j := range y {
			y[j] = values[b[2+j/8]>>(j%8)&1]
		}
	}
}

// decodeQ2_0: scale f16, 64 values of 2 bits; value = d·(q−1).
func decodeQ2_0(dst []float32, src []byte) {
	for i := range len(dst) / 64 {
		b, y := (*[18]byte)(src[18*i:]), (*[64]float32)(dst[64*i:])
		d := half(b[:])
		values := [4]float32{-1 * d, 0 * d, d, 2 * d}
		for j := range y {
			y[j] = values[b[2+j/4]>>(j%4*2)&3]
		}
	}
}

// decodeTQ2_0: 64 bytes of 2-bit quants, d f16; value = d·(q−1). A byte
// holds one value of each of four runs of 32.
func decodeTQ2_0(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[66]byte)(src[66*i:]), (*[256]float32)(dst[256*i:])
		d := half(b[64:])
		values := [4]float32{-1 * d, 0 * d, d, 2 * d}
		for k := range 8 { // run of 32
			shift := k % 4 * 2
			q, y := (*[32]byte)(b[k/4*32:]), (*[32]float32)(y[32*k:])
			for l, v := range q {
				y[l] = values[v>>shift&3]
			}
		}
	}
}

// decodeTQ1_0: 48 bytes of five base-3 digits, 4 bytes of four, d f16; value =
// d·(digit−1). A byte v stands for the fraction v/256, whose base-3 digits are
// read from the front by multiplying with 3. Runs of 32, 16 and 4 bytes hold their
// first digits, then their second digits, and so on.
func decodeTQ1_0(dst []float32, src []byte) {
	for i := range len(dst) / 256 {
		b, y := (*[54]byte)(src[54*i:]), dst[256*i:256*i+256]
		d := half(b[52:])
		values := [3]float32{-1 * d, 0 * d, d}
		digits := func(q []byte, n int) {
			pow := uint8(1)
			for range n {
				for l, v := range q {
					y[l] = values[uint16(v*pow)*3>>8]
				}
				y = y[len(q):]
				pow *= 3
			}
		}
		digits(b[:32], 5)
		digits(b[32:48], 5)
		digits(b[48:52], 4)
	}
}
