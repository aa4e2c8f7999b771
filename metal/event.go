package metal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gollm/gollm/metal/internal/objc"
)

// SharedEvent is a counter that GPU and CPU can raise and wait for.
type SharedEvent struct {
	d  *Device
	id uintptr
	mu sync.Mutex // of raise
}

// NewSharedEvent makes an event at 0.
func (d *Device) NewSharedEvent() (*SharedEvent, error) {
	id := d.word(objc.DeviceNewSharedEvent, d.id)
	if id == 0 {
		return nil, errors.New("metal: shared event: Metal gave none")
	}
	return &SharedEvent{d: d, id: id}, nil
}

// Value is what the event has reached.
func (e *SharedEvent) Value() uint64 { return uint64(e.d.word(objc.SharedEventSignaledValue, e.id)) }

// Set raises the event from the CPU. It never goes back.
func (e *SharedEvent) Set(value uint64) {
	c := e.d.enter()
	defer c.leave()
	c.Send(objc.SharedEventSetSignaledValue, e.id, uintptr(value))
}

// raise sets the event unless it is there already.
func (e *SharedEvent) raise(value uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Value() < value {
		e.Set(value)
	}
}

// Wait blocks until the event has reached value, or ctx ends.
func (e *SharedEvent) Wait(ctx context.Context, value uint64) error {
	c := e.d.enter()
	defer c.leave()
	for {
		slice := 50 * time.Millisecond // how late the end of ctx may be noticed
		if ctx.Done() == nil {
			slice = time.Hour
		} else if err := ctx.Err(); err != nil {
			return fmt.Errorf("metal: wait for event to reach %d: %w", value, err)
		}
		if c.Bool(objc.SharedEventWaitUntilSignaledValue, e.id, uintptr(value), uintptr(slice.Milliseconds())) {
			return nil
		}
	}
}

// Release gives the event up.
func (e *SharedEvent) Release() { e.d.release(&e.id) }

// Fence orders encoders of one queue where their buffers are Untracked: what waits for a fence comes
// after what updated it.
type Fence struct {
	d  *Device
	id uintptr
}

// NewFence makes a fence.
func (d *Device) NewFence() (*Fence, error) {
	id := d.word(objc.DeviceNewFence, d.id)
	if id == 0 {
		return nil, errors.New("metal: fence: Metal gave none")
	}
	return &Fence{d: d, id: id}, nil
}

// Release gives the fence up.
func (f *Fence) Release() { f.d.release(&f.id) }
