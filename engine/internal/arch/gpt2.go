package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// gpt2 is GPT-2: learned positions added to the embeddings, LayerNorm, GELU,
// biases everywhere. Radford et al. 2019.
type gpt2 struct {
	Hyper
	head
	embed     *gguf.Tensor
	positions *gguf.Tensor
	layers    []gpt2Layer
}

type gpt2Layer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	mlp
}

func loadGPT2(l *loader) Family {
	m := &gpt2{
		Hyper:     l.Hyper,
		embed:     l.embedding(),
		positions: l.tensor("position_embd.weight", l.Width, l.Context),
		head:      head{l.layerNorm("output_norm", l.Width), l.output()},
	}
	for i := range l.Layers {
		m.layers = append(m.layers, gpt2Layer{
			attnNorm:  l.layerNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			ffnNorm:   l.layerNorm(block(i, "ffn_norm"), l.Width),
			mlp:       l.mlp(i),
		})
	}
	return m
}

func (m *gpt2) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Add(b.Embed(m.embed), b.EmbedPosition(m.positions))
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.LayerNorm(b.SelectOutputs(x), m.norm)
}

func (m *gpt2) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.LayerNorm(x, l.attnNorm))
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.mlp.forward(b, b.LayerNorm(x, l.ffnNorm), program.GELU))
}
