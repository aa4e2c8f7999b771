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

// long has tests do all they can: every family every way, every quantisation.
var long = os.Getenv("GOLLM_LONG") != ""

// device is this system's GPU or, where there is none, the emulator's; then m is
// the machine.
func device(t *testing.T) (d *metal.Device, m *emu.Machine) {
	t.Helper()
	d, err := metal.Open()
	if err == nil {
		t.Cleanup(d.Release)
		if !d.Supports(metal.Apple7) { // a virtual machine's
			t.Skipf("the kernels need a GPU of family Apple7 or later; this is %s", d.Name())
		}
		return d, nil
	}
	if !errors.Is(err, metal.ErrUnavailable) {
		t.Fatal(err)
	}
	m = machine(t, emu.Options{Hazards: true, Races: os.Getenv("GOLLM_RACES") != ""})
	return m.Device(), m
}

// machine is an emulated GPU that takes this system's mappings of files. Where kernels
// cannot be compiled the test is skipped; with CI set that is a failure.
func machine(t *testing.T, o emu.Options) *emu.Machine {
	t.Helper()
	canCompile(t)
	o.PageSize = os.Getpagesize()
	return emu.Test(t, o)
}

func canCompile(t *testing.T) {
	t.Helper()
	err := emu.CanCompile()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		fmt.Println("NOT TESTED: Metal executor:", err)
		t.Skip(err)
	}
}

// config is the executor's. The bound is what float32 leaves of sums in an order
// that is not the reference's, and of the fast functions.
func config(t *testing.T) exectest.Config {
	d, _ := device(t)
	return exectest.Config{
		Slow:      !long,
		New:       func() program.Executor { return New(d, nil) },
		Bound:     1e-4,
		StepBound: 1e-3, // keys and values that round to other halves
		Reads:     func(typ gguf.Type) bool { _, ok := shaders.TypeNamed(typ.String()); return ok },
	}
}

func TestOps(t *testing.T) {
	c := config(t)
	if race {
		c.Every = 10
	}
	exectest.Run(t, c)
}

func TestConcurrent(t *testing.T) { exectest.Concurrent(t, config(t)) }
func TestStepSizes(t *testing.T)  { exectest.StepSizes(t, config(t)) }
func TestErrors(t *testing.T)     { exectest.Errors(t, config(t)) }

// TestAllocations counts what a step allocates, on a device that allocates nothing
// itself.
func TestAllocations(t *testing.T) {
	if race {
		t.Skip("under the race detector sync.Pool forgets, and so allocates")
	}
	d, err := emu.Mute()
	if err != nil {
		t.Fatal(err)
	}
	exectest.Allocations(t, exectest.Config{New: func() program.Executor { return New(d, nil) }})
}
