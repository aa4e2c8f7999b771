package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// gptNeoX is GPT-NeoX and Pythia: GPT-2's blocks with rotary positions on part
// of each head, attention and feed-forward network side by side, each on its own
// norm, or in a row. Black et al. 2022.
type gptNeoX struct {
	Hyper
	head
	embed    *gguf.Tensor
	rope     *program.Rope
	parallel bool
	layers   []gptNeoXLayer
}

type gptNeoXLayer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	mlp
}

func loadGPTNeoX(l *loader) Family {
	m := &gptNeoX{
		Hyper:    l.Hyper,
		embed:    l.embedding(),
		head:     head{l.layerNorm("output_norm", l.Width), l.output()},
		rope:     l.rope(program.Halves, nil),
		parallel: l.flag("use_parallel_residual", true),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, gptNeoXLayer{
			attnNorm:  l.layerNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			ffnNorm:   l.layerNorm(block(i, "ffn_norm"), l.Width),
			mlp:       l.mlp(i),
		})
	}
	return m
}

func (m *gptNeoX) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.LayerNorm(b.SelectOutputs(x), m.norm)
}

func (m *gptNeoX) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.LayerNorm(x, l.attnNorm))
	q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	y := b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	if !m.parallel {
		x = y
	}
	return b.Add(y, l.mlp.forward(b, b.LayerNorm(x, l.ffnNorm), program.GELU))
}
