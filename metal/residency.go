package metal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gollm/gollm/metal/internal/objc"
)

// ResidencySet keeps buffers resident: mapped for the GPU before it needs them, and not taken away
// while it does not (macOS 15). Add and Remove take effect at Commit.
type ResidencySet struct {
	d    *Device
	id   uintptr
	used atomic.Int64 // nanoseconds since start, of the last Touch
	wake chan struct{}

	mu   sync.Mutex
	stop chan struct{}
	over chan struct{}
}

// NewResidencySet makes an empty set with room for capacity buffers. Its error wraps ErrNotSupported
// before macOS 15.
func (d *Device) NewResidencySet(label string, capacity int) (*ResidencySet, error) {
	s := d.enter()
	defer s.leave()
	if !s.Responds(d.id, objc.DeviceNewResidencySetWithDescriptor) {
		return nil, fmt.Errorf("metal: residency set %q: %w (macOS 15 has them)", label, ErrNotSupported)
	}
	desc := s.New("MTLResidencySetDescriptor")
	defer s.Release(desc)
	s.setLabel(objc.ResidencySetDescriptorSetLabel, desc, label)
	s.Send(objc.ResidencySetDescriptorSetInitialCapacity, desc, uintptr(capacity))
	id := s.Send(objc.DeviceNewResidencySetWithDescriptor, d.id, desc, s.OutAddr(0))
	if id == 0 {
		return nil, failure(s.Caller, fmt.Sprintf("residency set %q", label), s.Out[0])
	}
	return &ResidencySet{d: d, id: id, wake: make(chan struct{}, 1)}, nil
}

func (r *ResidencySet) each(m objc.Message, list []*Buffer) {
	c := r.d.enter()
	defer c.leave()
	for _, b := range list {
		c.Send(m, r.id, b.id)
	}
}

// Add adds buffers.
func (r *ResidencySet) Add(list ...*Buffer) { r.each(objc.ResidencySetAddAllocation, list) }

// Remove takes buffers out.
func (r *ResidencySet) Remove(list ...*Buffer) { r.each(objc.ResidencySetRemoveAllocation, list) }

// Commit makes what was added and removed count.
func (r *ResidencySet) Commit() { r.d.word(objc.ResidencySetCommit, r.id) }

// Request makes the set resident now, rather than when the GPU first needs it.
func (r *ResidencySet) Request() { r.d.word(objc.ResidencySetRequestResidency, r.id) }

// End takes back Request: the system may take the memory from the GPU.
func (r *ResidencySet) End() { r.d.word(objc.ResidencySetEndResidency, r.id) }

// Size is the bytes of the set's buffers.
func (r *ResidencySet) Size() int64 { return int64(r.d.word(objc.ResidencySetAllocatedSize, r.id)) }

// KeepAlive requests residency every interval until idle has passed without a Touch; then it ends
// residency, and the next Touch starts over. It is needed because macOS unwires memory the GPU has not
// used for about a second, and wiring it again is slow. It runs until Release.
func (r *ResidencySet) KeepAlive(interval, idle time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil || r.id == 0 {
		return
	}
	r.stop, r.over = make(chan struct{}), make(chan struct{})
	r.used.Store(now())
	go r.beat(interval, idle, r.stop, r.over)
}

var start = time.Now()

func now() int64 { return int64(time.Since(start)) }

// Touch says the set is in use.
func (r *ResidencySet) Touch() {
	r.used.Store(now())
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *ResidencySet) beat(interval, idle time.Duration, stop, over chan struct{}) {
	defer close(over)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		r.Request()
		for now()-r.used.Load() < int64(idle) {
			select {
			case <-tick.C:
				r.Request()
			case <-stop:
				return
			}
		}
		r.End()
		select { // a Touch of before is in the channel still; the loop above sorts it out
		case <-r.wake:
		case <-stop:
			return
		}
	}
}

// Release stops KeepAlive, empties the set and gives it up. Remove it from its queues first.
func (r *ResidencySet) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id == 0 {
		return
	}
	if r.stop != nil {
		close(r.stop)
		<-r.over
	}
	// Memory has been seen to stay wired when a set was only released.
	r.End()
	r.d.word(objc.ResidencySetRemoveAllAllocations, r.id)
	r.Commit()
	r.d.release(&r.id)
}
