package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// qwen3 is Qwen 3: queries and keys are normalised head by head before they
// turn. Yang et al. 2025.
type qwen3 struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []qwen3Layer
}

type qwen3Layer struct {
	attnNorm program.Norm
	attention
	qNorm, kNorm program.Norm
	ffnNorm      program.Norm
	gated
}

func loadQwen3(l *loader) Family {
	m := &qwen3{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, qwen3Layer{
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			qNorm:     l.rmsNorm(block(i, "attn_q_norm"), l.KeyHead),
			kNorm:     l.rmsNorm(block(i, "attn_k_norm"), l.KeyHead),
			ffnNorm:   l.rmsNorm(block(i, "ffn_norm"), l.Width),
			gated:     l.gated(i, l.FF),
		})
	}
	l.ignore("cls.output.weight") // scores documents in the reranking models
	return m
}

func (m *qwen3) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *qwen3) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q = b.RoPE(b.RMSNormHeads(q, l.qNorm, m.KeyHead), m.KeyHead, m.rope)
	k = b.RoPE(b.RMSNormHeads(k, l.kNorm, m.KeyHead), m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.gated.forward(b, b.RMSNorm(x, l.ffnNorm), program.SiLU))
}
