package kernel

import "github.com/gollm/gollm/gguf"

// Sets lists the kernels that this machine can run, the best first and Go's
// last. Every arm64 processor has NEON.
func Sets() []*Set { return []*Set{neonSet(), goSet()} }

func neonSet() *Set {
	return &Set{
		Name:    "neon",
		Rows:    16,
		Columns: 4,
		Lanes:   16,
		dot: [types]dotFunc{
			gguf.Q4_0: dotQ4_0NEON, gguf.Q4_1: dotQ4_1NEON, gguf.Q5_0: dotQ5_0NEON, gguf.Q5_1: dotQ5_1NEON,
			gguf.Q8_0: dotQ8_0NEON, gguf.IQ4_NL: dotIQ4NLNEON, gguf.MXFP4: dotMXFP4NEON, gguf.Q2_K: dotQ2KNEON,
			gguf.Q3_K: dotQ3KNEON, gguf.Q4_K: dotQ4KNEON, gguf.Q5_K: dotQ5KNEON, gguf.Q6_K: dotQ6KNEON,
			gguf.IQ4_XS: dotIQ4XSNEON,
		},
		words: [types]wordsFunc{
			gguf.Q4_0: wordsQ4_0NEON, gguf.Q4_1: wordsQ4_1NEON, gguf.Q5_0: wordsQ5_0NEON, gguf.Q5_1: wordsQ5_1NEON,
			gguf.Q8_0: wordsQ8_0NEON, gguf.IQ4_NL: wordsIQ4NLNEON, gguf.MXFP4: wordsMXFP4NEON, gguf.Q2_K: wordsQ2KNEON,
			gguf.Q3_K: wordsQ3KNEON, gguf.Q4_K: wordsQ4KNEON, gguf.Q5_K: wordsQ5KNEON, gguf.Q6_K: wordsQ6KNEON,
			gguf.IQ4_XS: wordsIQ4XSNEON,
		},
		gemm:      [3]gemmFunc{gemmNEON, gemmMinNEON, gemmMin2NEON},
		dotFloat:  [types]floatFunc{gguf.F32: dotF32NEON, gguf.F16: dotF16NEON, gguf.BF16: dotBF16NEON, gguf.Q8_0: dotFloatQ8_0NEON},
		dot4Float: [types]floatFunc{gguf.F32: dot4F32NEON, gguf.F16: dot4F16NEON, gguf.BF16: dot4BF16NEON},
		sumFloat:  [types]floatFunc{gguf.F32: sumF32NEON, gguf.F16: sumF16NEON, gguf.Q8_0: sumQ8_0NEON},
		gemmFloat: gemmFloatNEON,
		transpose: transposeNEON,
		pack:      packNEON,
		fetch:     fetchNEON,
		unpack:    unpackNEON,
		widen:     [types]func(*float32, *byte, int){gguf.F16: widenF16NEON, gguf.BF16: widenBF16NEON},
		narrow:    [types]func(*byte, *float32, int){gguf.F16: narrowF16NEON, gguf.Q8_0: narrowQ8_0NEON},
		quantize:  quantizeNEON,
		scores:    scoresNEON,
		softcap:   capNEON,
		mask:      maskNEON,
		weigh:     weighNEON,
		values:    valuesNEON,
		exp:       expNEON,
		silu:      siluNEON,
		gelu:      geluNEON,
		squares:   sumSquaresNEON,
		scaleMul:  scaleMulNEON,
		add:       addNEON,
	}
}
