package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// smollm3 is SmolLM3: Llama whose every fourth layer has no rotary embedding
// (NoPE: Yang et al. 2025).
type smollm3 struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []smollm3Layer
}

type smollm3Layer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	gated
}

func loadSmolLM3(l *loader) Family {
	m := &smollm3{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Adjacent, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, smollm3Layer{
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			ffnNorm:   l.rmsNorm(block(i, "ffn_norm"), l.Width),
			gated:     l.plainGated(i, l.FF),
		})
	}
	return m
}

func (m *smollm3) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *smollm3) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	if (i+1)%4 != 0 {
		q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	}
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.gated.forward(b, b.RMSNorm(x, l.ffnNorm), program.SiLU))
}
