package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// falcon is Falcon 7B, 40B and 180B: attention and feed-forward network side by
// side, on one norm (7B) or each on its own. Almazrouei et al. 2023.
type falcon struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []falconLayer
}

type falconLayer struct {
	norm     program.Norm
	attnNorm *program.Norm // if the attention has its own
	attention
	mlp
}

func loadFalcon(l *loader) Family {
	m := &falcon{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.layerNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, falconLayer{
			norm:      l.layerNorm(block(i, "attn_norm"), l.Width),
			attnNorm:  l.optionalLayerNorm(block(i, "attn_norm_2"), l.Width),
			attention: l.attention(i),
			mlp:       l.mlp(i),
		})
	}
	return m
}

func (m *falcon) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.LayerNorm(b.SelectOutputs(x), m.norm)
}

func (m *falcon) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	h := b.LayerNorm(x, l.norm)
	a := h
	if l.attnNorm != nil {
		a = b.LayerNorm(x, *l.attnNorm)
	}
	q, k, v := l.project(b, a)
	q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.mlp.forward(b, h, program.GELU))
}
