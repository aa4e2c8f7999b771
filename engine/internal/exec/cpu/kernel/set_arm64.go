package kernel

import (
	"runtime"

	"github.com/gollm/gollm/gguf"
	"golang.org/x/sys/cpu"
)

// Sets lists the kernels that this machine can run, the best first and Go's
// last. Every arm64 processor has NEON.
func Sets() []*Set {
	sets := []*Set{neonSet(), goSet()}
	// Before version 13 macOS does not tell of SDOT, which every Mac with arm64 has.
	if !cpu.ARM64.HasASIMDDP && runtime.GOOS != "darwin" {
		return sets
	}
	sets = append([]*Set{dotprodSet()}, sets...)
	if cpu.ARM64.HasI8MM { // from Apple's M2 on
		s := dotprodSet()
		s.Name = "i8mm"
		s.gemm = [3]gemmFunc{gemmI8MM, gemmMinI8MM, nil}
		s.bytes = &byteProducts{unit: 8, transpose: transpose8NEON, pack: packI8MM, gemm16: [3]gemmFunc{gemm16I8MM, nil, gemm16Min2I8MM}}
		sets = append([]*Set{s}, sets...)
	}
	return sets
}

func dotprodSet() *Set {
	s := neonSet()
	s.Name = "dotprod"
	s.dot = sdotDots
	s.wide, s.wideSize = splitNEON, func(n int) int { return 2 * n }
	s.quants = bytesOf
	s.gemm = [3]gemmFunc{gemmSDOT, gemmMinSDOT, nil}
	s.bytes = &byteProducts{unit: 4, transpose: transposeNEON, pack: packSDOT, gemm16: [3]gemmFunc{gemm16SDOT, nil, gemm16Min2SDOT}}
	return s
}

func neonSet() *Set {
	return &Set{
		Name:      "neon",
		Rows:      16,
		Columns:   8,
		Lanes:     16,
		dot:       neonDots,
		quants:    wordsOf,
		gemm:      [3]gemmFunc{gemmNEON, gemmMinNEON, gemmMin2NEON},
		dotFloat:  [types]floatFunc{gguf.F32: dotF32NEON, gguf.F16: dotF16NEON, gguf.BF16: dotBF16NEON, gguf.Q8_0: dotFloatQ8_0NEON},
		dot4Float: [types]floatFunc{gguf.F32: dot4F32NEON, gguf.F16: dot4F16NEON, gguf.BF16: dot4BF16NEON},
		dotNear:   [types]floatFunc{gguf.F32: dot4F32NEON, gguf.F16: dot4F16NEON},
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

var neonDots = [types]dotFunc{
	gguf.Q4_0: dotQ4_0NEON, gguf.Q4_1: dotQ4_1NEON, gguf.Q5_0: dotQ5_0NEON, gguf.Q5_1: dotQ5_1NEON,
	gguf.Q8_0: dotQ8_0NEON, gguf.IQ4_NL: dotIQ4NLNEON, gguf.MXFP4: dotMXFP4NEON, gguf.Q2_K: dotQ2KNEON,
	gguf.Q3_K: dotQ3KNEON, gguf.Q4_K: dotQ4KNEON, gguf.Q5_K: dotQ5KNEON, gguf.Q6_K: dotQ6KNEON,
	gguf.IQ4_XS: dotIQ4XSNEON,
}

// sdotDots read Act.W.
var sdotDots = [types]dotFunc{
	gguf.Q4_0: dotQ4_0SDOT, gguf.Q4_1: dotQ4_1SDOT, gguf.Q5_0: dotQ5_0SDOT, gguf.Q5_1: dotQ5_1SDOT,
	gguf.Q8_0: dotQ8_0SDOT, gguf.IQ4_NL: dotIQ4NLSDOT, gguf.MXFP4: dotMXFP4SDOT, gguf.Q2_K: dotQ2KSDOT,
	gguf.Q3_K: dotQ3KSDOT, gguf.Q4_K: dotQ4KSDOT, gguf.Q5_K: dotQ5KSDOT, gguf.Q6_K: dotQ6KSDOT,
	gguf.IQ4_XS: dotIQ4XSSDOT,
}

var wordsOf = [types]quantsFunc{
	gguf.Q4_0: wordsQ4_0NEON, gguf.Q4_1: wordsQ4_1NEON, gguf.Q5_0: wordsQ5_0NEON, gguf.Q5_1: wordsQ5_1NEON,
	gguf.Q8_0: wordsQ8_0NEON, gguf.IQ4_NL: wordsIQ4NLNEON, gguf.MXFP4: wordsMXFP4NEON, gguf.Q2_K: wordsQ2KNEON,
	gguf.Q3_K: wordsQ3KNEON, gguf.Q4_K: wordsQ4KNEON, gguf.Q5_K: wordsQ5KNEON, gguf.Q6_K: wordsQ6KNEON,
	gguf.IQ4_XS: wordsIQ4XSNEON,
}

var bytesOf = [types]quantsFunc{
	gguf.Q4_0: bytesQ4_0NEON, gguf.Q4_1: bytesQ4_1NEON, gguf.Q5_0: bytesQ5_0NEON, gguf.Q5_1: bytesQ5_1NEON,
	gguf.Q8_0: bytesQ8_0NEON, gguf.IQ4_NL: bytesIQ4NLNEON, gguf.MXFP4: bytesMXFP4NEON, gguf.Q2_K: bytesQ2KNEON,
	gguf.Q3_K: bytesQ3KNEON, gguf.Q4_K: bytesQ4KNEON, gguf.Q5_K: bytesQ5KNEON, gguf.Q6_K: bytesQ6KNEON,
	gguf.IQ4_XS: bytesIQ4XSNEON,
}
