package doctor

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
	"github.com/gollm/gollm/shaders/kerneltest"
)

// TestMain runs nothing where kernels cannot be compiled, and says so; with CI
// set that is a failure.
func TestMain(m *testing.M) {
	if err := emu.CanCompile(); err != nil {
		fmt.Printf("NOT TESTED: gollm doctor on the emulator: %v\n", err)
		if os.Getenv("CI") != "" {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// examine checks an emulated GPU that prepare has done something to.
func examine(t *testing.T, cases []kerneltest.Case, prepare func(*emu.Machine)) *Report {
	t.Helper()
	r, err := Run(t.Context(), Options{
		cases: cases,
		Open: func() (*GPU, error) {
			m, err := emu.Open(emu.Options{Hazards: true})
			if err != nil {
				return nil, err
			}
			prepare(m)
			return &GPU{Device: m.Device(), Emulated: true, Close: m.Close}, nil
		},
		Done: func(c Check) { t.Logf("%+v", c) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHealthyGPU(t *testing.T) {
	r := examine(t, nil, func(*emu.Machine) {})
	ops := map[string]bool{}
	for _, c := range r.Cases {
		ops[c.Op] = true
		if c.Failure != "" || c.Values == 0 || !(c.Seconds > 0) {
			t.Errorf("%+v", c)
		}
	}
	if r.Metal != "emulator" || r.Failures() != 0 || len(ops) < 15 || len(r.Checks) != 6+len(ops) {
		t.Errorf("%d ops, %+v", len(ops), r)
	}
	for _, c := range r.Checks {
		if c.Status != OK || c.Detail == "" {
			t.Errorf("%+v", c)
		}
	}
}

// TestSickGPU is a GPU whose second command buffer fails, and one that breaks a rule.
func TestSickGPU(t *testing.T) {
	few := kerneltest.Cases()[:2]
	r := examine(t, few, func(m *emu.Machine) { m.Inject(emu.PageFault, 1) })
	if r.Failures() != 1 {
		t.Errorf("%d failures", r.Failures())
	}
	for _, c := range r.Checks {
		if c.Status == Failed && (!strings.HasPrefix(c.Name, "kernel ") || !strings.Contains(c.Detail, "Fault")) {
			t.Errorf("%+v", c)
		}
	}
	r = examine(t, few, func(m *emu.Machine) {
		if _, err := m.Device().NewBuffer(16, metal.Shared); err != nil { // and never released
			t.Fatal(err)
		}
	})
	if last := r.Checks[len(r.Checks)-1]; r.Failures() != 1 || last.Name != "rules" || last.Status != Failed {
		t.Errorf("a leak: %+v", r.Checks)
	}
}

func TestNoGPUIsSkipped(t *testing.T) {
	r, err := Run(t.Context(), Options{Open: func() (*GPU, error) { return nil, metal.ErrUnavailable }, Done: func(Check) {}})
	if err != nil || len(r.Checks) != 1 || r.Checks[0].Status != Skipped || r.Metal != "none" {
		t.Errorf("%+v, %v", r, err)
	}
}
