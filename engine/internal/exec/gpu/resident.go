package gpu

import (
	"errors"
	"fmt"
	"time"

	"github.com/gollm/gollm/metal"
)

// How often residency is renewed, and for how long after the last step: a chat's
// pauses should be short, an idle program should not hold the machine's memory.
const (
	residencyBeat = 500 * time.Millisecond
	residencyIdle = 3 * time.Minute
)

// reside keeps the runner's buffers wired while it is in use: macOS takes memory
// from the GPU that it has not used for about a second, and giving it back takes
// longer than many tokens. Before macOS 15 there is no way to.
func (r *runner) reside() error {
	set, err := r.e.device.NewResidencySet("gollm", 64)
	if errors.Is(err, metal.ErrNotSupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	r.resident = set
	seen := map[*metal.Buffer]bool{nil: true}
	add := func(b *metal.Buffer) {
		if !seen[b] {
			seen[b] = true
			set.Add(b)
		}
	}
	for _, b := range r.e.weights.all() {
		add(b)
	}
	for _, c := range r.caches {
		add(c.keys.buffer)
		add(c.values.buffer)
	}
	for _, b := range []*metal.Buffer{r.arena, r.hidden.buffer, r.parts, r.grouped.buffer} {
		add(b)
	}
	set.Commit()
	r.queue.AddResidencySet(set)
	set.KeepAlive(residencyBeat, residencyIdle)
	return nil
}
