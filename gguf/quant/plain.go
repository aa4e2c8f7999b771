package quant

import (
	"encoding/binary"
	"math"
)

func decodeF32(dst []float32, src []byte) {
	for len(dst) >= 8 { // in eights, for which the bounds are checked once
		b, y := (*[32]byte)(src), (*[8]float32)(dst)
		for j := range y {
			y[j] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*j:]))
		}
		dst, src = dst[8:], src[32:]
	}
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func decodeF16(dst []float32, src []byte) {
	for len(dst) >= 8 {
		b, y := (*[16]byte)(src), (*[8]float32)(dst)
		for j := range y {
			y[j] = F16ToF32(binary.LittleEndian.Uint16(b[2*j:]))
		}
		dst, src = dst[8:], src[16:]
	}
	for i := range dst {
		dst[i] = half(src[2*i:])
	}
}

func decodeBF16(dst []float32, src []byte) {
	for len(dst) >= 8 {
		b, y := (*[16]byte)(src), (*[8]float32)(dst)
		for j := range y {
			y[j] = BF16ToF32(binary.LittleEndian.Uint16(b[2*j:]))
		}
		dst, src = dst[8:], src[16:]
	}
	for i := range dst {
		dst[i] = BF16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

func decodeF64(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
}

func decodeI8(dst []float32, src []byte) {
	for i, v := range src[:len(dst)] {
		dst[i] = float32(int8(v))
	}
}

func decodeI16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(int16(binary.LittleEndian.Uint16(src[2*i:])))
	}
}

func decodeI32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(int32(binary.LittleEndian.Uint32(src[4*i:])))
	}
}

func decodeI64(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(int64(binary.LittleEndian.Uint64(src[8*i:])))
	}
}
