package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// olmo2 is OLMo 2 and 3: norms come after attention and network, not before,
// and queries and keys are normalised over all heads. OLMo 3 has sliding
// windows. OLMo Team 2024, 2025.
type olmo2 struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope // of layers that see all
	local  *program.Rope // of sliding windows
	layers []olmo2Layer
}

type olmo2Layer struct {
	window int
	attention
	qNorm, kNorm program.Norm
	attnPostNorm program.Norm
	gated
	ffnPostNorm program.Norm
}

func loadOLMo2(l *loader) Family {
	m := &olmo2{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	// Windows are short: their angles are not stretched with the context's.
	m.local = &program.Rope{Dims: m.rope.Dims, Pairing: m.rope.Pairing, Base: m.rope.Base}
	windows := l.windows(4, 0)
	for i := range l.Layers {
		m.layers = append(m.layers, olmo2Layer{
			window:       windows[i],
			attention:    l.attention(i),
			qNorm:        l.rmsNorm(block(i, "attn_q_norm"), l.Heads*l.KeyHead),
			kNorm:        l.rmsNorm(block(i, "attn_k_norm"), l.KVHeads*l.KeyHead),
			attnPostNorm: l.rmsNorm(block(i, "post_attention_norm"), l.Width),
			gated:        l.plainGated(i, l.FF),
			ffnPostNorm:  l.rmsNorm(block(i, "post_ffw_norm"), l.Width),
		})
	}
	return m
}

func (m *olmo2) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *olmo2) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l, attend, rope := &m.layers[i], m.attend(), m.rope
	if l.window > 0 {
		attend.Window, rope = l.window, m.local
	}
	q, k, v := l.project(b, x)
	q = b.RoPE(b.RMSNorm(q, l.qNorm), m.KeyHead, rope)
	k = b.RoPE(b.RMSNorm(k, l.kNorm), m.KeyHead, rope)
	b.StoreKV(i, k, v)
	h := b.Project(b.Attention(i, q, attend), l.o)
	x = b.Add(x, b.RMSNorm(h, l.attnPostNorm))
	return b.Add(x, b.RMSNorm(l.gated.forward(b, x, program.SiLU), l.ffnPostNorm))
}
