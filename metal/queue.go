package metal

import (
	"errors"
	"fmt"
	"sync"

	"github.com/gollm/gollm/metal/internal/objc"
)

// QueueOptions say how a queue's command buffers behave.
type QueueOptions struct {
	Label string
	// MaxCommandBuffers is how many may be unfinished at once; CommandBuffer blocks beyond it.
	// 0 is Metal's 64.
	MaxCommandBuffers int
	// Unretained command buffers do not keep alive what they use, which is cheaper; nothing they use
	// may be released before they have completed.
	Unretained bool
	// EncoderStatus makes errors tell which encoder failed, at some cost on the GPU.
	EncoderStatus bool
}

// Queue runs command buffers in the order they are committed.
type Queue struct {
	d    *Device
	id   uintptr
	desc uintptr // MTLCommandBufferDescriptor of every command buffer
	opt  QueueOptions

	mu   sync.Mutex
	free []*CommandBuffer // released ones, to be used again
}

// NewQueue makes a queue.
func (d *Device) NewQueue(o QueueOptions) (*Queue, error) {
	if o.MaxCommandBuffers == 0 {
		o.MaxCommandBuffers = 64
	}
	s := d.enter()
	defer s.leave()
	id := s.Send(objc.DeviceNewCommandQueueWithMaxCommandBufferCount, d.id, uintptr(o.MaxCommandBuffers))
	if id == 0 {
		return nil, fmt.Errorf("metal: queue %q: Metal gave none", o.Label)
	}
	s.setLabel(objc.CommandQueueSetLabel, id, o.Label)
	desc := s.New("MTLCommandBufferDescriptor")
	s.Send(objc.CommandBufferDescriptorSetRetainedReferences, desc, word(!o.Unretained))
	if o.EncoderStatus {
		s.Send(objc.CommandBufferDescriptorSetErrorOptions, desc, objc.MTLCommandBufferErrorOptionEncoderExecutionStatus)
	}
	return &Queue{d: d, id: id, desc: desc, opt: o}, nil
}

// Device is the queue's device.
func (q *Queue) Device() *Device { return q.d }

// AddResidencySet makes the set's buffers resident for every command buffer of the queue. A queue
// takes 32 sets.
func (q *Queue) AddResidencySet(r *ResidencySet) {
	c := q.d.enter()
	defer c.leave()
	c.Send(objc.CommandQueueAddResidencySet, q.id, r.id)
}

// RemoveResidencySet undoes AddResidencySet.
func (q *Queue) RemoveResidencySet(r *ResidencySet) {
	c := q.d.enter()
	defer c.leave()
	c.Send(objc.CommandQueueRemoveResidencySet, q.id, r.id)
}

// Release gives the queue up; its command buffers must have completed.
func (q *Queue) Release() {
	q.d.release(&q.desc)
	q.d.release(&q.id)
}

// Status is MTLCommandBufferStatus.
type Status int

const (
	NotEnqueued Status = objc.MTLCommandBufferStatusNotEnqueued
	Enqueued    Status = objc.MTLCommandBufferStatusEnqueued
	Committed   Status = objc.MTLCommandBufferStatusCommitted
	Scheduled   Status = objc.MTLCommandBufferStatusScheduled
	Completed   Status = objc.MTLCommandBufferStatusCompleted
	Failed      Status = objc.MTLCommandBufferStatusError
)

func (s Status) String() string {
	if s < 0 || int(s) >= len(statusNames) {
		return fmt.Sprintf("status %d", int(s))
	}
	return statusNames[s]
}

var statusNames = [...]string{"not enqueued", "enqueued", "committed", "scheduled", "completed", "error"}

// CommandBuffer is work for the GPU: encoded, committed once, then waited for. Release recycles it.
type CommandBuffer struct {
	q       *Queue
	id      uintptr
	c       *objc.Caller // the encoders' own, so that encoding neither locks nor allocates
	compute ComputeEncoder
	blit    BlitEncoder
	err     error // first error of an encoding function; Commit returns it
	op      string
	done    func(*CommandBuffer)
	signals []signal
	ran     chan struct{} // closed when the completed handler has run; nil without one
}

// A signal is an event to be set by hand if the GPU fails: Metal does not signal events then, and
// whoever waits for one would wait for ever.
type signal struct {
	event *SharedEvent
	value uint64
}

// CommandBuffer starts a command buffer. It blocks while the queue has as many unfinished ones as it
// may have. It allocates nothing once released ones can be used again.
func (q *Queue) CommandBuffer() (*CommandBuffer, error) {
	q.mu.Lock()
	var cb *CommandBuffer
	if n := len(q.free); n > 0 {
		cb, q.free = q.free[n-1], q.free[:n-1]
	}
	q.mu.Unlock()
	if cb == nil {
		cb = &CommandBuffer{q: q}
	}
	s := q.d.enter()
	defer s.leave()
	id := s.Send(objc.CommandQueueCommandBufferWithDescriptor, q.id, q.desc)
	if id == 0 {
		return nil, fmt.Errorf("metal: queue %q: no command buffer", q.opt.Label)
	}
	cb.id = s.Send(objc.NSObjectRetain, id) // it outlives the pool
	cb.c = q.d.rt.Get()
	return cb, nil
}

// SetLabel names the command buffer in captures, errors and messages.
func (cb *CommandBuffer) SetLabel(label string) {
	s := cb.q.d.enter()
	defer s.leave()
	s.setLabel(objc.CommandBufferSetLabel, cb.id, label)
	cb.op = label
}

