package emu

import (
	"time"

	"github.com/gollm/gollm/metal/internal/objc"
)

// Fault is a failure of the GPU that a program must live with.
type Fault int

const (
	OutOfMemory        Fault = iota + 1 // the working set did not fit
	Timeout                             // the watchdog ended it
	PageFault                           // an address nothing is mapped at
	SubmissionsIgnored                  // after errors: this and all later work of the process is refused
	Interactivity                       // the GPU was held too long for the display
	DeviceRemoved                       // this and all later work fails
	Internal
)

// faultErrors are the errors as Metal words them.
var faultErrors = map[Fault]nsError{
	OutOfMemory:        {code: objc.MTLCommandBufferErrorOutOfMemory, text: "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"},
	Timeout:            {code: objc.MTLCommandBufferErrorTimeout, text: "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)"},
	PageFault:          {code: objc.MTLCommandBufferErrorPageFault, text: "Caused GPU Address Fault Error (0000000b:kIOGPUCommandBufferCallbackErrorPageFault)"},
	SubmissionsIgnored: {code: objc.MTLCommandBufferErrorAccessRevoked, text: "Ignored (for causing prior/excessive GPU errors) (00000004:kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)"},
	Interactivity:      {code: objc.MTLCommandBufferErrorInternal, text: "Impacting Interactivity (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)"},
	DeviceRemoved:      {code: objc.MTLCommandBufferErrorDeviceRemoved, text: "Device was removed"},
	Internal:           {code: objc.MTLCommandBufferErrorInternal, text: "Internal Error (0000000e:Internal Error)"},
}

func (f Fault) error() *nsError {
	e := faultErrors[f]
	e.domain = commandBufferDomain
	return &e
}

const commandBufferDomain = "MTLCommandBufferErrorDomain"

type pendingFault struct {
	fault Fault
	after int
}

// Inject makes a command buffer fail: the next to run, after skip others.
func (m *Machine) Inject(f Fault, skip int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, pendingFault{f, skip})
}

// nextFault decides whether the command buffer about to run fails.
func (m *Machine) nextFault() (f Fault, ok bool) {
	at := -1
	for i := range m.faults {
		if m.faults[i].after == 0 && at < 0 {
			at = i
		}
		m.faults[i].after--
	}
	if at >= 0 {
		f, ok = m.faults[at].fault, true
		m.faults = append(m.faults[:at], m.faults[at+1:]...)
	}
	switch {
	case m.removed:
		return DeviceRemoved, true
	case m.ignoring:
		return SubmissionsIgnored, true
	}
	m.removed = m.removed || f == DeviceRemoved
	m.ignoring = m.ignoring || f == SubmissionsIgnored
	return f, ok
}

// waitFor waits with mu held until done, for at most ms milliseconds, or until the machine closes.
func (m *Machine) waitFor(ms uintptr, done func() bool) bool {
	if done() {
		return true
	}
	end := time.Now().Add(time.Duration(min(ms, 1<<31)) * time.Millisecond)
	timer := time.AfterFunc(time.Until(end), func() {
		m.mu.Lock() // so that it cannot come between the test of the time and Wait
		defer m.mu.Unlock()
		m.changed.Broadcast()
	})
	defer timer.Stop()
	for !done() {
		if m.closing || !time.Now().Before(end) {
			return false
		}
		m.changed.Wait()
	}
	return true
}
