package program

import (
	"fmt"
	"strings"

	"github.com/gollm/gollm/gguf"
)

// Builder appends ops to a program. Its methods return the tensor the op
// writes. A mistake (shapes that do not meet) is remembered and returned by
// Build, so that a forward pass reads without error handling; after the first
// one the methods do nothing useful.
type Builder struct {
	p   Program
	err error
}

// NewBuilder returns an empty builder.
func NewBuilder() *Builder {
	return &Builder{p: Program{Tensors: make([]Info, 1)}}
}

// Build returns the finished program whose result is the given tensor, which
// must have PerOutput rows.
func (b *Builder) Build(result Tensor) (*Program, error) {
	if b.err == nil && (result.None() || b.p.Info(result).Rows != PerOutput) {
		b.fail("result", "is not made of SelectOutputs' rows")
	}
	if b.err != nil {
		return nil, b.err
	}
	b.p.Result = result
	p := b.p
	return &p, nil
}

func (b *Builder) fail(op, format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf("program: op %d %s: %s", len(b.p.Ops), op, fmt.Sprintf(format, args...))
	}
}

// add makes a tensor that op will write.
func (b *Builder) add(op string, info Info) Tensor {
	info.Name = fmt.Sprintf("%s%d", op, len(b.p.Ops))
	if info.Width <= 0 {
		b.fail(op, "makes a tensor of width %d", info.Width)
	}
	b.p.Tensors = append(b.p.Tensors, info)
	return Tensor{int32(len(b.p.Tensors) - 1)}
}

// like makes a tensor of x's rows and the given width.
func (b *Builder) like(op string, x Tensor, width int) Tensor {
	if x.None() {
		b.fail(op, "has no input")
	}
	info := b.p.Info(x)
	return b.add(op, Info{Rows: info.Rows, Repeat: info.Repeat, Width: width})
}

func (b *Builder) emit(op Op) { b.p.Ops = append(b.p.Ops, op) }

// Width returns the width of x.
func (b *Builder) Width(x Tensor) int { return b.p.Info(x).Width }

// vector checks that w, if present, has exactly n values.
func (b *Builder) vector(op string, w *gguf.Tensor, n ...int) {
	if w == nil {
		return
	}
	for _, n := range n {
		if w.Elements() == n {
			return
		}
	}
	b.fail(op, "%q has %d values, want %d", w.Name, w.Elements(), n[0])
}

// Embed emits an Embed.
func (b *Builder) Embed(table *gguf.Tensor) Tensor {
	out := b.add("embed", Info{Repeat: 1, Width: table.Cols()})
	b.emit(&Embed{table, out})
	return out
}

// EmbedPosition emits an EmbedPosition.
func (b *Builder) EmbedPosition(table *gguf.Tensor) Tensor {
	out := b.add("embed_position", Info{Repeat: 1, Width: table.Cols()})
	b.emit(&EmbedPosition{table, out})
	return out
}

// RMSNorm normalises whole rows.
func (b *Builder) RMSNorm(x Tensor, n Norm) Tensor { return b.RMSNormHeads(x, n, b.Width(x)) }

// RMSNormHeads normalises each head of the given width on its own.
func (b *Builder) RMSNormHeads(x Tensor, n Norm, head int) Tensor {
	b.norm("rms_norm", x, n, head)
	out := b.like("rms_norm", x, b.Width(x))
	b.emit(&RMSNorm{x, n, head, out})
	return out
}

// LayerNorm normalises whole rows.
func (b *Builder) LayerNorm(x Tensor, n Norm) Tensor { return b.LayerNormHeads(x, n, b.Width(x)) }

// LayerNormHeads normalises each head of the given width on its own.
func (b *Builder) LayerNormHeads(x Tensor, n Norm, head int) Tensor {
	b.norm("layer_norm", x, n, head)
	out := b.like("layer_norm", x, b.Width(x))
	b.emit(&LayerNorm{x, n, head, out})
	return out
}

func (b *Builder) norm(op string, x Tensor, n Norm, group int) {
	w := b.Width(x)
	if group <= 0 || w%group != 0 {
		b.fail(op, "width %d is not made of groups of %d", w, group)
	}
	b.vector(op, n.Weight, group, w)
	b.vector(op, n.Bias, group, w)
}

