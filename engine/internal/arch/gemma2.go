package arch

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// gemma2 is Gemma 2: norms before and after each block, every second layer a
// sliding window, attention scores and logits squashed by tanh. Gemma Team
// 2024.
type gemma2 struct {
	Hyper
	head
	embed   *gguf.Tensor
	rope    *program.Rope // of layers that see all
	local   *program.Rope // of sliding windows
	attend  program.Attend
	softcap float32
	layers  []gemma2Layer
}

type gemma2Layer struct {
	window   int
	attnNorm program.Norm
	attention
	attnPostNorm program.Norm
	ffnNorm      program.Norm
	gated
	ffnPostNorm program.Norm
}

func loadGemma2(l *loader) Family {
	m := &gemma2{
		Hyper:   l.Hyper,
		embed:   l.embedding(),
		head:    head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:    l.rope(program.Halves, nil),
		attend:  l.attend(),
		softcap: float32(l.float("final_logit_softcapping", 30)),
	}
	local := *m.rope
	local.Base = l.float("rope.freq_base_swa", local.Base)
	m.local = &local
	m.attend.Softcap = float32(l.float("attn_logit_softcapping", 50))
	m.attend.Scale = l.gemmaScale(46)
	windows := l.windows(2, 4096)
	for i := range l.Layers {
		m.layers = append(m.layers, gemma2Layer{
			window:       windows[i],
			attnNorm:     l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention:    l.attention(i),
			attnPostNorm: l.rmsNorm(block(i, "post_attention_norm"), l.Width),
			ffnNorm:      l.rmsNorm(block(i, "ffn_norm"), l.Width),
			gated:        l.plainGated(i, l.FF),
			ffnPostNorm:  l.rmsNorm(block(i, "post_ffw_norm"), l.Width),
		})
	}
	return m
}

// gemmaScale is 1/√D, but 1/√(d/H) in the 27B models, which the files do not
// tell apart otherwise than by their number of layers.
func (l *loader) gemmaScale(layersOf27B int) float32 {
	if l.Layers == layersOf27B {
		return float32(1 / math.Sqrt(float64(l.Width/l.Heads)))
	}
	return l.attend().Scale
}

func (m *gemma2) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Scale(b.Embed(m.embed), float32(math.Sqrt(float64(m.Width))))
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

// Logits squashes the usual projection.
func (m *gemma2) Logits(b *program.Builder, hidden program.Tensor) program.Tensor {
	return b.Softcap(m.head.Logits(b, hidden), m.softcap)
}

func (m *gemma2) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l, attend, rope := &m.layers[i], m.attend, m.rope
	if l.window > 0 {
		attend.Window, rope = l.window, m.local
	}
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q, k = b.RoPE(q, m.KeyHead, rope), b.RoPE(k, m.KeyHead, rope)
	b.StoreKV(i, k, v)
	h := b.Project(b.Attention(i, q, attend), l.o)
	x = b.Add(x, b.RMSNorm(h, l.attnPostNorm))

	h = l.gated.forward(b, b.RMSNorm(x, l.ffnNorm), program.GELU)
	return b.Add(x, b.RMSNorm(h, l.ffnPostNorm))
}
