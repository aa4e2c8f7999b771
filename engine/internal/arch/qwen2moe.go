package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// qwen2moe is Qwen 1.5 and 2 with experts: beside the chosen ones each token
// passes a shared expert, which a gate of its own weighs. Yang et al. 2024.
type qwen2moe struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []qwen2moeLayer
}

type qwen2moeLayer struct {
	attnNorm program.Norm
	attention
	ffnNorm    program.Norm
	experts    experts
	shared     gated
	sharedGate program.Linear // [d, 1]
}

func loadQwen2MoE(l *loader) Family {
	m := &qwen2moe{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(program.Halves, nil),
	}
	sharedWidth := l.number("expert_shared_feed_forward_length", 0)
	if sharedWidth == 0 {
		sharedWidth = l.FF
	}
	for i := range l.Layers {
		m.layers = append(m.layers, qwen2moeLayer{
			attnNorm:   l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention:  l.attention(i),
			ffnNorm:    l.rmsNorm(block(i, "ffn_norm"), l.Width),
			experts:    l.plainExperts(i, l.expertWidth(), program.Routing{Used: l.ExpertsUsed, Gating: program.GateSoftmax}),
			shared:     l.sharedExpert(i, sharedWidth),
			sharedGate: program.Linear{Weight: l.tensor(block(i, "ffn_gate_inp_shexp.weight"), l.Width)},
		})
	}
	return m
}

func (m *qwen2moe) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *qwen2moe) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))

	h := b.RMSNorm(x, l.ffnNorm)
	shared := b.Mul(l.shared.forward(b, h, program.SiLU), b.Activate(b.Project(h, l.sharedGate), program.Sigmoid))
	return b.Add(x, b.Add(l.experts.forward(b, h, program.SiLU), shared))
}