// Project emits a Project.
func (b *Builder) Project(x Tensor, l Linear) Tensor {
	if l.Weight == nil {
		b.fail("project", "has no weight")
		return x
	}
	if w := b.Width(x); l.Weight.Cols() != w {
		b.fail("project", "%q takes %d columns, got %d", l.Weight.Name, l.Weight.Cols(), w)
	}
	b.vector("project", l.Bias, l.Weight.Rows())
	b.vector("project", l.Scale, 1)
	out := b.like("project", x, l.Weight.Rows())
	b.emit(&Project{x, l, out})
	return out
}

// Add emits an Add.
func (b *Builder) Add(x, y Tensor) Tensor {
	b.same("add", x, y)
	out := b.like("add", x, b.Width(x))
	b.emit(&Add{x, y, out})
	return out
}

// Mul emits a Mul; y may have width 1.
func (b *Builder) Mul(x, y Tensor) Tensor {
	if b.Width(y) != 1 {
		b.same("mul", x, y)
	}
	out := b.like("mul", x, b.Width(x))
	b.emit(&Mul{x, y, out})
	return out
}

func (b *Builder) same(op string, x, y Tensor) {
	i, j := b.p.Info(x), b.p.Info(y)
	if i.Rows != j.Rows || i.Repeat != j.Repeat || i.Width != j.Width {
		b.fail(op, "%s and %s have different shapes", i, j)
	}
}

// Scale emits a Scale; a factor of 1 emits nothing.
func (b *Builder) Scale(x Tensor, factor float32) Tensor {
	if factor == 1 {
		return x
	}
	out := b.like("scale", x, b.Width(x))
	b.emit(&Scale{x, factor, out})
	return out
}

// ScaleByPosition emits a ScaleByPosition.
func (b *Builder) ScaleByPosition(x Tensor, period, offset int, beta float32) Tensor {
	if period <= 0 {
		b.fail("scale_by_position", "has period %d", period)
	}
	out := b.like("scale_by_position", x, b.Width(x))
	b.emit(&ScaleByPosition{x, period, offset, beta, out})
	return out
}

// Softcap emits a Softcap; a cap of 0 emits nothing.
func (b *Builder) Softcap(x Tensor, limit float32) Tensor {
	if limit == 0 {
		return x
	}
	out := b.like("softcap", x, b.Width(x))
	b.emit(&Softcap{x, limit, out})
	return out
}

// Activate emits an Activate.
func (b *Builder) Activate(x Tensor, act Activation) Tensor {
	if act == GPTOSS {
		b.fail("activate", "%s is for GLU", act)
	}
	out := b.like("activate", x, b.Width(x))
	b.emit(&Activate{x, act, out})
	return out
}

// GLU emits a GLU.
func (b *Builder) GLU(gate, up Tensor, act Activation) Tensor {
	b.same("glu", gate, up)
	out := b.like("glu", gate, b.Width(gate))
	b.emit(&GLU{gate, up, act, out})
	return out
}

// RoPE emits a RoPE on heads of the given width.
func (b *Builder) RoPE(x Tensor, head int, r *Rope) Tensor {
	if head <= 0 || b.Width(x)%head != 0 || r.Dims < 0 || r.Dims > head || r.Dims%2 != 0 {
		b.fail("rope", "turns %d of heads of %d in width %d", r.Dims, head, b.Width(x))
	}
	b.vector("rope", r.Factors, r.Dims/2)
	out := b.like("rope", x, b.Width(x))
	b.emit(&RoPE{x, head, r, out})
	return out
}

// StoreKV emits a StoreKV. Layers are numbered from 0, each stored once.
func (b *Builder) StoreKV(layer int, k, v Tensor) {
	if layer != len(b.p.KV) {
		b.fail("store_kv", "layer %d comes after %d layers", layer, len(b.p.KV))
	}
	b.p.KV = append(b.p.KV, KVShape{b.Width(k), b.Width(v)})
	b.emit(&StoreKV{layer, k, v})
}

// Attend is the description of an attention: Attention without its tensors.
type Attend struct {
	Heads, KVHeads int
	Scale          float32
	Window         int
	Chunk          int
	Softcap        float32
	Sinks          *gguf.Tensor
	ALiBi          float32
}

