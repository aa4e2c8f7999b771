package ref_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/gollm/gollm/engine/internal/exec/exectest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/engine/internal/program"
)

// The bound is what float32 leaves of sums of a few thousand products.
var config = exectest.Config{New: func() program.Executor { return ref.New(3) }, Bound: 1e-5}

func TestOps(t *testing.T)         { exectest.Run(t, config) }
func TestAllocations(t *testing.T) { exectest.Allocations(t, config) }
func TestConcurrent(t *testing.T)  { exectest.Concurrent(t, config) }
func TestStepSizes(t *testing.T)   { exectest.StepSizes(t, config) }
func TestErrors(t *testing.T)      { exectest.Errors(t, config) }

// TestOneThread runs the ops without any goroutine beside the caller's.
func TestOneThread(t *testing.T) {
	one := config
	one.New = func() program.Executor { return ref.New(1) }
	exectest.Run(t, one)
}

func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	e := ref.New(5)
	if n := runtime.NumGoroutine() - before; n != 4 {
		t.Errorf("%d goroutines beside the caller's, want 4", n)
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Close waits for the goroutines' last statement; they are gone a moment
	// later.
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left after Close, %d before New", runtime.NumGoroutine(), before)
}
