package cpu_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/gollm/gollm/engine/internal/exec/cpu"
	"github.com/gollm/gollm/engine/internal/exec/cpu/kernel"
	"github.com/gollm/gollm/engine/internal/exec/exectest"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// bound is what activations of 15 bits with a scale for each 32 leave; see
// kernel's tests, where it is that of a single product.
const bound = 1e-3

// precise is what float32 leaves of sums of a few thousand products.
const precise = 1e-5

// configs runs f with every kind of kernels this machine has, as they are used
// and precise.
func configs(t *testing.T, f func(t *testing.T, c exectest.Config)) {
	sets := kernel.Sets()
	if race {
		sets = sets[:1]
	}
	eachOf(t, sets, f)
}

// best is configs with the kernels that New picks, for what does not depend on
// them.
func best(t *testing.T, f func(t *testing.T, c exectest.Config)) { eachOf(t, kernel.Sets()[:1], f) }

func eachOf(t *testing.T, sets []*kernel.Set, f func(t *testing.T, c exectest.Config)) {
	for _, set := range sets {
		for _, o := range []cpu.Options{{Kernels: set}, {Kernels: set, Precise: true}} {
			if !o.Precise && !set.Integer(gguf.Q8_0) {
				continue // nothing is rounded
			}
			c := exectest.Config{New: func() program.Executor { return cpu.New(3, o) }, Bound: bound}
			name := set.Name
			if o.Precise {
				c.Bound = precise
				name += "_precise"
			}
			t.Run(name, func(t *testing.T) { f(t, c) })
		}
	}
}

func TestOps(t *testing.T)         { configs(t, exectest.Run) }
func TestAllocations(t *testing.T) { best(t, exectest.Allocations) }
func TestConcurrent(t *testing.T)  { best(t, exectest.Concurrent) }
func TestErrors(t *testing.T)      { best(t, exectest.Errors) }

// TestOneThread runs the ops without any goroutine beside the caller's.
func TestOneThread(t *testing.T) {
	exectest.Run(t, exectest.Config{New: func() program.Executor { return cpu.New(1, cpu.Options{}) }, Bound: bound})
}

func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	e := cpu.New(0, cpu.Options{})
	if n := runtime.NumGoroutine() - before; n != e.Threads()-1 {
		t.Errorf("%d goroutines beside the caller's of %d threads", n, e.Threads())
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left after Close, %d before New", runtime.NumGoroutine(), before)
}
