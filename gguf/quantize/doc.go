// Package quantize rewrites model files with smaller tensor types.
//
// A Mixture, such as Q4_K_M, says what a file is quantised to: a type for most
// tensors and, by the rules of llama.cpp, better ones for those that suffer most.
// NewPlan applies the rules to a model without touching its data, and Plan.Write
// does the work:
//
//	f, err := gguf.Open("model-f16.gguf")
//	mix, err := quantize.ParseMixture("Q4_K_M")
//	plan, err := quantize.NewPlan(f, mix, false)
//	err = plan.Write(ctx, "model-q4_k_m.gguf", nil)
package quantize
