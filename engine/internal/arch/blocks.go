package arch

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// The parts that most families are made of. A family that differs in an order
// or a detail writes that out in its own file instead of adding a flag here.

// attention holds the projections of one layer's attention. Files have q, k
// and v apart, or fused in one matrix.
type attention struct {
	q, k, v, qkv, o program.Linear
	widthQ          int
	widthK          int
	widthV          int
}

// attention loads a layer's projections.
func (l *loader) attention(i int) attention {
	a := attention{widthQ: l.Heads * l.KeyHead, widthK: l.KVHeads * l.KeyHead, widthV: l.KVHeads * l.ValueHead}
	if qkv, ok := l.optionalLinear(block(i, "attn_qkv"), l.Width, a.widthQ+a.widthK+a.widthV); ok {
		a.qkv = qkv
	} else {
		a.q = l.linear(block(i, "attn_q"), l.Width, a.widthQ)
		a.k = l.linear(block(i, "attn_k"), l.Width, a.widthK)
		a.v = l.linear(block(i, "attn_v"), l.Width, a.widthV)
	}
	a.o = l.linear(block(i, "attn_output"), l.Heads*l.ValueHead, l.Width)
	return a
}

// project returns the queries, keys and values of x.
func (a *attention) project(b *program.Builder, x program.Tensor) (q, k, v program.Tensor) {
	if a.qkv.Weight != nil {
		x = b.Project(x, a.qkv)
		return b.Split(x, 0, a.widthQ), b.Split(x, a.widthQ, a.widthK), b.Split(x, a.widthQ+a.widthK, a.widthV)
	}
	return b.Project(x, a.q), b.Project(x, a.k), b.Project(x, a.v)
}

// attend is the family's usual attention: all heads, scale 1/√D.
func (c *Hyper) attend() program.Attend {
	return program.Attend{Heads: c.Heads, KVHeads: c.KVHeads, Scale: float32(1 / math.Sqrt(float64(c.KeyHead)))}
}

// gated is a feed-forward network with a gate: down(act(gate·x) · up·x).
type gated struct{ gate, up, down program.Linear }

func (l *loader) gated(i int, width int) gated {
	return gated{
		gate: l.ffnLinear(block(i, "ffn_gate"), l.Width, width),
		up:   l.ffnLinear(block(i, "ffn_up"), l.Width, width),
		down: l.ffnLinear(block(i, "ffn_down"), width, l.Width),
	}
}

// ffnLinear is linear by the rule of feed-forward networks: their scales
// multiply the biases too.
func (l *loader) ffnLinear(name string, in, out int) program.Linear {
	p := l.linear(name, in, out)
	p.ScaleBias = true
	return p
}

// plainGated is gated for families whose feed-forward weights have no scales.
func (l *loader) plainGated(i, width int) gated {
	return gated{
		gate: l.plainLinear(block(i, "ffn_gate"), l.Width, width),
		up:   l.plainLinear(block(i, "ffn_up"), l.Width, width),
		down: l.plainLinear(block(i, "ffn_down"), width, l.Width),
	}
}

// plainLinear is linear for families that have no scales there. Only NVFP4
// weights, whose values mean nothing without, have theirs in any family; that
// of another type is passed over, as llama.cpp does.
func (l *loader) plainLinear(name string, in, out int) program.Linear {
	p := l.linear(name, in, out)
	if p.Weight != nil && p.Weight.Type != gguf.NVFP4 {
		p.Scale = nil
	}
	return p
}

func (g *gated) forward(b *program.Builder, x program.Tensor, act program.Activation) program.Tensor {
	return b.Project(b.GLU(b.Project(x, g.gate), b.Project(x, g.up), act), g.down)
}

// fusedGated is a gated network with gate above up in one matrix [d, 2F], which
// files call ffn_up.
type fusedGated struct {
	gateUp, down program.Linear
	width        int
}

func (l *loader) fusedGated(i, width int) fusedGated {
	return fusedGated{
		gateUp: l.plainLinear(block(i, "ffn_up"), l.Width, 2*width),
		down:   l.plainLinear(block(i, "ffn_down"), width, l.Width),
		width:  width,
	}
}

func (g *fusedGated) forward(b *program.Builder, x program.Tensor, act program.Activation) program.Tensor {
	x = b.Project(x, g.gateUp)
	return b.Project(b.GLU(b.Split(x, 0, g.width), b.Split(x, g.width, g.width), act), g.down)
}

// mlp is a feed-forward network of two layers: down(act(up·x)).
type mlp struct{ up, down program.Linear }

func (l *loader) mlp(i int) mlp {
	return mlp{
		up:   l.plainLinear(block(i, "ffn_up"), l.Width, l.FF),
		down: l.plainLinear(block(i, "ffn_down"), l.FF, l.Width),
	}
}

func (m *mlp) forward(b *program.Builder, x program.Tensor, act program.Activation) program.Tensor {
	return b.Project(b.Activate(b.Project(x, m.up), act), m.down)
}

// head is the end of a model: the final norm and the projection onto the
// vocabulary.
type head struct {
	norm   program.Norm
	output program.Linear
}

// Logits implements Family for models that end in a plain projection.
func (h *head) Logits(b *program.Builder, hidden program.Tensor) program.Tensor {
	return b.Project(hidden, h.output)
}

// windows returns each layer's sliding window, 0 where a layer sees all. The
// file names the layers that slide, or a period of which all but the last do.
func (l *loader) windows(period, window int) []int {
	const pattern = "attention.sliding_window_pattern"
	window = l.number("attention.sliding_window", window)
	out := make([]int, l.Layers)
	slide := func(i int, yes bool) {
		if yes {
			out[i] = window
		}
	}
	if list, err := gguf.Get[[]bool](l.file, l.key(pattern)); err == nil && len(list) >= l.Layers {
		for i := range out {
			slide(i, list[i])
		}
		return out
	}
	if _, err := gguf.Get[[]int](l.file, l.key(pattern)); err == nil {
		for i, v := range l.perLayer(pattern, 0)[:l.Layers] {
			slide(i, v != 0)
		}
		return out
	}
	period = l.number(pattern, period)
	for i := range out {
		slide(i, period == 0 || i%period < period-1)
	}
	return out
}

// ropeFactors returns Llama 3's rotary divisors, stored once for all layers or
// with each, or nil.
func (l *loader) ropeFactors() *gguf.Tensor {
	for i := range l.Layers {
		if t := l.optional(block(i, "rope_freqs.weight"), l.RopeDims/2); t != nil && i == 0 {
			defer l.ignore(".rope_freqs.weight")
			return t
		}
	}
	return l.optional("rope_freqs.weight", l.RopeDims/2)
}

// ropes are a family's rotary embeddings for short and for long contexts, which
// differ in their divisors (LongRoPE, Ding et al. 2024).
type ropes struct {
	short, long *program.Rope
	context     int // the longest that is short
}

// ropes reads both. Files with divisors for all lengths (Llama 3.1) have one.
func (l *loader) ropes(pairing program.Pairing) ropes {
	short := l.optional("rope_factors_short.weight", l.RopeDims/2)
	long := l.optional("rope_factors_long.weight", l.RopeDims/2)
	if all := l.ropeFactors(); all != nil {
		short, long = all, all
	}
	return ropes{
		short:   l.rope(pairing, short),
		long:    l.rope(pairing, long),
		context: l.number("rope.scaling.original_context_length", l.Context),
	}
}

// at returns the embedding for sequences of up to the given length.
func (r *ropes) at(context int) *program.Rope {
	if context > r.context {
		return r.long
	}
	return r.short
}
