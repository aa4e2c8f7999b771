package quantize

import (
	"fmt"
	"strings"

	"github.com/gollm/gollm/gguf"
)

// Mixture is a kind of quantised file.
type Mixture struct {
	// Name is llama.cpp's, in upper case.
	Name string
	// FileType is the number under general.file_type (enum llama_ftype).
	FileType uint32
	// Base is the type of tensors that no rule singles out.
	Base gguf.Type
}

// mixtures are what can be written.
var mixtures = []Mixture{
	{"F32", 0, gguf.F32},
	{"F16", 1, gguf.F16},
	{"BF16", 32, gguf.BF16},
	{"Q8_0", 7, gguf.Q8_0},
	{"Q6_K", 18, gguf.Q6_K},
	{"Q5_K_M", 17, gguf.Q5_K},
	{"Q5_K_S", 16, gguf.Q5_K},
	{"Q5_1", 9, gguf.Q5_1},
	{"Q5_0", 8, gguf.Q5_0},
	{"Q4_K_M", 15, gguf.Q4_K},
	{"Q4_K_S", 14, gguf.Q4_K},
	{"Q4_1", 3, gguf.Q4_1},
	{"Q4_0", 2, gguf.Q4_0},
	{"IQ4_NL", 25, gguf.IQ4_NL},
	{"IQ4_XS", 30, gguf.IQ4_XS},
	{"MXFP4_MOE", 38, gguf.MXFP4},
	{"Q3_K_L", 13, gguf.Q3_K},
	{"Q3_K_M", 12, gguf.Q3_K},
	{"Q3_K_S", 11, gguf.Q3_K},
	{"Q2_K", 10, gguf.Q2_K},
	{"Q2_K_S", 21, gguf.Q2_K},
}

var aliases = map[string]string{"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

// Names of llama.cpp that are refused, and why.
var refused = map[string]string{
	"IQ1_S": needsMatrix, "IQ1_M": needsMatrix, "IQ2_XXS": needsMatrix, "IQ2_XS": needsMatrix,
	"IQ2_S": needsMatrix, "IQ2_M": needsMatrix, "IQ3_XXS": needsMatrix, "IQ3_XS": needsMatrix,
	"IQ3_S": notWritten, "IQ3_M": notWritten, "TQ1_0": notWritten, "TQ2_0": notWritten,
	"Q1_0": notWritten, "Q2_0": notWritten, "NVFP4": notWritten,
}

const (
	needsMatrix = "needs an importance matrix, which is not supported"
	notWritten  = "can be read, but not written"
)

// Mixtures lists what can be written, the most exact first.
func Mixtures() []Mixture { return append([]Mixture(nil), mixtures...) }

// ParseMixture returns the mixture of that name, in any case.
func ParseMixture(name string) (Mixture, error) {
	upper := strings.ToUpper(name)
	if a, ok := aliases[upper]; ok {
		upper = a
	}
	var known []string
	for _, m := range mixtures {
		if m.Name == upper {
			return m, nil
		}
		known = append(known, m.Name)
	}
	if why, ok := refused[upper]; ok {
		return Mixture{}, fmt.Errorf("quantize: type %s %s", upper, why)
	}
	return Mixture{}, fmt.Errorf("quantize: unknown type %q; there are %s", name, strings.Join(known, " "))
}
