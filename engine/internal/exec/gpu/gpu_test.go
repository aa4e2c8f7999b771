package gpu

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/gollm/gollm/engine/internal/exec/exectest"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
	"github.com/gollm/gollm/shaders"
)

// device is this system's GPU or, where there is none, the emulator's; then m is
// the machine.
func device(t *testing.T) (d *metal.Device, m *emu.Machine) {
	t.Helper()
	d, err := metal.Open()
	if err == nil {
		t.Cleanup(d.Release)
		return d, nil
	}
	if !errors.Is(err, metal.ErrUnavailable) {
		t.Fatal(err)
	}
	if err := emu.CanCompile(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		fmt.Println("NOT TESTED: Metal executor:", err)
		t.Skip(err)
	}
	m = emu.Test(t, emu.Options{Hazards: true, PageSize: os.Getpagesize()})
	return m.Device(), m
}

// config is the executor's. The bound is what float32 leaves of sums in an order
// that is not the reference's, and of the fast functions.
func config(t *testing.T) exectest.Config {
	d, _ := device(t)
	return exectest.Config{
		New:       func() program.Executor { return New(d, nil) },
		Bound:     1e-4,
		StepBound: 1e-4,
		Reads:     func(typ gguf.Type) bool { _, ok := shaders.TypeNamed(typ.String()); return ok },
	}
}

func TestOps(t *testing.T)         { exectest.Run(t, config(t)) }
func TestAllocations(t *testing.T) { exectest.Allocations(t, config(t)) }
func TestConcurrent(t *testing.T)  { exectest.Concurrent(t, config(t)) }
func TestStepSizes(t *testing.T)   { exectest.StepSizes(t, config(t)) }
func TestErrors(t *testing.T)      { exectest.Errors(t, config(t)) }
