package gpu

import (
	"errors"
	"time"

	"github.com/gollm/gollm/metal"
)

// resident keeps an executor's buffers wired while it is in use: macOS takes
// memory from the GPU that it has not used for about a second, and giving it back
// costs longer than many tokens. It does nothing before macOS 15.
type resident struct{ set *metal.ResidencySet }

// How often residency is renewed, and for how long after the last step: a chat's
// pauses should be short, an idle program should not hold the machine's memory.
const (
	residencyBeat = 500 * time.Millisecond
	residencyIdle = 3 * time.Minute
)

// open makes the set, the first time.
func (r *resident) open(d *metal.Device) error {
	if r.set != nil {
		return nil
	}
	set, err := d.NewResidencySet("gollm", 64)
	if errors.Is(err, metal.ErrNotSupported) {
		return nil
	}
	r.set = set
	return err
}

// add makes buffers resident; nil ones are passed over.
func (r *resident) add(list ...*metal.Buffer) {
	if r.set == nil {
		return
	}
	for _, b := range list {
		if b != nil {
			r.set.Add(b)
		}
	}
	r.set.Commit()
	r.set.KeepAlive(residencyBeat, residencyIdle)
}

// remove takes buffers out, before they are released.
func (r *resident) remove(list ...*metal.Buffer) {
	if r.set == nil {
		return
	}
	for _, b := range list {
		if b != nil {
			r.set.Remove(b)
		}
	}
	r.set.Commit()
}

func (r *resident) touch() {
	if r.set != nil {
		r.set.Touch()
	}
}

func (r *resident) release() {
	if r.set != nil {
		r.set.Release()
	}
}
