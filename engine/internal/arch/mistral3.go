package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// mistral3 is Mistral 3 (Ministral): Llama with YaRN, and with queries that
// grow with the position so that attention stays sharp past the length of the
// training. With experts in some files.
type mistral3 struct {
	Hyper
	head
	embed   *gguf.Tensor
	ropes   ropes
	stretch float32 // of queries by position; 0 = none
	period  int     // positions of a step of stretch
	layers  []mistral3Layer
}

type mistral3Layer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	gated   // without experts
	experts // with
}

func loadMistral3(l *loader) Family {
	m := &mistral3{
		Hyper:   l.Hyper,
		embed:   l.embedding(),
		head:    head{l.rmsNorm("output_norm", l.Width), l.output()},
		ropes:   l.ropes(program.Adjacent),
		stretch: float32(l.float("attention.temperature_scale", 0)),
		period:  l.number("rope.scaling.original_context_length", l.Context),
	}
	if m.stretch != 0 && m.period < 1 {
		l.fail("key %q is %d, which attention.temperature_scale needs", l.key("rope.scaling.original_context_length"), m.period)
	}
	for i := range l.Layers {
		layer := mistral3Layer{
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			ffnNorm:   l.rmsNorm(block(i, "ffn_norm"), l.Width),
		}
		if l.Experts == 0 {
			layer.gated = l.gated(i, l.FF)
		} else {
			layer.experts = l.experts(i, l.FF, program.Routing{Used: l.ExpertsUsed, Gating: program.GateSoftmax, Normalise: true})
		}
		m.layers = append(m.layers, layer)
	}
	return m
}

func (m *mistral3) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x, m.ropes.at(o.Context))
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *mistral3) layer(b *program.Builder, i int, x program.Tensor, rope *program.Rope) program.Tensor {
	l := &m.layers[i]
	h := b.RMSNorm(x, l.attnNorm)
	q, k, v := l.project(b, h)
	q, k = b.RoPE(q, m.KeyHead, rope), b.RoPE(k, m.KeyHead, rope)
	if m.stretch != 0 {
		q = b.ScaleByPosition(q, m.period, 0, m.stretch)
	}
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))

	h = b.RMSNorm(x, l.ffnNorm)
	if m.Experts > 0 {
		return b.Add(x, l.experts.forward(b, h, program.SiLU))
	}
	return b.Add(x, l.gated.forward(b, h, program.SiLU))
}
