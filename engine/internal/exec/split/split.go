// Package split runs programs on two executors, one after the other: the first
// layers on one, the rest and the result on the other. Both read the same mapped
// weights. The hidden states that pass between them are one piece of memory, which
// the first writes and the second reads, so that handing over is no copy: the
// first is done when its Run returns, and the second's Run begins then.
package split

import (
	"fmt"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
)

// Executor runs the layers before one on an executor, the others on another.
type Executor struct {
	first, rest program.Executor
	layer       int
}

var _ program.KVDivider = (*Executor)(nil)

// New returns an executor that runs the embedding and the layers before the given
// one on first, the others on rest. It takes both over.
func New(first, rest program.Executor, layer int) *Executor {
	return &Executor{first, rest, layer}
}

// LayerExecutor implements program.KVDivider: the keys and values of a layer
// belong to the executor that runs it.
func (e *Executor) LayerExecutor(layer int) program.Executor {
	if layer < e.layer {
		return e.first
	}
	return e.rest
}

// Rest returns the executor of the last layers.
func (e *Executor) Rest() program.Executor { return e.rest }

// Compile implements program.Executor. kv must be memory of program.NewKVMemory
// for this executor.
func (e *Executor) Compile(p *program.Program, kv *program.KVMemory, limits program.Limits) (program.Runner, error) {
	if err := kv.Check(p, limits); err != nil {
		return nil, fmt.Errorf("split: %w", err)
	}
	first, rest, err := p.Cut(e.layer)
	if err != nil {
		return nil, fmt.Errorf("split: %w", err)
	}
	r := &runner{free: func() {}}
	hidden, err := r.allocate(e, limits.Tokens*p.Info(first.Hidden).Width)
	if err != nil {
		return nil, fmt.Errorf("split: hidden states of %d tokens: %w", limits.Tokens, err)
	}
	part := func(layers []program.KVLayer) *program.KVMemory {
		return &program.KVMemory{Type: kv.Type, BlockSize: kv.BlockSize, Blocks: kv.Blocks, Layers: layers, Hidden: hidden}
	}
	if r.first, err = e.first.Compile(first, part(kv.Layers[:e.layer]), limits); err != nil {
		r.Close()
		return nil, fmt.Errorf("split: before layer %d: %w", e.layer, err)
	}
	if r.rest, err = e.rest.Compile(rest, part(kv.Layers[e.layer:]), limits); err != nil {
		r.Close()
		return nil, fmt.Errorf("split: from layer %d on: %w", e.layer, err)
	}
	return r, nil
}

// Close closes both executors.
func (e *Executor) Close() error {
	err := e.first.Close()
	if err2 := e.rest.Close(); err == nil {
		err = err2
	}
	return err
}

type runner struct {
	first, rest program.Runner
	failed      bool   // the last Run
	free        func() // gives the hidden states' memory back
}

// allocate returns memory of n values that both executors can use.
func (r *runner) allocate(e *Executor, n int) ([]float32, error) {
	for _, e := range []program.Executor{e.rest, e.first} {
		a, ok := e.(program.KVAllocator)
		if !ok {
			continue
		}
		mem, free, err := a.AllocateKV(4 * n)
		if err != nil {
			return nil, err
		}
		r.free = free
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(mem))), n), nil
	}
	return make([]float32, n), nil
}

// Run implements program.Runner.
func (r *runner) Run(s *program.Step) error {
	r.failed = true
	if err := r.first.Run(s); err != nil {
		if len(s.Tokens) > 0 && len(s.Positions) > 0 {
			err = fmt.Errorf("split: step of %d tokens from position %d: %w", len(s.Tokens), s.Positions[0], err)
		}
		return err
	}
	if err := r.rest.Run(s); err != nil {
		return err
	}
	r.failed = false
	return nil
}

// Result implements program.Runner.
func (r *runner) Result() []float32 {
	if r.failed {
		return nil
	}
	return r.rest.Result()
}

// Close gives the parts' memory back.
func (r *runner) Close() error {
	program.CloseRunner(r.first)
	program.CloseRunner(r.rest)
	r.free()
	r.free = func() {}
	return nil
}
