package arch

import (
	"fmt"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// glm4 is GLM-4-0414: norms before and after both attention and network, half
// of each head turning, gate and up in one matrix. GLM Team 2024.
type glm4 struct {
	Hyper
	head
	embed  *gguf.Tensor
	rope   *program.Rope
	layers []glm4Layer
}

type glm4Layer struct {
	attnNorm program.Norm
	attention
	attnPostNorm program.Norm
	ffnNorm      program.Norm
	fusedGated
	ffnPostNorm program.Norm
}

func loadGLM4(l *loader) Family {
	// The last layers of some files guess further tokens ahead: not used here.
	ahead := l.number("nextn_predict_layers", 0)
	if ahead < 0 || ahead >= l.Layers && l.Layers > 0 {
		l.fail("key %q is %d of %d layers", l.key("nextn_predict_layers"), ahead, l.Layers)
		ahead = 0
	}
	for range min(ahead, l.Layers) {
		l.Layers--
		l.ignorePrefix(fmt.Sprintf("blk.%d.", l.Layers))
	}
	m := &glm4{
		Hyper: l.Hyper,
		embed: l.embedding(),
		head:  head{l.rmsNorm("output_norm", l.Width), l.output()},
		rope:  l.rope(l.glm4Pairing(), nil),
	}
	for i := range l.Layers {
		m.layers = append(m.layers, glm4Layer{
			attnNorm:     l.rmsNorm(block(i, "attn_norm"), l.Width),
			attention:    l.attention(i),
			attnPostNorm: l.rmsNorm(block(i, "post_attention_norm"), l.Width),
			ffnNorm:      l.rmsNorm(block(i, "ffn_norm"), l.Width),
			fusedGated:   l.fusedGated(i, l.FF),
			ffnPostNorm:  l.rmsNorm(block(i, "post_ffw_norm"), l.Width),
		})
	}
	return m
}

// glm4Pairing says how pairs lie: as Llama's, but as NeoX's in models that also
// see. Those share the pairs out to time, height and width, which are the same
// for text; a fourth section, which text would not turn, is in none.
func (l *loader) glm4Pairing() program.Pairing {
	const key = "rope.dimension_sections"
	if !l.has(key) {
		return program.Adjacent
	}
	sections, err := gguf.Get[[]int](l.file, l.key(key))
	if l.failed(err) || len(sections) < 3 || sections[0] <= 0 || sections[1] <= 0 {
		return program.Adjacent
	}
	if len(sections) > 3 && sections[3] > 0 && sections[0]+sections[1]+sections[2] < l.RopeDims/2 {
		l.fail("key %q: %v leave pairs of %d to a fourth section, which is not supported", l.key(key), sections, l.RopeDims)
	}
	return program.Halves
}

func (m *glm4) Hidden(b *program.Builder, o Options) program.Tensor {
	x := b.Embed(m.embed)
	for i := range m.layers {
		x = m.layer(b, i, x)
	}
	return b.RMSNorm(b.SelectOutputs(x), m.norm)
}

func (m *glm4) layer(b *program.Builder, i int, x program.Tensor) program.Tensor {
	l := &m.layers[i]
	q, k, v := l.project(b, b.RMSNorm(x, l.attnNorm))
	q, k = b.RoPE(q, m.KeyHead, m.rope), b.RoPE(k, m.KeyHead, m.rope)
	b.StoreKV(i, k, v)
	h := b.Project(b.Attention(i, q, m.attend()), l.o)
	x = b.Add(x, b.RMSNorm(h, l.attnPostNorm))
	h = l.fusedGated.forward(b, b.RMSNorm(x, l.ffnNorm), program.SiLU)
	return b.Add(x, b.RMSNorm(h, l.ffnPostNorm))
}
