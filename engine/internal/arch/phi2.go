package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// phi2 is Phi-1 to Phi-2: attention and feed-forward network side by side on
// one norm, rotary positions on part of each head. Li et al. 2023.
type phi2 struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []phi2Layer
}

type phi2Layer struct {
	norm program.Norm
	attention
	mlp
}

func loadPhi2(l *loader) Family {
	m := &phi2{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.layerNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, phi2Layer{
			norm:      l.layerNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			mlp:       l.mlp(i),
		})
	}
	return m
}

func (m *phi2) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.LayerNorm(b.SelectOutputs(x), m.norm)
}

func (m *phi2) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	h := b.LayerNorm(x, l.norm)
	q, k, v := l.project(b, h)
	q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.mlp.forward(b, h, program.GELU))
}
