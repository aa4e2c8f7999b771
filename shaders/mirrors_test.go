package shaders_test

import "github.com/gollm/gollm/shaders"

// mirrors are the Go mirrors of the sources' params.
var mirrors = map[string]any{
	"CombineParams":   shaders.CombineParams{},
	"GroupParams":     shaders.GroupParams{},
	"RouteParams":     shaders.RouteParams{},
	"MatVecIDParams":  shaders.MatVecIDParams{},
	"MatMulIDParams":  shaders.MatMulIDParams{},
	"EmbedParams":     shaders.EmbedParams{},
	"MatVecQKVParams": shaders.MatVecQKVParams{},
	"MatVecGLUParams": shaders.MatVecGLUParams{},
	"MatMulParams":    shaders.MatMulParams{},
	"MatVecParams":    shaders.MatVecParams{},
}
