package bench

import (
	"fmt"

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/gguf"
)

// fileTypes are llama.cpp's names of general.file_type (enum llama_ftype): a
// mixture has more than one type of tensor, so it is not named for the most
// frequent.
var fileTypes = map[uint32]string{
	0: "all F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1",
	10: "Q2_K - Medium", 11: "Q3_K - Small", 12: "Q3_K - Medium", 13: "Q3_K - Large", 14: "Q4_K - Small", 15: "Q4_K - Medium",
	16: "Q5_K - Small", 17: "Q5_K - Medium", 18: "Q6_K", 19: "IQ2_XXS - 2.0625 bpw", 20: "IQ2_XS - 2.3125 bpw", 21: "Q2_K - Small",
	22: "IQ3_XS - 3.3 bpw", 23: "IQ3_XXS - 3.0625 bpw", 24: "IQ1_S - 1.5625 bpw", 25: "IQ4_NL - 4.5 bpw", 26: "IQ3_S - 3.4375 bpw",
	27: "IQ3_S mix - 3.66 bpw", 28: "IQ2_S - 2.5 bpw", 29: "IQ2_M - 2.7 bpw", 30: "IQ4_XS - 4.25 bpw", 31: "IQ1_M - 1.75 bpw",
	32: "BF16", 36: "TQ1_0 - 1.69 bpw ternary", 37: "TQ2_0 - 2.06 bpw ternary", 38: "MXFP4 MoE", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}

// modelName is a short description as llama-bench's: architecture, parameters,
// type. Its own names the size by what families are called, ours by counting.
func modelName(m *engine.Model) string {
	i := m.Info()
	typ := i.Type
	if n, err := gguf.Get[uint32](m.File(), "general.file_type"); err == nil && fileTypes[n] != "" {
		typ = fileTypes[n]
	}
	return fmt.Sprintf("%s %s %s", i.Architecture, parameters(i.Parameters), typ)
}

// parameters writes a count in three digits at most: 293K, 135M, 1.5B, 70B.
func parameters(count int64) string {
	n := float64(count)
	switch {
	case n < 999.5e3:
		return fmt.Sprintf("%.0fK", n/1e3)
	case n < 999.5e6:
		return fmt.Sprintf("%.0fM", n/1e6)
	case n < 9.95e9:
		return fmt.Sprintf("%.1fB", n/1e9)
	}
	return fmt.Sprintf("%.0fB", n/1e9)
}
