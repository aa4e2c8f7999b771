package gpu

import (
	"fmt"
	"slices"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/pipelines"
)

// lowering turns the ops of a program into the launches of one shape.
type lowering struct {
	*runner
	shape
	plan *plan
	op   program.Op
	rule string // what fused it with others; "" if it is lowered by itself
	at   int    // its number
}

// lower returns the launches of a shape, without their pipelines.
func (r *runner) lower(s shape) (*plan, error) {
	l := &lowering{runner: r, shape: s, plan: &plan{}}
	for i, op := range r.program.Ops {
		l.op, l.rule, l.at = op, "", i
		if err := l.lower(); err != nil {
			return nil, fmt.Errorf("gpu: op %d %s: %w", i, program.Name(op), err)
		}
	}
	if s.pick {
		l.op, l.rule, l.at = nil, "pick", len(r.program.Ops)
		l.pick()
	}
	l.plan.order()
	l.plan.cut(s.tokens)
	return l.plan, nil
}

// pick chooses the next step's tokens, one for each output.
func (l *lowering) pick() {
	result := l.program.Result
	l.emit(shaders.ArgMax(l.outputs, l.width(result)), l.in(shaders.SampleX, result),
		binding{shaders.SampleIDs, place{l.step.buffer, 4 * l.step.tokens.at, 4 * l.outputs}, toNext})
}

// emit appends a launch of a kernel that reads no weights of the file.
func (l *lowering) emit(s shaders.Launch, b ...binding) {
	l.add(pipelines.Key{Kernel: s.Kernel}, s, b)
}

// emitTyped is emit of a kernel that reads weights of one type, or of two.
func (l *lowering) emitTyped(typ, too shaders.Type, s shaders.Launch, b ...binding) {
	l.add(pipelines.Key{Kernel: s.Kernel, Typed: true, Type: typ, Too: too}, s, b)
}

func (l *lowering) add(key pipelines.Key, s shaders.Launch, b []binding) {
	slices.SortFunc(b, func(x, y binding) int { return x.index - y.index }) // neighbours are bound together
	l.plan.launches = append(l.plan.launches, launch{Launch: s, key: key, bindings: b, op: l.op, rule: l.rule, source: l.at})
}

// rows is how many rows a tensor has in this shape.
func (l *lowering) rows(t program.Tensor) int {
	i := l.program.Info(t)
	if i.Rows == program.PerOutput {
		return l.outputs * i.Repeat
	}
	return l.tokens * i.Repeat
}

// values is how many values it has.
func (l *lowering) values(t program.Tensor) int { return l.rows(t) * l.width(t) }

func (l *lowering) width(t program.Tensor) int { return l.program.Info(t).Width }

// tensor is the place of a tensor's rows: in the arena, or where a part of a
// program meets the other.
func (r *runner) tensor(t program.Tensor, rows int) place {
	size := 4 * rows * r.program.Info(t).Width
	if t == r.program.Hidden {
		return place{r.hidden.buffer, r.hidden.offset, size}
	}
	return place{r.arena, 4 * r.layout.Offsets[t.ID()], size}
}

func (l *lowering) in(index int, t program.Tensor) binding {
	return binding{index, l.tensor(t, l.rows(t)), reads}
}

func (l *lowering) out(index int, t program.Tensor) binding {
	return binding{index, l.tensor(t, l.rows(t)), writes}
}

// stepped is a section of the step buffer.
func (l *lowering) stepped(index int, s section) binding {
	return binding{index, place{l.step.buffer, 4 * s.at, 4 * s.n}, ofStep}
}

// vector binds a small tensor as float32.
func (l *lowering) vector(index int, t *gguf.Tensor) (binding, error) {
	p, err := l.e.weights.vector(t)
	return binding{index, p, constant}, err
}

