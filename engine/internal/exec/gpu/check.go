package gpu

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/shaders"
)

// Check returns an *UnsupportedError if there is an op or a tensor type in p, or a
// type of its cache, that the kernels do not have.
func Check(p *program.Program, typ gguf.Type) error {
	if len(p.KV) > 0 {
		if err := p.CheckKV(typ); err != nil {
			return unsupported("%v", err)
		}
	}
	for i, op := range p.Ops {
		if t := program.Weight(op); t != nil {
			if _, err := typeOf(t); err != nil {
				return unsupported("op %d %s: %v", i, program.Name(op), err)
			}
		}
		switch op := op.(type) {
		case *program.Route:
			if experts, used := p.Info(op.X).Width, p.Info(op.Weights).Width; experts > shaders.MaxExperts || used > shaders.MaxUsed {
				return unsupported("op %d Route: %d of %d experts, the kernels take %d of %d", i, used, experts, shaders.MaxUsed, shaders.MaxExperts)
			}
		case *program.Attention:
			kv := p.KV[op.Layer]
			if k, v := kv.KeyWidth/op.KVHeads, kv.ValueWidth/op.KVHeads; k > shaders.MaxKeyHead || v > shaders.MaxValueHead {
				return unsupported("op %d Attention: heads of %d and %d columns, the kernels take %d and %d", i, k, v, shaders.MaxKeyHead, shaders.MaxValueHead)
			}
		case *program.Embed, *program.EmbedPosition, *program.RMSNorm, *program.LayerNorm, *program.Project, *program.Add, *program.Mul,
			*program.Scale, *program.ScaleByPosition, *program.Softcap, *program.Activate, *program.GLU, *program.RoPE, *program.StoreKV,
			*program.Split, *program.SelectOutputs, *program.ProjectExperts, *program.CombineExperts:
		default:
			return unsupported("op %d %s: there is no kernel for it", i, program.Name(op))
		}
	}
	return nil
}
