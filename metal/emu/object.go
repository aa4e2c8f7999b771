package emu

import (
	"fmt"
	"slices"

	"github.com/gollm/gollm/metal/internal/objc"
)

// parents gives each class and protocol what it conforms to besides NSObject.
var parents = map[string][]string{
	"MTLResource":              {"MTLAllocation"},
	"MTLBuffer":                {"MTLResource"},
	"MTLSharedEvent":           {"MTLEvent"},
	"MTLComputeCommandEncoder": {"MTLCommandEncoder"},
	"MTLBlitCommandEncoder":    {"MTLCommandEncoder"},
}

// conforms tells whether an object of class has answers where want is declared.
func conforms(has, want string) bool {
	if has == want || want == "NSObject" || want == "id" || want == "instancetype" {
		return true
	}
	return slices.ContainsFunc(parents[has], func(p string) bool { return conforms(p, want) })
}

// object is an Objective-C object.
type object struct {
	id    uintptr
	class string // concrete: MTLBuffer for what conforms to the protocol
	label string
	made  site // who made it
	refs  int  // references of the program, autorelease pools' included
	holds int  // references of other objects
	fixed bool // lives for ever: singletons, constants
	data  any  // what it is: *buffer, *queue, …
	props map[objc.Message]value
	isCls bool // a class object; class is its name
}

func (o *object) String() string {
	if o.isCls {
		return "class " + o.class
	}
	if o.label != "" {
		return fmt.Sprintf("%s %q", o.class, o.label)
	}
	return o.class
}

// commandBuffer is the command buffer an object is or belongs to, nil for other objects.
func (o *object) commandBuffer() *commandBuffer {
	switch d := o.data.(type) {
	case *commandBuffer:
		return d
	case *encoder:
		return d.cb
	}
	return nil
}

// value is a property as it was set.
type value struct {
	word uintptr
	obj  *object
}

// tombstone is what is remembered of an object that is gone.
type tombstone struct{ class, label string }

const maxTombstones = 1 << 16

// add makes an object with one reference of the program's. m.mu is held, as for all of this file.
func (m *Machine) add(class string, data any) *object {
	o := &object{id: nextID(), class: class, data: data, refs: 1, made: here()}
	m.objects[o.id] = o
	return o
}

// constant makes an object that lives as long as the machine.
func (m *Machine) constant(class string, data any) *object {
	o := m.add(class, data)
	o.fixed = true
	return o
}

// release takes a reference of the program's away.
func (m *Machine) release(o *object) {
	if o.fixed {
		return
	}
	o.refs--
	if o.refs > 0 {
		return
	}
	if cb := m.usedUnretained(o); cb != nil {
		m.report(&Violation{Rule: ReleasedInUse, Object: o.String(), Caller: caller(),
			Detail: fmt.Sprintf("%s released while command buffer %q, which does not retain what it uses, has not completed", o, cb.obj.label)})
	}
	if e, ok := o.data.(*encoder); ok && !e.ended {
		v := &Violation{Rule: EncoderDropped, Object: o.String(), Caller: caller(),
			Detail: fmt.Sprintf("%s released without endEncoding", o)}
		e.cb.breakWith(v)
		m.report(v)
	}
	m.freeIfUnused(o)
}

func (m *Machine) hold(o *object) *object {
	if o != nil {
		o.holds++
	}
	return o
}

func (m *Machine) drop(o *object) {
	if o != nil {
		o.holds--
		m.freeIfUnused(o)
	}
}

func (m *Machine) freeIfUnused(o *object) {
	if o.refs > 0 || o.holds > 0 || o.fixed {
		return
	}
	delete(m.objects, o.id)
	if len(m.graves) >= maxTombstones {
		clear(m.graves)
	}
	m.graves[o.id] = tombstone{o.class, o.label}
	for _, v := range o.props {
		m.drop(v.obj)
	}
	if d, ok := o.data.(interface{ dealloc(*Machine) }); ok {
		d.dealloc(m)
	}
}

// A pool is one autorelease pool: the objects that lose a reference when it is popped.
type pool struct {
	id      uintptr
	objects []*object
}

// autorelease gives the program's reference to this thread's innermost pool.
func (c *call) autorelease(o *object) *object {
	t := c.m.pools[c.thread]
	if len(t) == 0 {
		c.broke(NoPool, "%s autoreleased on a thread without a pool", o)
		return o
	}
	p := t[len(t)-1]
	p.objects = append(p.objects, o)
	return o
}

func (m *Machine) poolPush(thread int) uintptr {
	p := &pool{id: nextID()}
	m.pools[thread] = append(m.pools[thread], p)
	return p.id
}

func (m *Machine) poolPop(thread int, id uintptr) {
	t := m.pools[thread]
	at := slices.IndexFunc(t, func(p *pool) bool { return p.id == id })
	if at < 0 {
		for other, list := range m.pools {
			if i := slices.IndexFunc(list, func(p *pool) bool { return p.id == id }); i >= 0 {
				m.report(&Violation{Rule: PoolThread, Caller: caller(),
					Detail: fmt.Sprintf("autorelease pool pushed on thread %d popped on thread %d", other, thread)})
				m.drain(other, i)
				return
			}
		}
		m.report(&Violation{Rule: PoolOrder, Caller: caller(), Detail: fmt.Sprintf("no autorelease pool %#x is open", id)})
		return
	}
	if at != len(t)-1 {
		m.report(&Violation{Rule: PoolOrder, Caller: caller(),
			Detail: fmt.Sprintf("autorelease pool popped with %d inner ones still open", len(t)-1-at)})
	}
	m.drain(thread, at)
}

// drain pops a thread's pools from the innermost to index at.
func (m *Machine) drain(thread, at int) {
	for t := m.pools[thread]; len(t) > at; t = m.pools[thread] {
		p := t[len(t)-1]
		if m.pools[thread] = t[:len(t)-1]; len(t) == 1 {
			delete(m.pools, thread)
		}
		for _, o := range p.objects {
			m.release(o)
		}
	}
}
