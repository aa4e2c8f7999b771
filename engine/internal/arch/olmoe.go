package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// olmoe is OLMoE: many small experts, whose weights are not made to add up to
// 1, and queries and keys normalised over all heads. Muennighoff et al. 2024.
type olmoe struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []olmoeLayer
}

type olmoeLayer struct {
	attnNorm program.Norm
	attention
	qNorm, kNorm program.Norm
	ffnNorm      program.Norm
	experts
}

func loadOLMoE(l *loader) Family {
	m := &olmoe{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, olmoeLayer{
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			qNorm:     l.rmsNorm(block(i, "attn_q_norm"), l.Heads*l.KeyHead),
			kNorm:     l.rmsNorm(block(i, "attn_k_norm"), l.KVHeads*l.KeyHead),
			ffnNorm:   l.rmsNorm(block(i, "ffn_norm"), l.Width),
			experts:   l.plainExperts(i, l.FF, program.Routing{Used: l.ExpertsUsed, Gating: program.GateSoftmax}),
		})
	}
	return m
}

func (m *olmoe) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *olmoe) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q = b.RoPE(b.RMSNorm(q, l.qNorm), m.KeyHead, m.rope)
	k = b.RoPE(b.RMSNorm(k, l.kNorm), m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.experts.forward(b, b.RMSNorm(x, l.ffnNorm), program.SiLU))
}
