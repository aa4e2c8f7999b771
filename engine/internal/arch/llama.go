package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// llama is Llama 1 to 3, and what was built in its image: Mistral, Mixtral
// (with experts), TinyLlama, SmolLM, Yi. Touvron et al. 2023.
type llama struct {
	Hyper
	head
	embed  *gguf.Tensor
	ropes  ropes
	layers []llamaLayer
}

type llamaLayer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	gated   // without experts
	experts // with
}

func loadLlama(l *loader) Family {
	m := &llama{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		ropes: l.ropes(program.Adjacent),
	}
	for i := range l.Layers {
		layer := llamaLayer{
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			ffnNorm:   l.rmsNorm(block(i, "ffn_norm"), l.Width),
		}
		if l.Experts == 0 {
			layer.gated = l.gated(i, l.FF)
		} else {
			layer.experts = l.experts(i, l.FF, program.Routing{Used: l.ExpertsUsed, Gating: program.GateSoftmax, Normalise: true})
		}
		m.layers = append(m.layers, layer)
	}
	return m
}

func (m *llama) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x, m.ropes.at(o.Context))
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *llama) layer(b *program.Builder, i int, x program.Tensor, rope *program.Rope) program.Tensor {
	l := &m.layers[i]
	h := b.RMSNorm(x, l.attnNorm)
	q, k, v := l.project(b, h)
	q, k = b.RoPE(q, m.KeyHead, rope), b.RoPE(k, m.KeyHead, rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))

	h = b.RMSNorm(x, l.ffnNorm)
	if m.Experts > 0 {
		return b.Add(x, l.experts.forward(b, h, program.SiLU))
	}
	return b.Add(x, l.gated.forward(b, h, program.SiLU))
}
