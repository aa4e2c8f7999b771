package quant

import (
	"fmt"

	"github.com/gollm/gollm/gguf"
)

// Decode converts the blocks in src to float32: len(dst) values of type t,
// which must be a whole number of blocks and src exactly their bytes.
func Decode(t gguf.Type, dst []float32, src []byte) error {
	decode, ok := Decoder(t)
	if !ok {
		return fmt.Errorf("quant: no decoder for tensor type %v", t)
	}
	if err := checkSizes(t, len(dst), len(src)); err != nil {
		return err
	}
	decode(dst, src)
	return nil
}

// Decoder returns the function that decodes rows of type t, or false for an
// unknown type. The function neither allocates nor checks: len(dst) must be
// a multiple of t.BlockSize() and src hold at least t.RowBytes(len(dst))
// bytes, else it panics or leaves the incomplete last block undecoded.
func Decoder(t gguf.Type) (decode func(dst []float32, src []byte), ok bool) {
	if int(t) >= len(decoders) || decoders[t] == nil {
		return nil, false
	}
	return decoders[t], true
}

var decoders = [...]func(dst []float32, src []byte){
	gguf.F32:     decodeF32,
	gguf.F16:     decodeF16,
	gguf.BF16:    decodeBF16,
	gguf.F64:     decodeF64,
	gguf.I8:      decodeI8,
	gguf.I16:     decodeI16,
	gguf.I32:     decodeI32,
	gguf.I64:     decodeI64,
	gguf.Q1_0:    decodeQ1_0,
	gguf.Q2_0:    decodeQ2_0,
	gguf.Q4_0:    decodeQ4_0,
	gguf.Q4_1:    decodeQ4_1,
	gguf.Q5_0:    decodeQ5_0,
	gguf.Q5_1:    decodeQ5_1,
	gguf.Q8_0:    decodeQ8_0,
	gguf.Q8_1:    decodeQ8_1,
	gguf.Q2_K:    decodeQ2_K,
	gguf.Q3_K:    decodeQ3_K,
	gguf.Q4_K:    decodeQ4_K,
	gguf.Q5_K:    decodeQ5_K,
	gguf.Q6_K:    decodeQ6_K,
	gguf.Q8_K:    decodeQ8_K,
	gguf.IQ1_S:   decodeIQ1_S,
	gguf.IQ1_M:   decodeIQ1_M,
	gguf.IQ2_XXS: decodeIQ2_XXS,
	gguf.IQ2_XS:  decodeIQ2_XS,
	gguf.IQ2_S:   decodeIQ2_S,
	gguf.IQ3_XXS: decodeIQ3_XXS,
	gguf.IQ3_S:   decodeIQ3_S,
	gguf.IQ4_NL:  decodeIQ4_NL,
	gguf.IQ4_XS:  decodeIQ4_XS,
	gguf.TQ1_0:   decodeTQ1_0,
	gguf.TQ2_0:   decodeTQ2_0,
	gguf.MXFP4:   decodeMXFP4,
	gguf.NVFP4:   decodeNVFP4,
}

// checkSizes reports whether values of type t fill whole blocks and take
// exactly bytes.
func checkSizes(t gguf.Type, values, bytes int) error {
	if values%t.BlockSize() != 0 {
		return fmt.Errorf("quant: %v: %d values are not whole blocks of %d", t, values, t.BlockSize())
	}
	if want := t.RowBytes(values); bytes != want {
		return fmt.Errorf("quant: %v: %d bytes for %d values, want %d", t, bytes, values, want)
	}
	return nil
}
