package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// cohere2 is Cohere's Command R7B and Command A: Command R with three sliding
// windows to one layer that sees all and has no positions at all.
type cohere2 struct {
	Hyper
	head
	embed      *gguf.Tensor
	rope       *program.Rope
	logitScale float32
	layers     []cohere2Layer
}

type cohere2Layer struct {
	window int
	norm   program.Norm
	attention
	gated
}

func loadCohere2(l *loader) Family {
	m := &cohere2{
		Hyper:      l.Hyper,
		embed:      l.embedding(),
		head:       head{l.layerNorm("output_norm", l.Width), l.output()},
		rope:       l.rope(program.Adjacent, nil),
		logitScale: l.logitScale(),
	}
	l.count("attention.sliding_window") // is not optional here
	windows := l.windows(4, 0)
	for i := range l.Layers {
		m.layers = append(m.layers, cohere2Layer{
			window:    windows[i],
			norm:      l.layerNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			gated:     l.gated(i, l.FF),
		})
	}
	return m
}

func (m *cohere2) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.LayerNorm(b.SelectOutputs(x), m.norm)
}

// Logits scales the usual projection.
func (m *cohere2) Logits(b *program.Builder, hidden program.Tensor) program.Tensor {
	return b.Scale(m.head.Logits(b, hidden), m.logitScale)
}

func (m *cohere2) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l, attend := &m.layers[i], m.attend()
	h := b.LayerNorm(x, l.norm)
	q, k, v := l.project(b, h)
	if l.window > 0 {
		attend.Window = l.window
		q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	}
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, attend), l.o))
	return b.Add(x, l.gated.forward(b, h, program.SiLU))
}
