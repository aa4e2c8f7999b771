package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// granite is Granite 3 and 4: Llama with four constants that keep the scales
// of embeddings, scores, residuals and logits alike in models of all sizes
// (muP), and in some files with experts, one of them shared. IBM 2024.
type granite struct {
	Hyper
	head
	embed  *gguf.Tensor
	ropes  ropes
	turns  bool // some are trained without rotary embedding
	shared bool // there is a shared expert

	embedScale, attnScale, residualScale, logitScale float32

	layers []graniteLayer
}

type graniteLayer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	gated   // without experts
	experts // with
	shared  gated
}

func loadGranite(l *loader) Family {
	m := loadGraniteMoE(l).(*granite)
	// Granite files use this key to say that the layers are rotary at all.
	m.turns = l.flag("rope.scaling.finetuned", true)
	return m
}

// loadGraniteMoE is loadGranite for the files of the first models with experts.
func loadGraniteMoE(l *loader) Family {
	m := &granite{
		Hyper:         l.Hyper,
		embed:         l.embedding(),
		head:          head{l.rmsNorm("output_norm", l.Width), l.output()},
		ropes:         l.ropes(program.Adjacent),
		turns:         true,
		embedScale:    float32(l.float("embedding_scale", 0)),
		attnScale:     float32(l.float("attention.scale", 0)),
		residualScale: float32(l.float("residual_scale", 0)),
		logitScale:    float32(l.float("logit_scale", 0)),
	}
	if m.logitScale == 0 {
		l.fail("key %q is missing or 0: the logits are divided by it", l.key("logit_scale"))
	}
	sharedWidth := l.number("expert_shared_feed_forward_length", 0)
	m.shared = l.Experts > 0 && sharedWidth > 0
	for i := range l.Layers {
		layer := graniteLayer{
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			ffnNorm:   l.rmsNorm(block(i, "ffn_norm"), l.Width),
		}
		if l.Experts == 0 {
			layer.gated = l.plainGated(i, l.FF)
		} else {
			layer.experts = l.plainExperts(i, l.FF, program.Routing{Used: l.ExpertsUsed, Gating: program.GateSoftmax, Normalise: true})
		}
		if m.shared {
			layer.shared = l.sharedExpert(i, sharedWidth)
		}
		m.layers = append(m.layers, layer)
	}
	return m
}

func (m *granite) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	if m.embedScale != 0 {
		x = b.Scale(x, m.embedScale)
	}
	for i := range m.layers {
		x = m.layer(b, i, x, m.ropes.at(o.Context))
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

// Logits divides the usual projection by a constant.
func (m *granite) Logits(b *program.Builder, hidden program.Tensor) program.Tensor {
	return b.Scale(m.head.Logits(b, hidden), 1/m.logitScale)
}

func (m *granite) layer(b *program.Builder, i int, x program.Tensor, rope *program.Rope) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	if m.turns {
		q, k = b.RoPE(q, m.KeyHead, rope), b.RoPE(k, m.KeyHead, rope)
	}
	b.StoreKV(i, k, v)
	a := m.attend()
	if m.attnScale != 0 {
		a.Scale = m.attnScale
	}
	x = m.residual(b, x, b.Project(b.Attention(i, q, a), l.o))

	h := b.RMSNorm(x, l.ffnNorm)
	if m.Experts == 0 {
		return m.residual(b, x, l.gated.forward(b, h, program.SiLU))
	}
	y := l.experts.forward(b, h, program.SiLU)
	if m.shared {
		y = b.Add(y, l.shared.forward(b, h, program.SiLU))
	}
	return m.residual(b, x, y)
}

// residual adds a block's output y, scaled, to its input x.
func (m *granite) residual(b *program.Builder, x, y program.Tensor) program.Tensor {
	if m.residualScale != 0 {
		y = b.Scale(y, m.residualScale)
	}
	return b.Add(x, y)
}
