package gpu

import (
	"fmt"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// shape is what launches depend on: steps of one shape replay one plan.
type shape struct {
	tokens, outputs int
	pages           int // most pages of the KV cache that a row sees, rounded up to a power of two
	tiles           int // of rows that follow one another; 0 if they mostly do not
}

// plan is the launches of a shape, in order.
type plan struct {
	launches []launch
	step     *metal.Buffer // the step buffer they bind
	used     uint64        // for dropping the plan used longest ago
}

// launch is a dispatch: a kernel with its buffers, ready to encode.
type launch struct {
	shaders.Launch
	pipeline *metal.Pipeline
	bindings []binding
	// barrier: what launches since the last one wrote must be visible, or what
	// they read be done with.
	barrier bool

	key    pipelineKey
	op     program.Op
	rule   string // of program.Fusions, if the launch is of fused ops
	source int    // the op's number in the program
}

// binding is a buffer at an index of a launch.
type binding struct {
	index int
	place
	access access
}

// access says what a launch does with a buffer. Buffers that nothing writes
// while a step runs (weights, the step buffer) are constant.
type access uint8

const (
	constant access = iota
	reads
	writes
)

// order sets the barriers: the dispatches of an encoder run at the same time,
// so that one that touches what another since the last barrier wrote, or writes
// what it read, must come after a barrier.
func (p *plan) order() {
	var open []binding // since the last barrier
	for i := range p.launches {
		l := &p.launches[i]
		l.barrier = false
		for _, b := range l.bindings {
			for _, o := range open {
				if conflict(b, o) {
					l.barrier = true
				}
			}
		}
		if l.barrier {
			open = open[:0]
		}
		for _, b := range l.bindings {
			if b.access != constant {
				open = append(open, b)
			}
		}
	}
}

// conflict reports whether the order of two accesses matters.
func conflict(a, b binding) bool {
	return a.access != constant && b.access != constant && (a.access == writes || b.access == writes) &&
		a.buffer == b.buffer && a.offset < b.offset+b.size && b.offset < a.offset+a.size
}

// encode sends the launches [from, to).
func (p *plan) encode(e *metal.ComputeEncoder, from, to int) {
	for i := from; i < to; i++ {
		l := &p.launches[i]
		if l.barrier && i > from { // an encoder begins with everything before it done
			e.Barrier()
		}
		e.SetPipeline(l.pipeline)
		e.SetBytes(0, l.Params)
		for j := range l.bindings {
			b := &l.bindings[j]
			e.SetBuffer(b.index, b.buffer, b.offset)
		}
		if l.Shared > 0 {
			e.SetThreadgroupMemory(0, l.Shared)
		}
		e.DispatchThreadgroups(size(l.Groups), size(l.Threads))
	}
}

func size(s shaders.Size) metal.Size { return metal.Size{Width: s[0], Height: s[1], Depth: s[2]} }

// what names a launch's op, and the tensor it is for, in errors.
func (l *launch) what() string {
	name := l.name()
	if t := program.Weight(l.op); t != nil {
		return fmt.Sprintf("op %d %s, tensor %q of type %s", l.source, name, t.Name, t.Type)
	}
	return fmt.Sprintf("op %d %s", l.source, name)
}

// name is the op's, or that of the rule that fused it with others.
func (l *launch) name() string {
	if l.rule != "" {
		return l.rule
	}
	return program.Name(l.op)
}
