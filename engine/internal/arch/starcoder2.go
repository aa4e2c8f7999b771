package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// starcoder2 is StarCoder 2: GPT-2's blocks (LayerNorm, GELU, biases) with
// rotary positions and grouped heads. Lozhkov et al. 2024. Its sliding window
// of 4096 is not in the files, and llama.cpp does not apply it.
type starcoder2 struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []starcoder2Layer
}

type starcoder2Layer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	mlp
}

func loadStarcoder2(l *loader) Family {
	m := &starcoder2{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.layerNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, starcoder2Layer{
			attnNorm:  l.layerNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			ffnNorm:   l.layerNorm(block(i, "ffn_norm"), l.Width),
			mlp:       l.mlp(i),
		})
	}
	return m
}

func (m *starcoder2) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.LayerNorm(b.SelectOutputs(x), m.norm)
}

func (m *starcoder2) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.LayerNorm(x, l.attnNorm))
	q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.mlp.forward(b, b.LayerNorm(x, l.ffnNorm), program.GELU))
}
