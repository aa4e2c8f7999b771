package kernel

import (
	"github.com/gollm/gollm/gguf"
	"golang.org/x/sys/cpu"
)

// Sets lists the kernels that this machine can run, the best first and Go's
// last.
func Sets() []*Set {
	sets := []*Set{goSet()}
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		// Every processor with AVX2 converts halves (F16C), which x/sys/cpu does not tell.
		return sets
	}
	sets = append([]*Set{avx2Set()}, sets...)
	if cpu.X86.HasAVXVNNI {
		s := avx2Set()
		s.Name = "avx-vnni"
		s.dot = avxVNNIDots
		s.gemm = [3]gemmFunc{gemmAVXVNNI, gemmMinAVXVNNI, gemmMin2AVXVNNI}
		sets = append([]*Set{s}, sets...)
	}
	if cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ {
		s := avx2Set()
		s.Name = "avx512-vnni"
		s.dot = vnni512Dots
		s.Rows, s.Columns = 32, 12
		s.gemm = [3]gemmFunc{gemmVNNI512, gemmMinVNNI512, gemmMin2VNNI512}
		s.gemmFloat = gemmFloatAVX512
		s.dotNear[gguf.F16], s.sumFloat[gguf.F16] = dot4F16AVX512, sumF16AVX512
		s.Lanes = 32
		s.scores, s.softcap, s.mask, s.weigh, s.values = scoresAVX512, capAVX512, maskAVX512, weighAVX512, valuesAVX512
		sets = append([]*Set{s}, sets...)
		if cpu.X86.HasAVX512VBMI {
			s := *s
			s.Name = "avx512-vbmi"
			s.wide = wideVBMI
			s.wideSize = func(n int) int { return (n+63)/64*256 + (n+127)/128*448 } // wide_t and fours_t
			for t, dot := range vbmiDots {
				s.dot[t] = dot
			}
			s.dots = [types]dotsFunc{
				gguf.Q4_0: dotsQ4_0VBMI, gguf.Q4_1: dotsQ4_1VBMI, gguf.Q5_0: dotsQ5_0VBMI, gguf.Q8_0: dotsQ8_0VBMI,
				gguf.Q4_K: dotsQ4KVBMI, gguf.Q6_K: dotsQ6KVBMI,
			}
			s.dotFloat[gguf.F32], s.dotFloat[gguf.F16], s.dotFloat[gguf.BF16] = dotF32VBMI, dotF16VBMI, dotBF16VBMI
			s.dot4Float = [types]floatFunc{}
			sets = append([]*Set{&s}, sets...)
		}
	}
	return sets
}

func avx2Set() *Set {
	return &Set{
		Name:    "avx2",
		Rows:    16,
		Columns: 6,
		Lanes:   24,
		dot:     avx2Dots,
		quants: [types]quantsFunc{
			gguf.Q4_0: wordsQ4_0AVX2, gguf.Q4_1: wordsQ4_1AVX2, gguf.Q5_0: wordsQ5_0AVX2, gguf.Q5_1: wordsQ5_1AVX2,
			gguf.Q8_0: wordsQ8_0AVX2, gguf.IQ4_NL: wordsIQ4NLAVX2, gguf.MXFP4: wordsMXFP4AVX2, gguf.Q2_K: wordsQ2KAVX2,
			gguf.Q3_K: wordsQ3KAVX2, gguf.Q4_K: wordsQ4KAVX2, gguf.Q5_K: wordsQ5KAVX2, gguf.Q6_K: wordsQ6KAVX2,
			gguf.IQ4_XS: wordsIQ4XSAVX2,
		},
		gemm:      [3]gemmFunc{gemmAVX2, gemmMinAVX2, gemmMin2AVX2},
		dotFloat:  [types]floatFunc{gguf.F32: dotF32AVX2, gguf.F16: dotF16AVX2, gguf.BF16: dotBF16AVX2, gguf.Q8_0: dotFloatQ8_0AVX2},
		dot4Float: [types]floatFunc{gguf.F32: dot4F32AVX2, gguf.F16: dot4F16AVX2, gguf.BF16: dot4BF16AVX2},
		dotNear:   [types]floatFunc{gguf.F32: dot4F32AVX2, gguf.F16: dot4F16AVX2},
		sumFloat:  [types]floatFunc{gguf.F32: sumF32AVX2, gguf.F16: sumF16AVX2, gguf.Q8_0: sumQ8_0AVX2},
		gemmFloat: gemmFloatAVX2,
		transpose: transposeAVX2,
		pack:      packAVX2,
		fetch:     fetchAVX2,
		unpack:    unpackAVX2,
		widen:     [types]func(*float32, *byte, int){gguf.F16: widenF16AVX2, gguf.BF16: widenBF16AVX2},
		narrow:    [types]func(*byte, *float32, int){gguf.F16: narrowF16AVX2, gguf.Q8_0: narrowQ8_0AVX2},
		quantize:  quantizeAVX2,
		scores:    scoresAVX2,
		softcap:   capAVX2,
		mask:      maskAVX2,
		weigh:     weighAVX2,
		values:    valuesAVX2,
		exp:       expAVX2,
		silu:      siluAVX2,
		gelu:      geluAVX2,
		squares:   sumSquaresAVX2,
		scaleMul:  scaleMulAVX2,
		add:       addAVX2,
	}
}

