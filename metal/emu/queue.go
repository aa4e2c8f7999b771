package emu

import (
	"fmt"
	"slices"

	"github.com/gollm/gollm/metal/internal/objc"
)

// queue is the data of an MTLCommandQueue.
type queue struct {
	obj        *object
	max        int
	order      []*commandBuffer // enqueued or committed, in the order they will run
	unfinished []*commandBuffer // made and not completed
	sets       []*object        // residency sets
	gone       bool
	committed  int // how many command buffers were
	seen       int // how many the program has seen completed
}

func (q *queue) dealloc(m *Machine) {
	q.gone = true
	m.queues = slices.DeleteFunc(m.queues, func(o *queue) bool { return o == q })
	for _, s := range q.sets {
		m.drop(s)
	}
	m.changed.Broadcast()
}

// commandBuffer is the data of an MTLCommandBuffer.
type commandBuffer struct {
	obj       *object
	q         *queue
	maker     string // the goroutine
	retains   bool   // what it uses
	explain   bool   // MTLCommandBufferErrorOptionEncoderExecutionStatus
	status    int
	steps     []step // encoders, signals and waits in order
	open      *encoder
	uses      map[*object]bool
	sets      []*object
	handlers  []uintptr
	broken    *Violation     // the first rule broken while encoding it
	err       *object        // NSError
	number    int            // among the queue's committed
	seen      map[*queue]int // queue.seen at commit
	startTime float64
	endTime   float64
}

// A step is one of: an encoder's commands, an event to signal, an event to wait for.
type step struct {
	encoder *encoder
	event   *object
	value   uint64
	wait    bool
}

func (cb *commandBuffer) breakWith(v *Violation) {
	if cb.broken == nil {
		cb.broken = v
	}
}

func (cb *commandBuffer) committed() bool { return cb.status >= objc.MTLCommandBufferStatusCommitted }

// use notes that the command buffer needs an object, and keeps it alive if it is one that does.
func (cb *commandBuffer) use(m *Machine, o *object) {
	if o != nil && !cb.uses[o] {
		cb.uses[o] = true
		if cb.retains {
			m.hold(o)
		}
	}
}

// finish gives back what the command buffer used.
func (cb *commandBuffer) finish(m *Machine) {
	q := cb.q
	q.unfinished = slices.DeleteFunc(q.unfinished, func(o *commandBuffer) bool { return o == cb })
	q.order = slices.DeleteFunc(q.order, func(o *commandBuffer) bool { return o == cb })
	if cb.retains {
		for o := range cb.uses {
			m.drop(o)
		}
	}
	for _, s := range cb.sets {
		m.drop(s)
	}
	for _, s := range cb.steps {
		m.drop(s.event)
		if s.encoder != nil {
			s.encoder.commands, s.encoder.knows = nil, nil
		}
	}
	cb.uses, cb.sets, cb.steps = nil, nil, nil
	m.changed.Broadcast()
}

func (cb *commandBuffer) dealloc(m *Machine) {
	if cb.status < objc.MTLCommandBufferStatusCompleted {
		cb.finish(m) // never committed
	}
	m.drop(cb.err)
	m.drop(cb.q.obj)
}

// usedUnretained finds a command buffer that still needs an object and does not keep it alive.
func (m *Machine) usedUnretained(o *object) *commandBuffer {
	for _, q := range m.queues {
		for _, cb := range q.unfinished {
			if !cb.retains && cb.committed() && cb.uses[o] {
				return cb
			}
		}
	}
	return nil
}

// recording is the command buffer a message is sent to, if it may still be encoded into.
func (c *call) recording() (*commandBuffer, bool) {
	cb := c.self.data.(*commandBuffer)
	if cb.committed() {
		c.broke(AfterCommit, "the command buffer was committed")
		return cb, false
	}
	return cb, true
}

