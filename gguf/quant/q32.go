package quant

import "encoding/binary"

// The types of 32 values a block. The low nibbles of the 16 quant bytes are
// values 0 to 15, the high nibbles values 16 to 31.

// decodeQ4_0: scale f16, 16 bytes of nibbles; value = d·(q−8).
func decodeQ4_0(dst []float32, src []byte) {
	for i := range len(dst) / 32 {
		b, y := (*[18]byte)(src[18*i:]), (*[32]float32)(dst[32*i:])
		d := half(b[:])
		for j, q := range b[2:] {
			y[j] = float32(int32(q&15)-8) * d
			y[j+16] = float32(int32(q>>4)-8) * d
		}
	}
}

// decodeQ4_1: scale and min f16, 16 bytes of nibbles; value = d·q + m.
func decodeQ4_1(dst []float32, src []byte) {
	for i := range len(dst) / 32 {
		b, y := (*[20]byte)(src[20*i:]), (*[32]float32)(dst[32*i:])
		d, m := half(b[:]), half(b[2:])
		for j, q := range b[4:] {
			y[j] = float32(float32(int32(q&15))*d) + m
			y[j+16] = float32(float32(int32(q>>4))*d) + m
		}
	}
}

// decodeQ5_0: scale f16, 32 fifth bits, 16 bytes of nibbles; value = d·(q−16).
func decodeQ5_0(dst []float32, src []byte) {
	for i := range len(dst) / 32 {
		b, y := (*[22]byte)(src[22*i:]), (*[32]float32)(dst[32*i:])
		d := half(b[:])
		high := binary.LittleEndian.Uint32(b[2:])
		for j, q := range b[6:] {
			y[j] = float32(int32(uint32(q&15)|high<<4&16)-16) * d
			y[j+16] = float32(int32(uint32(q>>4)|high>>12&16)-16) * d
			high >>= 1
		}
	}
}

// decodeQ5_1: scale and min f16, 32 fifth bits, 16 bytes of nibbles;
// value = d·q + m.
func decodeQ5_1(dst []float32, src []byte) {
	for i := range len(dst) / 32 {
		b, y := (*[24]byte)(src[24*i:]), (*[32]float32)(dst[32*i:])
		d, m := half(b[:]), half(b[2:])
		high := binary.LittleEndian.Uint32(b[4:])
		for j, q := range b[8:] {
			y[j] = float32(float32(int32(uint32(q&15)|high<<4&16))*d) + m
			y[j+16] = float32(float32(int32(uint32(q>>4)|high>>12&16))*d) + m
			high >>= 1
		}
	}
}

// decodeQ8_0: scale f16, 32 signed bytes; value = d·q.
func decodeQ8_0(dst []float32, src []byte) {
	for i := range len(dst) / 32 {
		b, y := (*[34]byte)(src[34*i:]), (*[32]float32)(dst[32*i:])
		d := half(b[:])
		for j, q := range b[2:] {
			y[j] = float32(int8(q)) * d
		}
	}
}

// decodeQ8_1: scale f16, d·Σq f16 (an aid for dot products), 32 signed bytes;
// value = d·q. ggml uses it for activations only and has no to_float for it.
func decodeQ8_1(dst []float32, src []byte) {
	for i := range len(dst) / 32 {
		b, y := (*[36]byte)(src[36*i:]), (*[32]float32)(dst[32*i:])
		d := half(b[:])
		for j, q := range b[4:] {
			y[j] = float32(int8(q)) * d
		}
	}
}
