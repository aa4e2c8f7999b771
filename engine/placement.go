package engine

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/gollm/gollm/engine/internal/exec/gpu"
	"github.com/gollm/gollm/engine/internal/program"
)

// Values of Options.GPULayers beside a number of layers.
const (
	AllLayers = math.MaxInt32 // all, or Load fails
	NoLayers  = -1            // none: the CPU runs the model
)

// Placement is where a model runs.
type Placement struct {
	Device string // as Devices names it; the GPU's, if it has part in it
	GPU    string // the GPU's own name, such as "Apple M2 Pro"; "" if it has no part
	// GPULayers is how many layers the GPU runs, the last ones, and the output: 0 for
	// none, one more than the model has layers for all and the embedding.
	GPULayers int
	// Why says why not all of the model runs on the GPU, where Options left that
	// open; otherwise nil.
	Why error
}

// layersOn decides how many layers run on the GPU. If their number was left open
// it is as many as can, and why says what keeps the others off; if it was given and
// cannot be, that is the error.
func (m *Model) layersOn(e *gpu.Executor) (layers int, why, err error) {
	want := m.wanted()
	fits := true
	for layers = want; layers > 0; layers-- {
		need, err := m.needs(e, layers, m.options.Context)
		if err == nil && need.Fits() {
			break
		}
		if layers < want {
			continue
		}
		if why = err; err == nil {
			fits, why = false, m.tooLarge(e, layers, need)
		}
	}
	if why == nil || m.options.GPULayers == 0 {
		return layers, why, nil
	}
	if fits { // otherwise there is advice
		why = fmt.Errorf("%w; -ngl %d would run", why, layers)
	}
	return 0, nil, why
}

// wanted is the number of layers asked for, all if that was left open.
func (m *Model) wanted() int {
	if all := m.logits.Layers() + 1; m.options.GPULayers <= 0 || m.options.GPULayers > all {
		return all
	}
	return m.options.GPULayers
}

// part is the program that the GPU has if it runs that many layers.
func (m *Model) part(layers int) (*program.Program, error) {
	if layers > m.logits.Layers() {
		return m.logits, nil
	}
	_, p, err := m.logits.Cut(m.logits.Layers() - layers)
	return p, err
}

// needs adds up what a number of layers and a session of a context take.
func (m *Model) needs(e *gpu.Executor, layers, context int) (gpu.Memory, error) {
	p, err := m.part(layers)
	if err != nil {
		return gpu.Memory{}, err
	}
	return e.Memory(p, m.kvType, context, program.Limits{Tokens: min(m.options.Batch, context), Outputs: 1})
}

// tooLarge says what does not fit the GPU, and what would.
func (m *Model) tooLarge(e *gpu.Executor, layers int, need gpu.Memory) error {
	var s strings.Builder
	if all := m.logits.Layers(); layers >= all {
		fmt.Fprintf(&s, "all %d layers", all)
	} else {
		fmt.Fprintf(&s, "%d of %d layers", layers, all)
	}
	fmt.Fprintf(&s, " on the GPU, with a context of %d tokens, need %s (weights %s, KV cache %s, scratch %s); ",
		m.options.Context, amount(need.Need()), amount(need.Weights), amount(need.KV), amount(need.Scratch))
	if need.Need() > need.Available {
		fmt.Fprintf(&s, "of the GPU's working set of %s %s are free", amount(need.WorkingSet), amount(need.Available))
	} else {
		fmt.Fprintf(&s, "%s is %s, and one buffer of this GPU may have %s", need.What, amount(need.Largest), amount(need.MaxBuffer))
	}
	fits := func(layers, context int) bool {
		need, err := m.needs(e, layers, context)
		return err == nil && need.Fits()
	}
	fewer := layers - 1
	for fewer > 0 && !fits(fewer, m.options.Context) {
		fewer--
	}
	if fewer > 0 {
		fmt.Fprintf(&s, "; -ngl %d fits", fewer)
	} else {
		s.WriteString("; -ngl 0, the CPU alone, needs none of it")
	}
	context := 0 // the largest that fits, by halving
	for low, high := 0, m.options.Context; low < high; {
		if mid := (low + high + 1) / 2; fits(layers, mid) {
			low, context = mid, mid
		} else {
			high = mid - 1
		}
	}
	if context > 0 {
		fmt.Fprintf(&s, ", or -c %d", context)
	} else {
		s.WriteString(", no smaller context does")
	}
	if need.Need() > need.Available {
		limit := (need.WorkingSet - need.Available + need.Need() + 1<<20 - 1) >> 20
		fmt.Fprintf(&s, "; or, if the machine has more memory: sudo sysctl iogpu.wired_limit_mb=%d", limit)
	}
	return errors.New(s.String())
}

// amount writes a number of bytes for people.
func amount(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
