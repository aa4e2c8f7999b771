package engine

import (
	"fmt"

	"github.com/gollm/gollm/engine/internal/kv"
)

// checkMemory refuses a session that this machine cannot hold: memory that
// the system does not give ends a Go program, with no error to return.
func (m *Model) checkMemory() error {
	limits := m.limits(1)
	if m.gpuExec != nil {
		need, err := m.needs(m.gpuExec, m.place.GPULayers, m.options.Context)
		if err == nil && !need.Fits() {
			err = m.tooLarge(m.gpuExec, m.place.GPULayers, need)
		}
		if err != nil {
			return fmt.Errorf("engine: %w", err)
		}
	}
	const float, token = 4, 4
	need := uint64(kv.Size(m.logits.KV, m.kvType, m.options.Context)) +
		uint64(m.options.Context)*token + uint64(m.logits.Layout(limits).Size)*float
	if have := totalMemory(); have > 0 && need > have {
		return fmt.Errorf("engine: a context of %d tokens, read %d at once, needs %.1f GB of memory; this machine has %.1f GB",
			m.options.Context, limits.Tokens, float64(need)/1e9, float64(have)/1e9)
	}
	return nil
}
