package engine

import (
	"fmt"

	"github.com/gollm/gollm/engine/internal/exec/gpu"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
)

// Plan is what running a model on the GPU comes to, worked out without one: what
// the Metal executor would dispatch, and the memory it would take.
type Plan struct {
	Model   string `json:"model"`
	Context int    `json:"context"` // most tokens of a session
	KVType  string `json:"kv_type"`
	// Layers is how many the model has, GPULayers how many of them, the last, the GPU
	// runs, all that follows being about them: one more than Layers is all of the model.
	Layers    int        `json:"layers"`
	GPULayers int        `json:"gpu_layers"`
	Memory    MemoryPlan `json:"memory"`
	First     StepPlan   `json:"decode_first"` // one token, with nothing before it
	Decode    StepPlan   `json:"decode"`       // one token, the last that the context holds
	Prefill   StepPlan   `json:"prefill"`      // the first tokens of a prompt, read at once
}

// MemoryPlan is the memory a model and one session take, in bytes.
type MemoryPlan struct {
	Weights int64 `json:"weights"` // the file's tensors, in place; of some layers, their matrices
	KV      int64 `json:"kv"`      // keys and values of Context tokens
	Scratch int64 `json:"scratch"` // activations and all else that lives for a step
	Total   int64 `json:"total"`
}

// StepPlan is one step: what the GPU is given and has to move. Read and Written
// count each input and output of a dispatch once; a kernel may read some of them
// more often, from the GPU's caches if all goes well.
type StepPlan struct {
	Tokens     int        `json:"tokens"`
	Position   int        `json:"position"` // of the first token
	Dispatches []Dispatch `json:"dispatches"`
	Layers     []StepCost `json:"layers"` // what is outside of layers is in Total alone
	Total      StepCost   `json:"total"`
	FLOPs      int64      `json:"flops"` // additions and multiplications of matrix products and attention
}

// StepCost adds up dispatches.
type StepCost struct {
	Dispatches int   `json:"dispatches"`
	Barriers   int   `json:"barriers"`
	Messages   int   `json:"messages"` // that Metal is sent to encode them
	Read       int64 `json:"read"`
	Written    int64 `json:"written"`
}

// Dispatch is one launch of a kernel.
type Dispatch struct {
	Layer   int    `json:"layer"` // -1 outside of layers
	Op      string `json:"op"`
	Tensor  string `json:"tensor,omitempty"` // the weights it reads
	Kernel  string `json:"kernel"`
	Groups  [3]int `json:"groups"`  // threadgroups of the grid
	Threads [3]int `json:"threads"` // of a threadgroup
	Shared  int    `json:"shared"`  // bytes of threadgroup memory
	Barrier bool   `json:"barrier"` // it waits for the dispatches before it
	Read    int64  `json:"read"`    // bytes
	Written int64  `json:"written"`
}

// Plan describes a decoded token, the choice of the next included, and a prompt of up to 512 tokens: the part of
// Options.GPULayers, or else all of it. It needs no GPU, and no memory to speak of. The
// error says which op or tensor type the Metal kernels do not have, if that is
// why there is no plan.
func (m *Model) Plan() (*Plan, error) {
	info := m.Info()
	p := &Plan{Model: info.Name, Context: info.Context, KVType: info.KVType, Layers: m.logits.Layers(), GPULayers: m.wanted()}
	limits := m.limits(1)
	part, err := m.part(p.GPULayers)
	if err != nil {
		return nil, fmt.Errorf("engine: plan %s: %w", m.file.Name(), err)
	}
	planner, err := gpu.NewPlanner(part, m.kvType, limits)
	if err != nil {
		return nil, fmt.Errorf("engine: plan %s: %w", m.file.Name(), err)
	}
	p.Memory = m.planMemory(planner, part)
	if p.First, err = step(planner, 1, 1); err != nil {
		return nil, fmt.Errorf("engine: plan %s: %w", m.file.Name(), err)
	}
	if p.Decode, err = step(planner, 1, info.Context); err != nil {
		return nil, fmt.Errorf("engine: plan %s: %w", m.file.Name(), err)
	}
	n := min(512, limits.Tokens)
	if p.Prefill, err = step(planner, n, n); err != nil {
		return nil, fmt.Errorf("engine: plan %s: %w", m.file.Name(), err)
	}
	return p, nil
}

func (m *Model) planMemory(planner *gpu.Planner, part *program.Program) MemoryPlan {
	s := planner.Scratch
	p := MemoryPlan{
		Weights: m.Info().Bytes,
		KV:      kv.Size(part.KV, m.kvType, m.options.Context),
		Scratch: s.Activations + s.Attention + s.Experts + s.Step + s.Hidden,
	}
	if part != m.logits {
		p.Weights = 0
		for _, t := range part.Weights() {
			p.Weights += int64(len(t.Data))
		}
	}
	p.Total = p.Weights + p.KV + p.Scratch
	return p
}

// step plans a step of tokens that ends at a position.
func step(planner *gpu.Planner, tokens, end int) (StepPlan, error) {
	list, err := planner.Step(tokens, 1, end)
	if err != nil {
		return StepPlan{}, err
	}
	s := StepPlan{Tokens: tokens, Position: end - tokens, FLOPs: planner.FLOPs(tokens, 1, end)}
	for _, d := range list {
		s.Dispatches = append(s.Dispatches, Dispatch{
			Layer: d.Layer, Op: d.Op, Tensor: d.Tensor, Kernel: d.Kernel.Name,
			Groups: d.Groups, Threads: d.Threads, Shared: d.Shared, Barrier: d.Barrier, Read: d.Read, Written: d.Written,
		})
		s.Total.add(d)
		if d.Layer >= 0 {
			for len(s.Layers) <= d.Layer {
				s.Layers = append(s.Layers, StepCost{})
			}
			s.Layers[d.Layer].add(d)
		}
	}
	return s, nil
}

func (c *StepCost) add(d gpu.Dispatch) {
	c.Dispatches++
	c.Messages += d.Messages
	c.Read += d.Read
	c.Written += d.Written
	if d.Barrier {
		c.Barriers++
	}
}