// Attention emits an Attention over a layer that StoreKV has written.
func (b *Builder) Attention(layer int, q Tensor, a Attend) Tensor {
	if layer < 0 || layer >= len(b.p.KV) {
		b.fail("attention", "layer %d has no keys and values", layer)
		return q
	}
	kv := b.p.KV[layer]
	switch {
	case a.Heads <= 0 || a.KVHeads <= 0 || a.Heads%a.KVHeads != 0:
		b.fail("attention", "%d query heads do not share %d KV heads", a.Heads, a.KVHeads)
		return q
	case kv.KeyWidth%a.KVHeads != 0 || kv.ValueWidth%a.KVHeads != 0:
		b.fail("attention", "keys of %d and values of %d are not %d heads", kv.KeyWidth, kv.ValueWidth, a.KVHeads)
	case b.Width(q) != kv.KeyWidth/a.KVHeads*a.Heads:
		b.fail("attention", "queries of %d are not %d heads of %d", b.Width(q), a.Heads, kv.KeyWidth/a.KVHeads)
	}
	b.vector("attention", a.Sinks, a.Heads)
	out := b.like("attention", q, kv.ValueWidth/a.KVHeads*a.Heads)
	b.emit(&Attention{layer, q, a.Heads, a.KVHeads, a.Scale, a.Window, a.Chunk, a.Softcap, a.Sinks, a.ALiBi, out})
	return out
}

// Split emits a Split.
func (b *Builder) Split(x Tensor, from, width int) Tensor {
	if from < 0 || width <= 0 || from+width > b.Width(x) {
		b.fail("split", "columns %d to %d of %d", from, from+width, b.Width(x))
	}
	out := b.like("split", x, width)
	b.emit(&Split{x, from, width, out})
	return out
}

// SelectOutputs emits a SelectOutputs.
func (b *Builder) SelectOutputs(x Tensor) Tensor {
	if i := b.p.Info(x); i.Rows != PerToken || i.Repeat != 1 {
		b.fail("select_outputs", "takes one row for each token, got %s", i)
	}
	out := b.add("select_outputs", Info{Rows: PerOutput, Repeat: 1, Width: b.Width(x)})
	b.emit(&SelectOutputs{x, out})
	return out
}

// Routing describes a Route without its tensors. Used is k.
type Routing struct {
	Used      int
	Gating    Gating
	Bias      *gguf.Tensor
	Normalise bool
	Scale     float32
}

// Route emits a Route and returns the experts and their weights.
func (b *Builder) Route(x Tensor, r Routing) (experts, weights Tensor) {
	if r.Used <= 0 || r.Used > b.Width(x) {
		b.fail("route", "uses %d of %d experts", r.Used, b.Width(x))
	}
	b.vector("route", r.Bias, b.Width(x))
	rows := b.p.Info(x).Rows
	experts = b.add("experts", Info{Rows: rows, Repeat: 1, Width: r.Used, Elem: Index})
	weights = b.like("route", x, r.Used)
	b.emit(&Route{x, r.Gating, r.Bias, r.Normalise, r.Scale, experts, weights})
	return experts, weights
}

// ProjectExperts emits a ProjectExperts.
func (b *Builder) ProjectExperts(x Tensor, l Linear, experts Tensor) Tensor {
	const op = "project_experts"
	if l.Weight == nil || len(l.Weight.Dims) != 3 {
		b.fail(op, "weights are not three-dimensional")
		return x
	}
	in, out, k := l.Weight.Dims[0], l.Weight.Dims[1], b.Width(experts)
	i := b.p.Info(x)
	if i.Width != in || (i.Repeat != 1 && i.Repeat != k) {
		b.fail(op, "%q takes %d columns, got %s", l.Weight.Name, in, i)
	}
	b.vector(op, l.Bias, out*l.Weight.Dims[2])
	b.vector(op, l.Scale, l.Weight.Dims[2])
	y := b.add(op, Info{Rows: i.Rows, Repeat: k, Width: out})
	b.emit(&ProjectExperts{x, l, experts, y})
	return y
}

// CombineExperts emits a CombineExperts.
func (b *Builder) CombineExperts(x, weights Tensor) Tensor {
	i := b.p.Info(x)
	if i.Repeat != b.Width(weights) {
		b.fail("combine_experts", "%d rows for each token, %d weights", i.Repeat, b.Width(weights))
	}
	out := b.like("combine_experts", weights, i.Width)
	b.emit(&CombineExperts{x, weights, out})
	return out
}

// String returns the shape as the op docs write it, such as "[n·2, 256]".
func (i Info) String() string {
	var s strings.Builder
	s.WriteString("[n")
	if i.Rows == PerOutput {
		s.Reset()
		s.WriteString("[m")
	}
	if i.Repeat > 1 {
		fmt.Fprintf(&s, "·%d", i.Repeat)
	}
	fmt.Fprintf(&s, ", %d]", i.Width)
	return s.String()
}
