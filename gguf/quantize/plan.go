package quantize

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// ErrRequantize is wrapped by NewPlan's error for a model that is quantised already.
var ErrRequantize = errors.New("is quantised already, and would lose more")

// Plan says what type each tensor of a model will have.
type Plan struct {
	File    *gguf.File
	Mixture Mixture
	// Tensors are in the order in which they will be in the new file.
	Tensors []Assignment
}

// Assignment is a tensor and the type it will have.
type Assignment struct {
	*gguf.Tensor
	Target gguf.Type
	// Wanted is the type the mixture wants. Where the tensor's rows are not whole
	// blocks of it, Target is another.
	Wanted gguf.Type
}

// Size returns the bytes the tensor will have.
func (a Assignment) Size() int64 { return int64(a.Target.RowBytes(a.Cols())) * int64(a.Rows()) }

// Size returns the bytes of all tensors, as they are and as they will be.
func (p *Plan) Size() (before, after int64) {
	for _, a := range p.Tensors {
		before += int64(len(a.Data))
		after += a.Size()
	}
	return before, after
}

// NewPlan chooses the types of f's tensors. Tensors that are quantised already
// are refused with ErrRequantize, unless requantize is set or their type stays.
func NewPlan(f *gguf.File, mix Mixture, requantize bool) (*Plan, error) {
	plan, err := newPlan(f, mix, requantize)
	if err != nil {
		return nil, fmt.Errorf("quantize %s to %s: %w", f.Name(), mix.Name, err)
	}
	return plan, nil
}

func newPlan(f *gguf.File, mix Mixture, requantize bool) (*Plan, error) {
	r, err := newRules(f, mix)
	if err != nil {
		return nil, err
	}
	p := &Plan{File: f, Mixture: mix}
	for _, t := range slices.SortedFunc(slices.Values(f.Tensors), order) {
		target, wanted, err := r.choose(t)
		if err != nil {
			return nil, err
		}
		if target != t.Type {
			if _, ok := quant.Encoder(target); !ok {
				return nil, fmt.Errorf("tensor %q: cannot write %v", t.Name, target)
			}
			if t.Type.BlockSize() > 1 && !requantize {
				return nil, fmt.Errorf("tensor %q, %v, %w", t.Name, t.Type, ErrRequantize)
			}
		}
		if mix.Name == "Q2_K_S" && target == gguf.Q2_K && quantisable(t) && roleOf(t.Name) != embedding && roleOf(t.Name) != output {
			return nil, fmt.Errorf("tensor %q as %v %s (Q2_K does not need one)", t.Name, target, needsMatrix)
		}
		p.Tensors = append(p.Tensors, Assignment{t, target, wanted})
	}
	return p, nil
}
