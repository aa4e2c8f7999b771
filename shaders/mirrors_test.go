package shaders_test

import "github.com/gollm/gollm/shaders"

// mirrors are the Go mirrors of the sources' params.
var mirrors = map[string]any{
	"EmbedParams":  shaders.EmbedParams{},
	"MatMulParams": shaders.MatMulParams{},
	"MatVecParams": shaders.MatVecParams{},
}
