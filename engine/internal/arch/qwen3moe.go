package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// qwen3moe is Qwen 3 with experts in place of the dense network. Yang et al.
// 2025.
type qwen3moe struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []qwen3moeLayer
}

type qwen3moeLayer struct {
	attnNorm program.Norm
	attention
	qNorm, kNorm program.Norm
	ffnNorm      program.Norm
	experts
}

func loadQwen3MoE(l *loader) Family {
	m := &qwen3moe{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, qwen3moeLayer{
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			qNorm:     l.rmsNorm(block(i, "attn_q_norm"), l.KeyHead),
			kNorm:     l.rmsNorm(block(i, "attn_k_norm"), l.KeyHead),
			ffnNorm:   l.rmsNorm(block(i, "ffn_norm"), l.Width),
			experts:   l.experts(i, l.expertWidth(), program.Routing{Used: l.ExpertsUsed, Gating: program.GateSoftmax, Normalise: true}),
		})
	}
	return m
}

func (m *qwen3moe) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *qwen3moe) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q = b.RoPE(b.RMSNormHeads(q, l.qNorm, m.KeyHead), m.KeyHead, m.rope)
	k = b.RoPE(b.RMSNormHeads(k, l.kNorm, m.KeyHead), m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.experts.forward(b, b.RMSNorm(x, l.ffnNorm), program.SiLU))
}
