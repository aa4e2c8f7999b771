package gpu

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// Dispatch describes a launch of a step, without the device to run it on.
type Dispatch struct {
	shaders.Launch // Read includes what the step's rows see of the KV cache, once

	Op      string // the op's name, or of fused ops that of the rule in program.Fusions
	Tensor  string // the weights it reads; "" if none
	Layer   int    // -1 outside of layers
	Barrier bool   // it waits for the launches before it
	// Messages is what Metal is sent to encode it, what is set already left out.
	Messages int
}

// Scratch is the memory a runner takes beside weights and KV cache, in bytes.
type Scratch struct {
	Activations int64 // of all ops
	Attention   int64 // parts of attentions that are split up
	Experts     int64 // tokens sorted by expert
	Step        int64 // token ids, positions, block tables
	Hidden      int64 // hidden states that a part of a program passes on
}

// A Planner says what steps of a program come to on a GPU. It has no device and
// allocates nothing but its lists: what it lowers is what a Runner would.
type Planner struct {
	r       *runner
	Scratch Scratch
}

// NewPlanner returns a planner of a program with a KV cache of a type. Its error
// is an *UnsupportedError if the kernels cannot run the program.
func NewPlanner(p *program.Program, typ gguf.Type, limits program.Limits) (*Planner, error) {
	e := New(nil, nil)
	if err := Check(p, typ); err != nil {
		return nil, err
	}
	// Buffers are only told apart: nothing is in them.
	kv := &program.KVMemory{Type: typ, BlockSize: shaders.AttentionPage}
	fused := p.Fuse(canFuse)
	r := &runner{e: e, whole: p, program: fused, limits: limits, kv: kv, layout: fused.Layout(limits), ropes: map[*program.Rope]rope{},
		arena: new(metal.Buffer), hidden: place{buffer: new(metal.Buffer)}, parts: new(metal.Buffer), step: &stepBuffer{buffer: new(metal.Buffer)}}
	r.step.divide(limits, tableRoom)
	for _, s := range p.KV {
		kv.Layers = append(kv.Layers, program.KVLayer{Shape: s})
		r.caches = append(r.caches, cache{place{new(metal.Buffer), 0, 1}, place{new(metal.Buffer), 0, 1}})
	}
	q := &Planner{r: r, Scratch: Scratch{Activations: 4 * int64(r.layout.Size), Step: int64(r.step.bytes())}}
	if !p.Hidden.None() {
		q.Scratch.Hidden = 4 * int64(limits.Tokens*p.Info(p.Hidden).Width)
	}
	for i, op := range p.Ops {
		switch op := op.(type) {
		case *program.RoPE:
			factors, err := decode(op.Rope.Factors)
			if err != nil {
				return nil, fmt.Errorf("gpu: op %d RoPE: %w", i, err)
			}
			_, magnitude := op.Rope.Frequencies(factors)
			r.ropes[op.Rope] = rope{new(metal.Buffer), float32(magnitude)}
		case *program.Route:
			tiles, n := r.groupedRoom(op)
			r.grouped = grouped{new(metal.Buffer), max(r.grouped.tiles, tiles)}
			q.Scratch.Experts = max(q.Scratch.Experts, int64(n))
		case *program.Attention:
			q.Scratch.Attention = max(q.Scratch.Attention, 4*int64(r.attentionShape(op).MaxParts(limits.Tokens)))
		}
	}
	return q, nil
}

// Step lists the launches of a step of one sequence: tokens at the positions
// before end, with results for the last outputs of them. A step of one token also picks
// the next, as greedy decoding does.
func (q *Planner) Step(tokens, outputs, end int) ([]Dispatch, error) {
	pages := (end + q.r.kv.BlockSize - 1) / q.r.kv.BlockSize
	tiles := worthTiling((tokens+shaders.AttentionTile-1)/shaders.AttentionTile, tokens)
	plan, err := q.r.lower(shape{tokens, outputs, 1 << bits.Len(uint(pages-1)), tiles, tokens == 1})
	if err != nil {
		return nil, err
	}
	list, messages := make([]Dispatch, len(plan.launches)), plan.messages()
	layer := -1
	for i := range plan.launches {
		l := &plan.launches[i]
		layer = layerOf(l.op, layer)
		d := Dispatch{Launch: l.Launch, Op: l.name(), Layer: layer, Barrier: l.barrier, Messages: messages[i]}
		if t := tensorOf(l.op); t != nil {
			d.Tensor = t.Name
		}
		if a, ok := l.op.(*program.Attention); ok && q.readsCache(l, a.Layer) {
			first := seenFrom(a, end-tokens)
			s := q.r.kv.Layers[a.Layer].Shape
			d.Read += int64(end-first) * int64(q.r.kv.Type.RowBytes(s.KeyWidth)+q.r.kv.Type.RowBytes(s.ValueWidth))
		}
		list[i] = d
	}
	return list, nil
}

// readsCache tells an attention from the joining of its parts.
func (q *Planner) readsCache(l *launch, layer int) bool {
	for _, b := range l.bindings {
		if b.buffer == q.r.caches[layer].keys.buffer {
			return true
		}
	}
	return false
}

// FLOPs counts the additions and multiplications of matrix products and of
// attention in a step.
func (q *Planner) FLOPs(tokens, outputs, end int) (n int64) {
	l := lowering{runner: q.r, shape: shape{tokens: tokens, outputs: outputs}}
	for _, op := range q.r.whole.Ops {
		switch op := op.(type) {
		case *program.Project:
			n += 2 * int64(l.rows(op.X)) * int64(op.Linear.Weight.Elements())
		case *program.ProjectExperts:
			w := op.Linear.Weight
			n += 2 * int64(l.rows(op.Out)) * int64(w.Dims[0]) * int64(w.Dims[1])
		case *program.Attention:
			s := q.r.attentionShape(op)
			for p := end - tokens; p < end; p++ {
				n += 2 * int64(p+1-seenFrom(op, p)) * int64(s.Heads*(s.Key+s.Value))
			}
		}
	}
	return n
}

// seenFrom is the first position that a row at a position attends to.
func seenFrom(a *program.Attention, position int) int {
	first := 0
	if a.Window > 0 {
		first = max(first, position+1-a.Window)
	}
	if a.Chunk > 0 {
		first = max(first, position/a.Chunk*a.Chunk)
	}
	return first
}

// tensorOf is the tensor an op is named by; nil if it has none.
func tensorOf(op program.Op) *gguf.Tensor {
	switch op := op.(type) {
	case *program.RMSNorm:
		return op.Norm.Weight
	case *program.LayerNorm:
		return op.Norm.Weight
	}
	return program.Weight(op)
}

// layerOf is the layer an op belongs to: the one in its tensor's name, or else
// that of the op before it. Outputs are selected after the last layer, or before
// an op that names its own.
func layerOf(op program.Op, before int) int {
	t := tensorOf(op)
	if _, ok := op.(*program.SelectOutputs); t == nil && !ok {
		return before
	}
	layer := -1
	if t == nil {
		return layer
	}
	if rest, ok := strings.CutPrefix(t.Name, "blk."); ok {
		if _, err := fmt.Sscanf(rest, "%d.", &layer); err != nil {
			return -1
		}
	}
	return layer
}
