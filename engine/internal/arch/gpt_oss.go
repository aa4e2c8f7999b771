package arch

import (
	"strings"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// gptOSS is gpt-oss: experts with a clamped gate, biases everywhere, every
// second layer a sliding window, and in each head a learned sink that takes its
// share of the attention and gives nothing. OpenAI 2025.
type gptOSS struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope // of layers that see all
	local  *program.Rope // of sliding windows
	layers []gptOSSLayer
}

type gptOSSLayer struct {
	window   int
	attnNorm program.Norm
	attention
	sinks   *gguf.Tensor // [H]
	ffnNorm program.Norm
	experts
}

func loadGPTOSS(l *loader) Family {
	m := &gptOSS{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	local := *m.rope
	local.Base = l.float("rope.freq_base_swa", local.Base)
	m.local = &local
	l.count("attention.sliding_window")
	windows := l.windows(2, 0)
	for i := range l.Layers {
		layer := gptOSSLayer{
			window:    windows[i],
			attnNorm:  l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention: l.attention(i),
			sinks:     l.tensor(block(i, "attn_sinks.weight"), l.Heads),
			ffnNorm:   l.rmsNorm(block(i, "post_attention_norm"), l.Width),
			experts:   l.plainExperts(i, l.expertWidth(), program.Routing{Used: l.ExpertsUsed, Gating: program.GateSoftmaxSelected}),
		}
		for _, p := range []program.Linear{layer.o, layer.router, layer.gate, layer.up, layer.gateUp, layer.down} {
			if p.Weight != nil && p.Bias == nil {
				l.fail("tensor %q is missing", strings.TrimSuffix(p.Weight.Name, "weight")+"bias")
			}
		}
		m.layers = append(m.layers, layer)
	}
	return m
}

func (m *gptOSS) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *gptOSS) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l, attend, rope := &m.layers[i], m.attend(), m.rope
	attend.Sinks = l.sinks
	if l.window > 0 {
		attend.Window, rope = l.window, m.local
	}
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q, k = b.RoPE(q, m.KeyHead, rope), b.RoPE(k, m.KeyHead, rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, attend), l.o))
	return b.Add(x, l.experts.forward(b, b.RMSNorm(x, l.ffnNorm), program.GPTOSS))
}
