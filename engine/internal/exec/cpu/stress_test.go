package cpu_test

import (
	"io"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gollm/gollm/engine/internal/exec/cpu"
	"github.com/gollm/gollm/engine/internal/exec/exectest"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

var small = shape{2, 512, 8, 2, 1024, 3000}

// TestSignals runs prompts and decoding while the profiler's signals, preemption
// and the garbage collector fall into the kernels: results stay the same to the
// last bit, on goroutines whose stacks have just grown or shrunk.
func TestSignals(t *testing.T) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Log("another profile runs:", err)
	} else {
		defer pprof.StopCPUProfile()
	}
	var stop atomic.Bool
	var group sync.WaitGroup
	group.Go(func() {
		for !stop.Load() {
			runtime.GC()
			_ = make([]byte, 1<<20)
		}
	})
	defer group.Wait()
	defer stop.Store(true)
	for _, c := range []struct {
		typ     gguf.Type
		precise bool // with the decoder
	}{{gguf.Q4_0, false}, {gguf.Q4_K, false}, {gguf.Q6_K, false}, {gguf.F16, false}, {gguf.Q5_1, true}} {
		m := newLlama(t, small, c.typ, 64)
		e := cpu.New(0, cpu.Options{Precise: c.precise})
		for _, n := range []int{1, 40} {
			r, err := e.Compile(m.program, m.pool.Memory(), program.Limits{Tokens: n, Outputs: 1})
			if err != nil {
				t.Fatal(err)
			}
			s := m.step(0, n)
			var want []float32
			for end := time.Now().Add(150 * time.Millisecond); time.Now().Before(end); {
				done := make(chan error)
				go func() { done <- r.Run(s) }() // a fresh stack
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = slices.Clone(r.Result())
					if want[0] != want[0] {
						t.Fatalf("%s, %d tokens: not a number", c.typ, n)
					}
				} else if !slices.Equal(r.Result(), want) {
					t.Fatalf("%s, %d tokens: another result", c.typ, n)
				}
			}
		}
		e.Close()
	}
}

// TestCollectorIsNotStalled measures how long runtime.GC takes while a model
// runs, beside how long it takes while as many goroutines run plain Go. Kernels
// called in a loop without a function between that can be stopped hold it up for 0.4
// to 2.7 s; a busy machine holds up both.
func TestCollectorIsNotStalled(t *testing.T) {
	m := newLlama(t, shape{4, 1024, 16, 4, 4096, 30000}, gguf.Q4_K, 256)
	e := cpu.New(0, cpu.Options{})
	defer e.Close()
	for _, n := range []int{1, 256} {
		r, err := e.Compile(m.program, m.pool.Memory(), program.Limits{Tokens: n, Outputs: 1})
		if err != nil {
			t.Fatal(err)
		}
		s := m.step(0, n)
		var model, plain []time.Duration
		for range 4 { // in turn, for the machine's load may change
			model = append(model, collect(t, 5, 1, func() error { return r.Run(s) })...)
			plain = append(plain, collect(t, 5, e.Threads(), func() error { return nil })...)
		}
		slices.Sort(model)
		slices.Sort(plain)
		t.Logf("%d tokens: runtime.GC takes %v, at most %v; beside plain Go %v, at most %v", n, model[10], model[19], plain[10], plain[19])
		if model[10] > 200*time.Millisecond+10*plain[10] {
			t.Errorf("%d tokens: runtime.GC takes %v, beside plain Go %v: kernels stall it", n, model[10], plain[10])
		}
	}
}

// collect times n runs of the collector while goroutines call run again and again.
func collect(t *testing.T, n, goroutines int, run func() error) (times []time.Duration) {
	var stop atomic.Bool
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for !stop.Load() {
				if err := run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range n {
		start := time.Now()
		runtime.GC()
		times = append(times, time.Since(start))
	}
	stop.Store(true)
	group.Wait()
	return times
}

// TestIdle: workers that have nothing to do sleep.
func TestIdle(t *testing.T) {
	m := newLlama(t, small, gguf.Q4_0, 64)
	e := cpu.New(0, cpu.Options{})
	defer e.Close()
	if e.Threads() == 1 {
		t.Skip("there is one processor: no workers")
	}
	r, err := e.Compile(m.program, m.pool.Memory(), program.Limits{Tokens: 1, Outputs: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // awake, asleep, awakened
		for range 5 {
			if err := r.Run(m.step(0, 1)); err != nil {
				t.Fatal(err)
			}
		}
		for asleep := 0; asleep < e.Threads()-1; asleep = cpu.Asleep(e) {
			time.Sleep(time.Millisecond) // for ever, if they never sleep
		}
	}
}

// TestStepSizes: how tokens come in steps changes sums only by their order. Roundings
// of activations at their edges are what remains.
func TestStepSizes(t *testing.T) { stepSizes(t, 64, 64, 1, 3, 5, 17) }

// TestLongPrompt: prompts whose tokens are divided among workers, too.
func TestLongPrompt(t *testing.T) { stepSizes(t, 250, 250, 50) }

// stepSizes compares the logits after so many tokens that come in steps of each size.
func stepSizes(t *testing.T, tokens int, sizes ...int) {
	configs(t, func(t *testing.T, c exectest.Config) {
		m := newLlama(t, shape{1, 256, 4, 2, 256, 500}, gguf.Q4_K, tokens)
		e := c.New()
		defer e.Close()
		r, err := e.Compile(m.program, m.pool.Memory(), program.Limits{Tokens: tokens, Outputs: 1})
		if err != nil {
			t.Fatal(err)
		}
		all := m.step(0, tokens)
		bound := float32(1e-3)
		if c.Bound == precise {
			bound = 1e-4
		}
		var want []float32
		for _, n := range sizes {
			for at := 0; at < tokens; at += n {
				k := min(n, tokens-at)
				s := m.step(at, k)
				s.Tokens = all.Tokens[at : at+k]
				if err := r.Run(s); err != nil {
					t.Fatal(err)
				}
			}
			if want == nil {
				want = slices.Clone(r.Result())
			}
			size := max(slices.Max(want), -slices.Min(want))
			for i, v := range r.Result() {
				if d := v - want[i]; !(d <= bound*size && d >= -bound*size) {
					t.Fatalf("steps of %d: logit %d is %v, in one step %v", n, i, v, want[i])
				}
			}
		}
	})
}