var avx2Dots = [types]dotFunc{
	gguf.Q4_0:   dotQ4_0AVX2,
	gguf.Q4_1:   dotQ4_1AVX2,
	gguf.Q5_0:   dotQ5_0AVX2,
	gguf.Q5_1:   dotQ5_1AVX2,
	gguf.Q8_0:   dotQ8_0AVX2,
	gguf.IQ4_NL: dotIQ4NLAVX2,
	gguf.MXFP4:  dotMXFP4AVX2,
	gguf.Q2_K:   dotQ2KAVX2,
	gguf.Q3_K:   dotQ3KAVX2,
	gguf.Q4_K:   dotQ4KAVX2,
	gguf.Q5_K:   dotQ5KAVX2,
	gguf.Q6_K:   dotQ6KAVX2,
	gguf.IQ4_XS: dotIQ4XSAVX2,
}

var avxVNNIDots = [types]dotFunc{
	gguf.Q4_0:   dotQ4_0AVXVNNI,
	gguf.Q4_1:   dotQ4_1AVXVNNI,
	gguf.Q5_0:   dotQ5_0AVXVNNI,
	gguf.Q5_1:   dotQ5_1AVXVNNI,
	gguf.Q8_0:   dotQ8_0AVXVNNI,
	gguf.IQ4_NL: dotIQ4NLAVXVNNI,
	gguf.MXFP4:  dotMXFP4AVXVNNI,
	gguf.Q2_K:   dotQ2KAVXVNNI,
	gguf.Q3_K:   dotQ3KAVXVNNI,
	gguf.Q4_K:   dotQ4KAVXVNNI,
	gguf.Q5_K:   dotQ5KAVXVNNI,
	gguf.Q6_K:   dotQ6KAVXVNNI,
	gguf.IQ4_XS: dotIQ4XSAVXVNNI,
}

// vbmiDots read Act.W.
var vbmiDots = map[gguf.Type]dotFunc{
	gguf.Q4_0:   dotQ4_0VBMI,
	gguf.Q4_1:   dotQ4_1VBMI,
	gguf.Q5_0:   dotQ5_0VBMI,
	gguf.Q5_1:   dotQ5_1VBMI,
	gguf.Q8_0:   dotQ8_0VBMI,
	gguf.IQ4_NL: dotIQ4NLVBMI,
	gguf.Q4_K:   dotQ4KVBMI,
	gguf.Q5_K:   dotQ5KVBMI,
	gguf.Q6_K:   dotQ6KVBMI,
}

var vnni512Dots = [types]dotFunc{
	gguf.Q4_0:   dotQ4_0VNNI512,
	gguf.Q4_1:   dotQ4_1VNNI512,
	gguf.Q5_0:   dotQ5_0VNNI512,
	gguf.Q5_1:   dotQ5_1VNNI512,
	gguf.Q8_0:   dotQ8_0VNNI512,
	gguf.IQ4_NL: dotIQ4NLVNNI512,
	gguf.MXFP4:  dotMXFP4VNNI512,
	gguf.Q2_K:   dotQ2KVNNI512,
	gguf.Q3_K:   dotQ3KVNNI512,
	gguf.Q4_K:   dotQ4KVNNI512,
	gguf.Q5_K:   dotQ5KVNNI512,
	gguf.Q6_K:   dotQ6KVNNI512,
	gguf.IQ4_XS: dotIQ4XSVNNI512,
}
