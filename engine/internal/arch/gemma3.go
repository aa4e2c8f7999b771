package arch

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// gemma3 is Gemma 3: Gemma 2 with norms on queries and keys in place of the
// squashed scores, five sliding windows to one layer that sees all, and a
// rotary base for each of the two. Gemma Team 2025.
type gemma3 struct {
	Hyper
	head
	embed   *gguf.Tensor
	rope    *program.Rope // of layers that see all
	local   *program.Rope // of sliding windows
	attend  program.Attend
	softcap float32
	layers  []gemma3Layer
}

type gemma3Layer struct {
	window   int
	attnNorm program.Norm
	attention
	qNorm, kNorm program.Norm
	attnPostNorm program.Norm
	ffnNorm      program.Norm
	gated
	ffnPostNorm program.Norm
}

func loadGemma3(l *loader) Family {
	m := &gemma3{
		Hyper:   l.Hyper,
		embed:   l.embedding(),
		head:    head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:    l.rope(program.Halves, nil),
		attend:  l.attend(),
		softcap: float32(l.float("final_logit_softcapping", 0)),
	}
	// Windows are short: their angles are not stretched with the context's.
	local := *m.rope
	local.Base = l.float("rope.freq_base_swa", 10000)
	local.FreqScale = 1
	m.local = &local
	m.attend.Scale = l.gemmaScale(62)
	windows := l.windows(6, 0)
	for i := range l.Layers {
		m.layers = append(m.layers, gemma3Layer{
			window:       windows[i],
			attnNorm:     l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention:    l.attention(i),
			qNorm:        l.rmsNorm(block(i, "attn_q_norm"), l.KeyHead),
			kNorm:        l.rmsNorm(block(i, "attn_k_norm"), l.KeyHead),
			attnPostNorm: l.rmsNorm(block(i, "post_attention_norm"), l.Width),
			ffnNorm:      l.rmsNorm(block(i, "ffn_norm"), l.Width),
			gated:        l.plainGated(i, l.FF),
			ffnPostNorm:  l.rmsNorm(block(i, "post_ffw_norm"), l.Width),
		})
	}
	return m
}

func (m *gemma3) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Scale(b.Embed(m.embed), float32(math.Sqrt(float64(m.Width))))
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

// Logits squashes the usual projection where the file asks for it.
func (m *gemma3) Logits(b *program.Builder, hidden program.Tensor) program.Tensor {
	return b.Softcap(m.head.Logits(b, hidden), m.softcap)
}

func (m *gemma3) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l, attend, rope := &m.layers[i], m.attend, m.rope
	if l.window > 0 {
		attend.Window, rope = l.window, m.local
	}
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q = b.RoPE(b.RMSNormHeads(q, l.qNorm, m.KeyHead), m.KeyHead, rope)
	k = b.RoPE(b.RMSNormHeads(k, l.kNorm, m.KeyHead), m.KeyHead, rope)
	b.StoreKV(i, k, v)
	h := b.Project(b.Attention(i, q, attend), l.o)
	x = b.Add(x, b.RMSNorm(h, l.attnPostNorm))

	h = l.gated.forward(b, b.RMSNorm(x, l.ffnNorm), program.GELU)
	return b.Add(x, b.RMSNorm(h, l.ffnPostNorm))
}
