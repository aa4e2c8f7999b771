package gpu

import (
	"fmt"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// Memory is what a program needs of the GPU, and what there is, in bytes.
type Memory struct {
	Weights   int64 // tensors that no earlier Compile has bound
	KV        int64
	Scratch   int64 // activations, parts of attention, the step
	Available int64 // of the recommended working set
}

// Need is the sum of what is needed.
func (m Memory) Need() int64 { return m.Weights + m.KV + m.Scratch }

// Memory adds up what Compile would take, without taking anything.
func (e *Executor) Memory(p *program.Program, kv int64, limits program.Limits) Memory {
	m := Memory{KV: kv, Available: e.device.Limits().RecommendedWorkingSet - int64(e.device.AllocatedSize())}
	seen := map[*gguf.Tensor]bool{}
	for _, op := range p.Ops {
		if t := program.Weight(op); t != nil && !seen[t] && e.weights.tensor(t).buffer == nil {
			seen[t] = true
			m.Weights += int64(len(t.Data))
		}
	}
	m.Scratch = 4 * int64(p.Fuse(canFuse).Layout(limits).Size+5*limits.Tokens+limits.Outputs+tableRoom)
	return m
}

// CheckMemory returns an error with the numbers if a program over a KV cache of
// context positions does not fit the GPU's working set: beyond it the system
// moves memory in and out, or ends the work. kv gives the cache's bytes for a
// number of positions.
func (e *Executor) CheckMemory(p *program.Program, context int, kv func(positions int) int64, limits program.Limits) error {
	m := e.Memory(p, kv(context), limits)
	if m.Need() <= m.Available {
		return nil
	}
	fits := 0 // the largest context that does, by halving
	for low, high := 0, context; low < high; {
		mid := (low + high + 1) / 2
		if m.Weights+m.Scratch+kv(mid) <= m.Available {
			low, fits = mid, mid
		} else {
			high = mid - 1
		}
	}
	advice := "no context is small enough"
	if fits > 0 {
		advice = fmt.Sprintf("a context of %d fits", fits)
	}
	total := e.device.Limits().RecommendedWorkingSet
	raise := (m.Need() + total - m.Available + 1<<20 - 1) >> 20
	return fmt.Errorf("gpu: a context of %d tokens needs %.1f MB (weights %.1f, KV cache %.1f, scratch %.1f); of the GPU's working set of %.1f MB %.1f are free; %s, "+
		"or where the machine has more memory: sudo sysctl iogpu.wired_limit_mb=%d",
		context, mb(m.Need()), mb(m.Weights), mb(m.KV), mb(m.Scratch), mb(total), mb(m.Available), advice, raise)
}

func mb(n int64) float64 { return float64(n) / (1 << 20) }
