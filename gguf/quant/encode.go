package quant

import (
	"fmt"
	"math"

	"github.com/gollm/gollm/gguf"
)

// Encode converts the float32 values in src, a whole number of blocks, to type
// t. dst must have exactly the bytes they take. The result is the same on every machine.
//
// NaN, infinities and values beyond what the type can hold are refused with an
// error that names the first; dst is then untouched.
func Encode(t gguf.Type, dst []byte, src []float32) error {
	encode, ok := Encoder(t)
	if !ok {
		return fmt.Errorf("quant: cannot encode tensor type %v", t)
	}
	if err := checkSizes(t, len(src), len(dst)); err != nil {
		return err
	}
	if err := CheckValues(t, src); err != nil {
		return err
	}
	encode(dst, src)
	return nil
}

// Encoder returns the function that encodes rows as type t, or false if
// there is none. Like a decoder it neither allocates nor checks: len(src) must be
// a multiple of t.BlockSize(), dst have t.RowBytes(len(src)) bytes, and the
// values pass CheckValues.
func Encoder(t gguf.Type) (encode func(dst []byte, src []float32), ok bool) {
	if int(t) >= len(encoders) || encoders[t].encode == nil {
		return nil, false
	}
	return encoders[t].encode, true
}

// CheckValues reports the first value that type t cannot hold: NaN, an
// infinity, or one that even the largest scale does not reach.
func CheckValues(t gguf.Type, src []float32) error {
	limit := float32(math.MaxFloat32)
	if int(t) < len(encoders) && encoders[t].limit != 0 {
		limit = encoders[t].limit
	}
	for i, v := range src {
		if !(v >= -limit && v <= limit) {
			if v != v || math.IsInf(float64(v), 0) {
				return fmt.Errorf("quant: %v: value %d is %v", t, i, v)
			}
			return fmt.Errorf("quant: %v: value %d is %v, the largest the type holds is %v", t, i, v, limit)
		}
	}
	return nil
}

const maxHalf = 65504 // the largest F16

// encoders lists what can be encoded, with the largest magnitude that surely
// fits (0: any float32).
var encoders = [...]struct {
	encode func(dst []byte, src []float32)
	limit  float32
}{
	gguf.F32:    {encodeF32, 0},
	gguf.F16:    {encodeF16, maxHalf},
	gguf.BF16:   {encodeBF16, 0x1.fep127},
	gguf.Q4_0:   {encodeQ4_0, 8 * maxHalf},
	gguf.Q4_1:   {encodeQ4_1, maxHalf},
	gguf.Q5_0:   {encodeQ5_0, 16 * maxHalf},
	gguf.Q5_1:   {encodeQ5_1, maxHalf},
	gguf.Q8_0:   {encodeQ8_0, 127 * maxHalf},
	gguf.Q2_K:   {encodeQ2_K, 15 * maxHalf},
	gguf.Q3_K:   {encodeQ3_K, 32 * maxHalf},
	gguf.Q4_K:   {encodeQ4_K, 63 * maxHalf},
	gguf.Q5_K:   {encodeQ5_K, 63 * maxHalf},
	gguf.Q6_K:   {encodeQ6_K, 128 * maxHalf},
	gguf.IQ4_NL: {encodeIQ4_NL, 113 * maxHalf},
	gguf.IQ4_XS: {encodeIQ4_XS, 32 * maxHalf},
	gguf.MXFP4:  {encodeMXFP4, 0},
}
