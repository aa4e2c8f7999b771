package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// qwen2 is Qwen 1.5 to 2.5: Llama with biases on queries, keys and values.
// Yang et al. 2024.
type qwen2 struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []qwen2Layer
}

type qwen2Layer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	gated
}

func loadQwen2(l *loader) Family {
	m := &qwen2{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, qwen2Layer{
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			ffnNorm:   l.rmsNorm(block(i, "ffn_norm"), l.Width),
			gated:     l.plainGated(i, l.FF),
		})
	}
	return m
}

func (m *qwen2) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *qwen2) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.gated.forward(b, b.RMSNorm(x, l.ffnNorm), program.SiLU))
}