var queueHandlers = map[objc.Message]func(*call) uintptr{
	objc.DeviceNewCommandQueueWithMaxCommandBufferCount: func(c *call) uintptr {
		n := int(c.args[0].word)
		if n < 1 {
			c.broke(ZeroSize, "a queue of %d command buffers", n)
			return 0
		}
		q := &queue{max: n}
		q.obj = c.m.add("MTLCommandQueue", q)
		c.m.queues = append(c.m.queues, q)
		c.m.gpus.Add(1)
		go c.m.runQueue(q)
		return q.obj.id
	},
	objc.CommandQueueSetLabel: setLabel,
	objc.CommandQueueAddResidencySet: func(c *call) uintptr {
		q, set := c.self.data.(*queue), c.args[0].obj
		if !c.need(0) || slices.Contains(q.sets, set) {
			return 0
		}
		if len(q.sets) == maxResidencySets {
			c.broke(ResidencyLimit, "the queue has %d residency sets, the most it takes", len(q.sets))
			return 0
		}
		q.sets = append(q.sets, c.m.hold(set))
		return 0
	},
	objc.CommandQueueRemoveResidencySet: func(c *call) uintptr {
		q, set := c.self.data.(*queue), c.args[0].obj
		if c.need(0) && slices.Contains(q.sets, set) {
			q.sets = slices.DeleteFunc(q.sets, func(o *object) bool { return o == set })
			c.m.drop(set)
		}
		return 0
	},
	objc.CommandBufferDescriptorSetRetainedReferences: setProperty,
	objc.CommandBufferDescriptorSetErrorOptions:       setProperty,
	objc.CommandQueueCommandBufferWithDescriptor:      newCommandBuffer,

	objc.CommandBufferSetLabel: setLabel,
	objc.CommandBufferEnqueue: func(c *call) uintptr {
		if cb, ok := c.recording(); ok && cb.status == objc.MTLCommandBufferStatusNotEnqueued {
			cb.status = objc.MTLCommandBufferStatusEnqueued
			cb.q.order = append(cb.q.order, cb)
		}
		return 0
	},
	objc.CommandBufferCommit: commit,
	objc.CommandBufferAddCompletedHandler: func(c *call) uintptr {
		if cb, ok := c.recording(); ok && c.need(0) {
			cb.handlers = append(cb.handlers, c.args[0].word)
		}
		return 0
	},
	objc.CommandBufferWaitUntilCompleted: func(c *call) uintptr {
		cb := c.self.data.(*commandBuffer)
		if !cb.committed() {
			c.broke(WaitUncommitted, "it would wait for ever")
			return 0
		}
		for cb.status < objc.MTLCommandBufferStatusCompleted {
			c.m.changed.Wait()
		}
		cb.observed()
		return 0
	},
	objc.CommandBufferStatus: func(c *call) uintptr {
		cb := c.self.data.(*commandBuffer)
		cb.observed()
		return uintptr(cb.status)
	},
	objc.CommandBufferError: func(c *call) uintptr {
		if e := c.self.data.(*commandBuffer).err; e != nil {
			return c.lend(e)
		}
		return 0
	},
	objc.CommandBufferGPUStartTime: func(c *call) uintptr {
		c.float = c.self.data.(*commandBuffer).startTime
		return 0
	},
	objc.CommandBufferGPUEndTime: func(c *call) uintptr {
		c.float = c.self.data.(*commandBuffer).endTime
		return 0
	},
	objc.CommandBufferEncoderInfoLabel: func(c *call) uintptr {
		return c.autorelease(c.m.string(c.self.label)).id
	},
	objc.CommandBufferEncoderInfoErrorState: func(c *call) uintptr { return uintptr(c.self.data.(int)) },

	objc.CommandBufferEncodeSignalEvent:  eventStep,
	objc.CommandBufferEncodeWaitForEvent: eventStep,
	objc.CommandBufferUseResidencySet: func(c *call) uintptr {
		cb, ok := c.recording()
		switch {
		case !ok || !c.need(0) || slices.Contains(cb.sets, c.args[0].obj):
		case len(cb.sets) == maxResidencySets:
			c.broke(ResidencyLimit, "the command buffer has %d residency sets, the most it takes", len(cb.sets))
		default:
			cb.sets = append(cb.sets, c.m.hold(c.args[0].obj))
		}
		return 0
	},
}

// eventStep is encodeSignalEvent:value: and encodeWaitForEvent:value:.
func eventStep(c *call) uintptr {
	cb, ok := c.recording()
	if !ok || !c.need(0) {
		return 0
	}
	if cb.open != nil {
		c.broke(EncoderOpen, "%s has not ended", cb.open.obj)
		return 0
	}
	cb.steps = append(cb.steps, step{event: c.m.hold(c.args[0].obj), value: uint64(c.args[1].word),
		wait: c.msg == objc.CommandBufferEncodeWaitForEvent})
	return 0
}

func newCommandBuffer(c *call) uintptr {
	m, q := c.m, c.self.data.(*queue)
	desc := c.args[0].obj
	me := goroutine()
	for len(q.unfinished) >= q.max {
		// Others may commit theirs while this one waits.
		if !slices.ContainsFunc(q.unfinished, func(cb *commandBuffer) bool { return cb.committed() || cb.maker != me }) {
			c.broke(QueueFull, "%d command buffers of this goroutine's are unfinished and none is committed: this would block for ever", q.max)
			return 0
		}
		m.changed.Wait()
	}
	cb := &commandBuffer{q: q, maker: me, retains: true, uses: map[*object]bool{}}
	if desc != nil {
		if v, ok := desc.props[objc.CommandBufferDescriptorSetRetainedReferences]; ok {
			cb.retains = byte(v.word) != 0
		}
		cb.explain = desc.props[objc.CommandBufferDescriptorSetErrorOptions].word != 0
	}
	cb.obj = m.add("MTLCommandBuffer", cb)
	m.hold(q.obj)
	q.unfinished = append(q.unfinished, cb)
	return c.autorelease(cb.obj).id
}

