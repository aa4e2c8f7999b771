package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// phi3 is Phi 3, 3.5 and 4: Llama with gate and up in one matrix, part of each
// head turning in some, and rotary divisors chosen by the length of the context.
// Abdin et al. 2024.
//
// Files name a sliding window; as in llama.cpp it is not applied, since their
// metadata does not tell which models were trained with one.
type phi3 struct {
	Hyper
	head
	embed  *gguf.Tensor
	ropes  ropes
	layers []phi3Layer
}

type phi3Layer struct {
	attnNorm program.Norm
	attention
	ffnNorm program.Norm
	fusedGated
}

func loadPhi3(l *loader) Family {
	m := &phi3{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		ropes: l.ropes(program.Halves),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, phi3Layer{
			attnNorm:   l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention:  l.attention(i),
			ffnNorm:    l.rmsNorm(block(i, "ffn_norm"), l.Width),
			fusedGated: l.fusedGated(i, l.FF),
		})
	}
	return m
}

func (m *phi3) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x, m.ropes.at(o.Context))
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *phi3) layer(b *program.Builder, i int, x program.Tensor, rope *program.Rope) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q, k = b.RoPE(q, m.KeyHead, rope), b.RoPE(k, m.KeyHead, rope)
	b.StoreKV(i, k, v)
	x = b.Add(x, b.Project(b.Attention(i, q, m.attend()), l.o))
	return b.Add(x, l.fusedGated.forward(b, b.RMSNorm(x, l.ffnNorm), program.SiLU))
}
