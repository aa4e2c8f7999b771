package arch

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// gemma is Gemma 1: a llama with GELU, heads wider than d/H and embeddings
// scaled by √d. Gemma Team 2024. Gemmas' files hold norm weights as they are
// multiplied, 1 + the w of the paper.
type gemma struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []gemmaLayer
}

type gemmaLayer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	gated
}

func loadGemma(l *loader) Family {
	m := &gemma{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, gemmaLayer{
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			ffnNorm:   l.rmsNorm(block(i, "ffn_norm"), l.Width),
			gated:     l.plainGated(i, l.FF),
		})
	}
	return m
}

func (m *gemma) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Scale(b.Embed(m.embed), float32(math.Sqrt(float64(m.Width))))
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *gemma) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.gated.forward(b, b.RMSNorm(x, l.ffnNorm), program.GELU))
}