// vectors appends those of the tensors that are there, at consecutive indices.
func (l *lowering) vectors(list []binding, first int, tensors ...*gguf.Tensor) ([]binding, error) {
	for i, t := range tensors {
		if t == nil {
			continue
		}
		b, err := l.vector(first+i, t)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

func (l *lowering) lower() error {
	if w := l.op.Writes(); len(w) > 0 && l.rows(w[0]) == 0 {
		return nil // a step without outputs
	}
	switch op := l.op.(type) {
	case *program.Fused:
		return l.fused(op)
	case *program.Embed:
		return l.embed(op.Table, l.stepped(shaders.EmbedIDs, l.step.tokens), op.Out)
	case *program.EmbedPosition:
		return l.embed(op.Table, l.stepped(shaders.EmbedIDs, l.step.positions), op.Out)
	case *program.RMSNorm:
		return l.norm(op.X, op.Norm, op.Group, op.Out, false)
	case *program.LayerNorm:
		return l.norm(op.X, op.Norm, op.Group, op.Out, true)
	case *program.Project:
		return l.projectWith(op, nil, program.Tensor{}, op.Out)
	case *program.Add:
		l.elementwise(shaders.ElementAdd, op.A, op.B, op.Out, 0, 0)
	case *program.Mul:
		if l.width(op.B) == 1 && l.width(op.A) != 1 {
			l.emit(shaders.MulRows(l.rows(op.A), l.width(op.A)), l.in(shaders.ElementA, op.A), l.in(shaders.ElementB, op.B), l.out(shaders.ElementOut, op.Out))
			return nil
		}
		l.elementwise(shaders.ElementMul, op.A, op.B, op.Out, 0, 0)
	case *program.Scale:
		l.elementwise(shaders.ElementScale, op.X, program.Tensor{}, op.Out, op.Factor, 0)
	case *program.ScaleByPosition:
		l.emit(shaders.ScaleByPosition(l.rows(op.X), l.width(op.X), op.Period, op.Offset, op.Beta),
			l.in(shaders.ElementA, op.X), l.stepped(shaders.ElementB, l.step.positions), l.out(shaders.ElementOut, op.Out))
	case *program.Softcap:
		l.elementwise(shaders.ElementSoftcap, op.X, program.Tensor{}, op.Out, op.Cap, 0)
	case *program.Activate:
		l.elementwise(shaders.ElementActivate, op.X, program.Tensor{}, op.Out, 0, op.Act)
	case *program.GLU:
		l.elementwise(shaders.ElementGLU, op.Gate, op.Up, op.Out, 0, op.Act)
	case *program.RoPE:
		return l.rope(op)
	case *program.StoreKV:
		l.storeKV(op)
	case *program.Attention:
		return l.attention(op)
	case *program.Split:
		l.emit(shaders.CopyColumns(l.rows(op.X), l.width(op.X), op.From, op.Width), l.in(shaders.CopyX, op.X), l.out(shaders.CopyOut, op.Out))
	case *program.SelectOutputs:
		l.emit(shaders.CopyRows(l.outputs, l.width(op.X)), l.in(shaders.CopyX, op.X), l.out(shaders.CopyOut, op.Out),
			l.stepped(shaders.CopyRowNumbers, l.step.outputs))
	case *program.Route:
		return l.route(op)
	case *program.ProjectExperts:
		return l.projectExperts(op)
	case *program.CombineExperts:
		l.combine(op, program.Tensor{}, op.Out)
	default:
		return fmt.Errorf("the GPU does not know this op (%T)", op)
	}
	return nil
}

func (l *lowering) elementwise(f shaders.Element, a, b, out program.Tensor, factor float32, act program.Activation) {
	list := []binding{l.in(shaders.ElementA, a), l.out(shaders.ElementOut, out)}
	if f.Two() {
		list = append(list, l.in(shaders.ElementB, b))
	}
	l.emit(shaders.Elementwise(f, l.values(out), factor, uint32(act)), list...)
}

func (l *lowering) norm(x program.Tensor, n program.Norm, group int, out program.Tensor, centred bool) error {
	o := shaders.NormOptions{Centred: centred, Weight: n.Weight != nil, Bias: n.Bias != nil, Eps: n.Eps}
	for _, t := range []*gguf.Tensor{n.Weight, n.Bias} {
		if t == nil {
			continue
		}
		if o.Weights != 0 && o.Weights != t.Elements() {
			return fmt.Errorf("weight and bias have %d and %d values", o.Weights, t.Elements())
		}
		o.Weights = t.Elements()
	}
	list, err := l.vectors([]binding{l.in(shaders.NormX, x), l.out(shaders.NormOut, out)}, shaders.NormWeight, n.Weight, n.Bias)
	l.emit(shaders.Norm(l.rows(x), l.width(x), group, o), list...)
	return err
}

func (l *lowering) rope(op *program.RoPE) error {
	rotation, table, err := l.rotation(op.Rope, op.Head)
	l.emit(shaders.Rope(l.rows(op.X), l.width(op.X), rotation), l.in(shaders.RopeX, op.X), l.out(shaders.RopeOut, op.Out),
		binding{shaders.RopeFrequencies, table, constant}, l.stepped(shaders.RopePositions, l.step.positions))
	return err
}

func (l *lowering) storeKV(op *program.StoreKV) {
	c := l.caches[op.Layer]
	l.emit(shaders.StoreKV(l.tokens, l.width(op.K), l.width(op.V), cacheType(l.kv.Type), nil),
		l.in(shaders.StoreK, op.K), l.in(shaders.StoreV, op.V), binding{shaders.StoreKeys, c.keys, writes}, binding{shaders.StoreValues, c.values, writes},
		l.stepped(shaders.StoreSlots, l.step.slots))
}

// cacheType is a cache's type as the kernels have it; allocate has refused those
// that they have not.
func cacheType(t gguf.Type) shaders.Type {
	typ, _ := shaders.TypeNamed(t.String())
	return typ
}

// attentionShape describes an attention to its kernels.
func (r *runner) attentionShape(op *program.Attention) shaders.AttentionShape {
	s := r.kv.Layers[op.Layer].Shape
	return shaders.AttentionShape{
		Heads: op.Heads, KVHeads: op.KVHeads, Key: s.KeyWidth / op.KVHeads, Value: s.ValueWidth / op.KVHeads,
		Cache: cacheType(r.kv.Type), Window: op.Window, Chunk: op.Chunk, Scale: op.Scale, Softcap: op.Softcap, ALiBi: op.ALiBi,
		Sinks: op.Sinks != nil,
	}
}

func (l *lowering) attention(op *program.Attention) error {
	s, c := l.attentionShape(op), l.caches[op.Layer]
	splits := s.Splits(l.tokens, l.tiles, l.pages)
	out := l.out(shaders.AttentionOut, op.Out)
	if splits > 1 {
		out.place = place{l.parts, 0, 4 * s.AttentionParts(l.tokens, splits)}
	}
	list := []binding{l.in(shaders.AttentionQ, op.Q), {shaders.AttentionKeys, c.keys, reads}, {shaders.AttentionValues, c.values, reads}, out,
		l.stepped(shaders.AttentionPositions, l.step.positions), l.stepped(shaders.AttentionStarts, l.step.starts), l.stepped(shaders.AttentionTables, l.step.tables)}
	if s.Tiled(l.tokens, l.tiles) {
		list = append(list, l.stepped(shaders.AttentionTiles, l.step.tiles))
	}
	list, err := l.vectors(list, shaders.AttentionSinks, op.Sinks)
	l.emit(shaders.Attention(l.tokens, l.tiles, splits, s), list...)
	if splits > 1 && err == nil {
		in := binding{shaders.JoinParts, out.place, reads}
		list, err = l.vectors([]binding{in, l.out(shaders.JoinOut, op.Out)}, shaders.JoinSinks, op.Sinks)
		l.emit(shaders.AttentionJoin(l.tokens, splits, s), list...)
	}
	return err
}
