package gpu

import (
	"fmt"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/pipelines"
)

// shape is what launches depend on: steps of one shape replay one plan.
type shape struct {
	tokens, outputs int
	pages           int  // most pages of the KV cache that a row sees, rounded up to a power of two
	tiles           int  // of rows that follow one another; 0 if they mostly do not
	pick            bool // the next step's tokens are picked from the result
}

// plan is the launches of a shape, in order.
type plan struct {
	launches []launch
	parts    []int  // where each command buffer's launches end
	used     uint64 // for dropping the plan used longest ago
}

// launch is a dispatch: a kernel with its buffers, ready to encode.
type launch struct {
	shaders.Launch
	pipeline *metal.Pipeline
	bindings []binding
	// barrier: what launches since the last one wrote must be visible, or what
	// they read be done with.
	barrier bool

	key    pipelines.Key
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

// access says what a launch does with a buffer. Of those that are in no other
// launch's way, nothing writes constant ones (weights) while a step runs, and the
// step buffer's turns are apart: ofStep is read in the step's own, which is written
// before it, toNext written in that of the step after it.
type access uint8

const (
	constant access = iota
	ofStep
	toNext
	reads
	writes
	accesses = iota
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
			if b.access >= reads {
				open = append(open, b)
			}
		}
	}
}

// workPerBuffer bounds the work of one command buffer, so that none holds the GPU
// for so long that the system ends it, or that the screen stands still: 60 ms on the
// slowest chip, 68 GB/s and 2.6 TFLOPS. It counts bytes moved; where many tokens use
// a weight, arithmetic takes longer than memory, and each byte counts as often as
// there are tokensPerByte in them: an M1 moves a byte in 15 ps and computes a token's
// part of a 4-bit weight's byte in 1.5 ps. Faster chips have more of both.
const (
	workPerBuffer = 4 << 30
	tokensPerByte = 10
)

// cut divides the launches into command buffers. Parts are of one size: a short
// first one would have the GPU begin sooner by what it takes to encode the rest,
// under 0.1 ms once a prompt, and generated tokens are encoded ahead.
func (p *plan) cut(tokens int) {
	work := int64(0)
	for i := range p.launches {
		l := &p.launches[i]
		work += max(1, (l.Read+l.Written)*int64(max(tokensPerByte, tokens))/tokensPerByte)
		if work >= workPerBuffer {
			p.parts, work = append(p.parts, i+1), 0
		}
	}
	if n := len(p.parts); n == 0 || p.parts[n-1] < len(p.launches) {
		p.parts = append(p.parts, len(p.launches))
	}
}

// conflict reports whether the order of two accesses matters.
func conflict(a, b binding) bool {
	return a.access >= reads && b.access >= reads && (a.access == writes || b.access == writes) &&
		a.buffer == b.buffer && a.offset < b.offset+b.size && b.offset < a.offset+a.size
}

// encode sends the launches [from, to), shift being what is added to the offsets of
// each access. What is set already is not sent again, and of buffers at consecutive
// indices one message binds all.
func (p *plan) encode(e *metal.ComputeEncoder, from, to int, shift *[accesses]int) {
	var list [metal.MaxIndex + 1]metal.Binding
	for i := from; i < to; i++ {
		l := &p.launches[i]
		if l.barrier && i > from { // an encoder begins with everything before it done
			e.Barrier()
		}
		e.SetPipeline(l.pipeline)
		e.SetBytes(0, l.Params)
		n := 0
		for j := range l.bindings {
			b := &l.bindings[j]
			list[n] = metal.Binding{Buffer: b.buffer, Offset: b.offset + shift[b.access]}
			n++
			if j+1 == len(l.bindings) || l.bindings[j+1].index != b.index+1 {
				e.SetBuffers(b.index+1-n, list[:n]...)
				n = 0
			}
		}
		if l.Shared > 0 {
			e.SetThreadgroupMemory(0, l.Shared)
		}
		e.DispatchThreadgroups(size(l.Groups), size(l.Threads))
	}
}

// messages counts what encode sends for each launch when one encoder takes all.
func (p *plan) messages() []int {
	counts := make([]int, len(p.launches))
	var bound [metal.MaxIndex + 1]place
	var last *launch
	for i := range p.launches {
		l, n := &p.launches[i], 2 // the params, the dispatch
		for _, sent := range []bool{l.barrier && i > 0, last == nil || last.key != l.key, l.Shared > 0} {
			if sent {
				n++
			}
		}
		run := false // a message of the present run of indices is sent
		for j := range l.bindings {
			b := &l.bindings[j]
			at := place{buffer: b.buffer, offset: b.offset}
			if b.access == toNext {
				at.offset-- // in another turn than what is at this offset otherwise
			}
			if run = run && l.bindings[j-1].index+1 == b.index; !run && (bound[b.index] != at || b.buffer == nil) {
				run = true
				n++
			}
			bound[b.index] = at
		}
		counts[i], last = n, l
	}
	return counts
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
