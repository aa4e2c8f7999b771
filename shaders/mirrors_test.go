package shaders_test

import "github.com/gollm/gollm/shaders"

// mirrors are the Go mirrors of the sources' params.
var mirrors = map[string]any{
	"AttentionParams":     shaders.AttentionParams{},
	"CombineParams":       shaders.CombineParams{},
	"CopyParams":          shaders.CopyParams{},
	"ElementParams":       shaders.ElementParams{},
	"EmbedParams":         shaders.EmbedParams{},
	"GroupParams":         shaders.GroupParams{},
	"MatMulIDParams":      shaders.MatMulIDParams{},
	"MatMulParams":        shaders.MatMulParams{},
	"MatVecCombineParams": shaders.MatVecCombineParams{},
	"MatVecGLUParams":     shaders.MatVecGLUParams{},
	"MatVecIDParams":      shaders.MatVecIDParams{},
	"MatVecParams":        shaders.MatVecParams{},
	"MatVecQKVParams":     shaders.MatVecQKVParams{},
	"NormParams":          shaders.NormParams{},
	"RopeParams":          shaders.RopeParams{},
	"RouteParams":         shaders.RouteParams{},
	"RowScaleParams":      shaders.RowScaleParams{},
	"SampleParams":        shaders.SampleParams{},
	"StoreParams":         shaders.StoreParams{},
}
