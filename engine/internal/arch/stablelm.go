package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// stablelm is StableLM and StableLM 2: a llama with LayerNorm and rotary
// positions on part of each head. The 12B model normalises queries and keys,
// and has no second norm: its feed-forward network runs beside the attention.
// Bellagente et al. 2024.
type stablelm struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []stablelmLayer
}

type stablelmLayer struct {
	attnNorm program.Norm
	attention
	qNorm, kNorm *program.Norm // [D, H], [D, G]: each head has its own weights
	ffnNorm      *program.Norm
	gated
}

func loadStableLM(l *loader) Family {
	m := &stablelm{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.layerNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, stablelmLayer{
			attnNorm:  l.layerNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			qNorm:     l.optionalLayerNorm(block(i, "attn_q_norm"), l.KeyHead, l.Heads),
			kNorm:     l.optionalLayerNorm(block(i, "attn_k_norm"), l.KeyHead, l.KVHeads),
			ffnNorm:   l.optionalLayerNorm(block(i, "ffn_norm"), l.Width),
			gated:     l.plainGated(i, l.FF),
		})
	}
	return m
}

func (m *stablelm) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.LayerNorm(b.SelectOutputs(x), m.norm)
}

func (m *stablelm) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	h := b.LayerNorm(x, l.attnNorm)
	q, k, v := l.project(b, h)
	if l.qNorm != nil {
		q = b.LayerNormHeads(q, *l.qNorm, m.KeyHead)
	}
	if l.kNorm != nil {
		k = b.LayerNormHeads(k, *l.kNorm, m.KeyHead)
	}
	q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))

	if l.ffnNorm != nil {
		h = b.LayerNorm(x, *l.ffnNorm)
	}
	return b.Add(x, l.gated.forward(b, h, program.SiLU))
}
