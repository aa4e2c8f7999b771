package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// commandR is Cohere's Command R and R+: attention and feed-forward network
// side by side on one LayerNorm without bias, logits scaled. R+ normalises
// queries and keys.
type commandR struct {
	Hyper
	head
	embed      *gguf.Tensor
	rope       *program.Rope
	logitScale float32
	layers     []commandRLayer
}

type commandRLayer struct {
	norm program.Norm
	attention
	qNorm, kNorm *program.Norm // [D, H], [D, G]: each head has its own weights
	gated
}

func loadCommandR(l *loader) Family {
	m := &commandR{
		Hyper:      l.Hyper,
		embed:      l.embedding(),
		head:       head{l.layerNorm("output_norm", l.Width), l.output()},
		rope:       l.rope(program.Adjacent, nil),
		logitScale: l.logitScale(),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, commandRLayer{
			norm:      l.layerNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			qNorm:     l.optionalLayerNorm(block(i, "attn_q_norm"), l.KeyHead, l.Heads),
			kNorm:     l.optionalLayerNorm(block(i, "attn_k_norm"), l.KeyHead, l.KVHeads),
			gated:     l.plainGated(i, l.FF),
		})
	}
	return m
}

// logitScale is the factor of Cohere's logits, 1 where the file has none or 0.
func (l *loader) logitScale() float32 {
	if s := float32(l.float("logit_scale", 0)); s != 0 {
		return s
	}
	return 1
}

func (m *commandR) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.LayerNorm(b.SelectOutputs(x), m.norm)
}

// Logits scales the usual projection.
func (m *commandR) Logits(b *program.Builder, hidden program.Tensor) program.Tensor {
	return b.Scale(m.head.Logits(b, hidden), m.logitScale)
}

func (m *commandR) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	h := b.LayerNorm(x, l.norm)
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
	return b.Add(x, l.gated.forward(b, h, program.SiLU))
}