func commit(c *call) uintptr {
	m := c.m
	cb, ok := c.recording()
	if !ok {
		return 0
	}
	if cb.open != nil {
		c.broke(EncoderOpen, "%s has not ended", cb.open.obj)
		return 0
	}
	for _, s := range append(slices.Clone(cb.q.sets), cb.sets...) {
		if s.data.(*residencySet).dirty {
			c.broke(ResidencyCommit, "%s has changes not committed", s)
		}
	}
	if !cb.retains {
		for o := range cb.uses {
			if o.refs <= 0 && !o.fixed {
				c.broke(ReleasedInUse, "it uses %s, which was released, and does not retain what it uses", o)
			}
		}
	}
	if cb.status == objc.MTLCommandBufferStatusNotEnqueued {
		cb.q.order = append(cb.q.order, cb)
	}
	cb.status = objc.MTLCommandBufferStatusCommitted
	cb.q.committed++
	cb.number = cb.q.committed
	if m.opt.Hazards {
		cb.seen = map[*queue]int{}
		for _, q := range m.queues {
			cb.seen[q] = q.seen
		}
	}
	m.hold(cb.obj)
	m.changed.Broadcast()
	return 0
}

// residencySet is the data of an MTLResidencySet. What is staged counts at commit.
type residencySet struct {
	now, staged map[*object]bool
	dirty       bool
	requested   bool
}

func (r *residencySet) dealloc(m *Machine) {
	for o := range r.now {
		m.drop(o)
	}
	for o := range r.staged {
		m.drop(o)
	}
}

func (r *residencySet) size(m *Machine) (n int64) {
	for o := range r.now {
		n += o.data.(*buffer).size(m.opt.PageSize)
	}
	return n
}

var residencyHandlers = map[objc.Message]func(*call) uintptr{
	objc.ResidencySetDescriptorSetLabel:           setLabel,
	objc.ResidencySetDescriptorSetInitialCapacity: setProperty,
	objc.DeviceNewResidencySetWithDescriptor: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		o := c.m.add("MTLResidencySet", &residencySet{now: map[*object]bool{}, staged: map[*object]bool{}})
		o.label = c.args[0].obj.label
		return o.id
	},
	objc.ResidencySetAddAllocation: func(c *call) uintptr {
		r, o := c.self.data.(*residencySet), c.args[0].obj
		if c.need(0) && !r.staged[o] {
			r.staged[c.m.hold(o)] = true
			r.dirty = true
		}
		return 0
	},
	objc.ResidencySetRemoveAllocation: func(c *call) uintptr {
		r, o := c.self.data.(*residencySet), c.args[0].obj
		if c.need(0) && r.staged[o] {
			delete(r.staged, o)
			c.m.drop(o)
			r.dirty = true
		}
		return 0
	},
	objc.ResidencySetRemoveAllAllocations: func(c *call) uintptr {
		r := c.self.data.(*residencySet)
		for o := range r.staged {
			delete(r.staged, o)
			c.m.drop(o)
			r.dirty = true
		}
		return 0
	},
	objc.ResidencySetCommit: func(c *call) uintptr {
		r := c.self.data.(*residencySet)
		old := r.now
		r.now = map[*object]bool{}
		for o := range r.staged {
			r.now[c.m.hold(o)] = true
		}
		for o := range old {
			c.m.drop(o)
		}
		r.dirty = false
		return 0
	},
	objc.ResidencySetRequestResidency: func(c *call) uintptr {
		r := c.self.data.(*residencySet)
		if r.dirty {
			c.broke(ResidencyCommit, "residency requested with changes not committed")
		}
		r.requested = true
		return 0
	},
	objc.ResidencySetEndResidency: func(c *call) uintptr {
		c.self.data.(*residencySet).requested = false
		return 0
	},
	objc.ResidencySetAllocatedSize: func(c *call) uintptr {
		return uintptr(c.self.data.(*residencySet).size(c.m))
	},
}

// infos is the userInfo of a command buffer's error: what became of its encoders.
func (m *Machine) infos(cb *commandBuffer) *object {
	if !cb.explain {
		return nil
	}
	var list []*object
	for _, s := range cb.steps {
		if s.encoder != nil {
			o := m.add("MTLCommandBufferEncoderInfo", s.encoder.state)
			o.label, o.refs = s.encoder.obj.label, 0
			list = append(list, o)
		}
	}
	a := m.array(list)
	d := m.add("NSDictionary", &nsDictionary{[]*object{m.hold(m.encoderInfos)}, []*object{m.owned(a)}})
	return m.owned(d)
}

func (cb *commandBuffer) String() string { return fmt.Sprint(cb.obj) }