// ID is the address of the Objective-C object, 0 after Release.
func (cb *CommandBuffer) ID() uintptr { return cb.id }

// Enqueue takes the command buffer's place in the queue's order before its Commit.
func (cb *CommandBuffer) Enqueue() { cb.q.d.word(objc.CommandBufferEnqueue, cb.id) }

// UseResidencySet makes the set's buffers resident for this command buffer.
func (cb *CommandBuffer) UseResidencySet(r *ResidencySet) {
	s := cb.q.d.enter()
	defer s.leave()
	s.Send(objc.CommandBufferUseResidencySet, cb.id, r.id)
}

// Signal sets the event to value when the work encoded so far has ended, and also if it fails.
func (cb *CommandBuffer) Signal(e *SharedEvent, value uint64) {
	s := cb.q.d.enter()
	defer s.leave()
	s.Send(objc.CommandBufferEncodeSignalEvent, cb.id, e.id, uintptr(value))
	cb.signals = append(cb.signals, signal{e, value})
}

// WaitFor holds the work encoded from here on until the event has reached value.
func (cb *CommandBuffer) WaitFor(e *SharedEvent, value uint64) {
	s := cb.q.d.enter()
	defer s.leave()
	s.Send(objc.CommandBufferEncodeWaitForEvent, cb.id, e.id, uintptr(value))
}

// OnCompleted has f called once, on a thread of Metal's, when the work has ended or failed. It must
// come before Commit, and Wait waits for it too: f must not call Wait or Release.
func (cb *CommandBuffer) OnCompleted(f func(*CommandBuffer)) { cb.done = f }

// Commit hands the work to the GPU. It fails, and commits nothing, if an encoding function failed.
func (cb *CommandBuffer) Commit() error {
	if cb.id == 0 {
		return errors.New("metal: commit: the command buffer was released")
	}
	if cb.err != nil {
		return cb.err
	}
	if cb.done != nil || len(cb.signals) > 0 {
		cb.q.d.onCompleted(cb)
	}
	cb.q.d.word(objc.CommandBufferCommit, cb.id)
	return nil
}

// onCompleted asks Metal to call the device's one completion block for cb.
func (d *Device) onCompleted(cb *CommandBuffer) {
	d.mu.Lock()
	if d.completed == 0 {
		d.waiting = map[uintptr]*CommandBuffer{}
		d.completed = d.rt.NewBlock("v16@?0@8", func(id, _ uintptr) {
			d.mu.Lock()
			cb := d.waiting[id]
			delete(d.waiting, id)
			d.mu.Unlock()
			if cb != nil {
				cb.ended(id)
			}
		})
	}
	d.waiting[cb.id] = cb
	cb.ran = make(chan struct{})
	block := d.completed
	d.mu.Unlock()
	s := d.enter()
	defer s.leave()
	s.Send(objc.CommandBufferAddCompletedHandler, cb.id, block)
}

// ended runs on Metal's thread.
func (cb *CommandBuffer) ended(id uintptr) {
	defer close(cb.ran)
	if Status(cb.q.d.word(objc.CommandBufferStatus, id)) == Failed {
		for _, s := range cb.signals {
			s.event.raise(s.value)
		}
	}
	if cb.done != nil {
		cb.done(cb)
	}
}

// Wait blocks until the work has ended, and returns Err.
func (cb *CommandBuffer) Wait() error {
	s := cb.q.d.enter()
	defer s.leave()
	s.Send(objc.CommandBufferWaitUntilCompleted, cb.id)
	if cb.ran != nil {
		<-cb.ran
	}
	return cb.failed(s)
}

// Status is how far the work has come.
func (cb *CommandBuffer) Status() Status {
	return Status(cb.q.d.word(objc.CommandBufferStatus, cb.id))
}

// Err is the *Error of work that failed, nil while it has not.
func (cb *CommandBuffer) Err() error {
	s := cb.q.d.enter()
	defer s.leave()
	return cb.failed(s)
}

func (cb *CommandBuffer) failed(s scope) error {
	if Status(s.Send(objc.CommandBufferStatus, cb.id)) != Failed {
		return nil
	}
	id := s.Send(objc.CommandBufferError, cb.id)
	e := failure(s.Caller, fmt.Sprintf("command buffer %q", cb.op), id)
	e.Encoders = encoderStatus(s.Caller, id)
	return e
}

// GPUTime is when the GPU began and ended the work, in seconds of the system's uptime clock; 0 before
// it has ended.
func (cb *CommandBuffer) GPUTime() (start, end float64) {
	rt := cb.q.d.rt
	return rt.FloatOf(objc.CommandBufferGPUStartTime, cb.id), rt.FloatOf(objc.CommandBufferGPUEndTime, cb.id)
}

// Release gives the command buffer up and recycles it: no method of it may be called afterwards.
// One that was never committed is dropped.
func (cb *CommandBuffer) Release() {
	if cb.id == 0 {
		return
	}
	q := cb.q
	recycle := true
	if cb.ran != nil {
		select {
		case <-cb.ran:
		default:
			recycle = false // Metal's thread will still use it
		}
	}
	q.d.release(&cb.id)
	q.d.rt.Put(cb.c)
	cb.c = nil
	if recycle {
		*cb = CommandBuffer{q: q, signals: cb.signals[:0]}
		q.mu.Lock()
		q.free = append(q.free, cb)
		q.mu.Unlock()
	}
}
