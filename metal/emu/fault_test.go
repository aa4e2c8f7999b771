package emu

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gollm/gollm/metal"
)

var one = metal.Size{Width: 1, Height: 1, Depth: 1}

// empty commits and waits for a command buffer of two encoders, the second one named.
func empty(t *testing.T, q *metal.Queue) error {
	t.Helper()
	cb := must[*metal.CommandBuffer](t)(q.CommandBuffer())
	defer cb.Release()
	cb.SetLabel("token")
	for _, label := range []string{"attention", "ffn"} {
		if err := cb.Compute(metal.ComputeOptions{Label: label}, func(*metal.ComputeEncoder) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	return cb.Wait()
}

// Each fault is an error to the caller, in Metal's words.
func TestFaults(t *testing.T) {
	for _, f := range []struct {
		name  string
		fault Fault
		code  int
		text  string
		lasts bool // all later work fails too
	}{
		{"out of memory", OutOfMemory, metal.CodeOutOfMemory, "Insufficient Memory", false},
		{"timeout", Timeout, metal.CodeTimeout, "Caused GPU Timeout Error", false},
		{"page fault", PageFault, metal.CodePageFault, "Caused GPU Address Fault Error", false},
		{"submissions ignored", SubmissionsIgnored, metal.CodeIgnored, "kIOGPUCommandBufferCallbackErrorSubmissionsIgnored", true},
		{"interactivity", Interactivity, metal.CodeInternal, "Impacting Interactivity", false},
		{"device removed", DeviceRemoved, metal.CodeDeviceRemoved, "Device was removed", true},
		{"internal", Internal, metal.CodeInternal, "Internal Error", false},
	} {
		t.Run(f.name, func(t *testing.T) {
			m := fake(t, Options{})
			q := newQueue(t, m.Device(), metal.QueueOptions{EncoderStatus: true})
			m.Inject(f.fault, 1)
			if err := empty(t, q); err != nil {
				t.Fatalf("the one before: %v", err)
			}
			err := empty(t, q)
			var e *metal.Error
			if !errors.As(err, &e) || e.Code != f.code || e.Domain != commandBufferDomain || !strings.Contains(e.Text, f.text) ||
				!strings.Contains(err.Error(), `command buffer "token"`) {
				t.Fatalf("%v", err)
			}
			if len(e.Encoders) != 2 || e.Encoders[0].Label != "attention" || e.Encoders[1].State != metal.EncoderPending {
				t.Errorf("encoders %v", e.Encoders)
			}
			if after := empty(t, q); (after != nil) != f.lasts {
				t.Errorf("the one after: %v", after)
			}
		})
	}
}

// A fault of the kernel names the encoder, the kernel, the argument and the thread.
func TestKernelFault(t *testing.T) {
	m := fake(t, Options{})
	d := m.Device()
	p := pipe(t, fakes(t, d), d, "outside", nil, metal.PipelineOptions{})
	x := newBuffer(t, d, 1, 2, 3, 4)
	err := run(t, newQueue(t, d, metal.QueueOptions{EncoderStatus: true}), metal.ComputeOptions{Label: "enc"}, func(e *metal.ComputeEncoder) {
		e.SetPipeline(p)
		e.SetBuffer(0, x, 0)
		e.DispatchThreads(one, one)
	})
	if err == nil || !strings.Contains(err.Error(), `buffer-bounds: kernel "outside", argument "x" [[0]], thread [0 0 0]`) ||
		!strings.Contains(err.Error(), `encoder "enc" faulted`) {
		t.Errorf("%v", err)
	}
	if v := m.TakeViolations(); len(v) != 1 || v[0].Rule != "buffer-bounds" {
		t.Errorf("violations %v", v)
	}
}

func TestWorkingSetTooLarge(t *testing.T) {
	chip, err := ChipNamed("M1", 0)
	if err != nil {
		t.Fatal(err)
	}
	chip.WorkingSet = 64 << 10
	m := fake(t, Options{Chip: chip})
	d := m.Device()
	q := newQueue(t, d, metal.QueueOptions{})
	r := must[*metal.ResidencySet](t)(d.NewResidencySet("weights", 1))
	defer r.Release()
	big := must[*metal.Buffer](t)(d.NewBuffer(80<<10, metal.Shared))
	defer big.Release()
	r.Add(big)
	r.Commit()
	if err := empty(t, q); err != nil {
		t.Errorf("without the set: %v", err)
	}
	q.AddResidencySet(r)
	var e *metal.Error
	if err := empty(t, q); !errors.As(err, &e) || e.Code != metal.CodeOutOfMemory {
		t.Errorf("with the set: %v", err)
	}
	q.RemoveResidencySet(r)
}

func TestMemoryRunsOut(t *testing.T) {
	chip, err := ChipNamed("M1", 8*gib)
	if err != nil {
		t.Fatal(err)
	}
	chip.Memory = 1 << 20
	d := fake(t, Options{Chip: chip}).Device()
	a := must[*metal.Buffer](t)(d.NewBuffer(600<<10, metal.Shared))
	if _, err := d.NewBuffer(600<<10, metal.Shared); err == nil || !strings.Contains(err.Error(), "614400 bytes") {
		t.Errorf("%v", err)
	}
	a.Release()
	b := must[*metal.Buffer](t)(d.NewBuffer(600<<10, metal.Shared))
	b.Release()
	if n := d.AllocatedSize(); n != 0 {
		t.Errorf("%d bytes allocated still", n)
	}
}

func TestWatchdog(t *testing.T) {
	m := fake(t, Options{Watchdog: 20 * time.Millisecond})
	d := m.Device()
	p := pipe(t, fakes(t, d), d, "endless", nil, metal.PipelineOptions{})
	err := run(t, newQueue(t, d, metal.QueueOptions{}), metal.ComputeOptions{}, func(e *metal.ComputeEncoder) {
		e.SetPipeline(p)
		e.DispatchThreads(metal.Size{Width: 2, Height: 1, Depth: 1}, one)
	})
	var e *metal.Error
	if !errors.As(err, &e) || e.Code != metal.CodeTimeout {
		t.Errorf("%v", err)
	}
}
