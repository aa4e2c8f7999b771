package gpu

import (
	"fmt"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/shaders"
)

// Memory is what a program and a cache of it need of the GPU, and what there is, in
// bytes.
type Memory struct {
	Weights int64 // tensors that no earlier Compile has bound
	KV      int64
	Scratch int64 // activations, parts of attention, the step

	WorkingSet int64 // what the GPU can use without a loss of speed
	Available  int64 // of it, what is not in use

	// Largest is the largest buffer, for What; MaxBuffer is what one may have.
	Largest, MaxBuffer int64
	What               string
}

// Need is the sum of what is needed.
func (m Memory) Need() int64 { return m.Weights + m.KV + m.Scratch }

// Fits reports whether there is enough. Beyond the working set the system moves
// memory in and out, or ends the work.
func (m Memory) Fits() bool { return m.Need() <= m.Available && m.Largest <= m.MaxBuffer }

// Memory adds up what Compile would take, and a cache of positions in typ, without
// taking anything. The error is an *UnsupportedError if the kernels cannot run p.
func (e *Executor) Memory(p *program.Program, typ gguf.Type, positions int, limits program.Limits) (Memory, error) {
	q, err := NewPlanner(p, typ, limits)
	if err != nil {
		return Memory{}, err
	}
	l := e.device.Limits()
	m := Memory{WorkingSet: l.RecommendedWorkingSet, Available: l.RecommendedWorkingSet - int64(e.device.AllocatedSize()), MaxBuffer: l.MaxBuffer}
	largest := func(n int64, format string, args ...any) int64 {
		if n > m.Largest {
			m.Largest, m.What = n, fmt.Sprintf(format, args...)
		}
		return n
	}
	for _, t := range p.Weights() {
		if e.weights.tensor(t).buffer == nil {
			m.Weights += largest(int64(len(t.Data)), "tensor %q", t.Name)
		}
	}
	rows := (positions + shaders.AttentionPage - 1) / shaders.AttentionPage * shaders.AttentionPage
	for _, s := range p.KV {
		_, n := s.Bytes(typ, rows)
		m.KV += largest(int64(n), "a layer's KV cache")
	}
	s := q.Scratch
	largest(s.Activations, "the activations")
	largest(s.Attention, "the scratch memory of attention")
	largest(s.Experts, "the scratch memory of experts")
	m.Scratch = s.Activations + s.Attention + s.Experts + s.Step + s.Hidden
	return m, nil
}
