package gpu

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal/emu"
)

// muteLlama is a llama of so many layers on a device that does nothing, and a step
// of one token.
func muteLlama(tb testing.TB, layers int) (*runner, *program.Step) {
	tb.Helper()
	f := archtest.Named(tb, "llama-dense").Deep(layers).Open(tb, 1)
	p := archtest.Program(tb, f, 64)
	d, err := emu.Mute()
	if err != nil {
		tb.Fatal(err)
	}
	e := New(d, f.Mappings())
	tb.Cleanup(func() { e.Close() })
	memory, err := program.NewKVMemory(e, p.KV, gguf.F16, 32, 2)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := e.Compile(p, memory, program.Limits{Tokens: 8, Outputs: 1})
	if err != nil {
		tb.Fatal(err)
	}
	return r.(*runner), &program.Step{Tokens: []int32{5}, Positions: []int32{40}, Sequences: []int32{0}, Tables: [][]int32{{1, 0}}, Outputs: []int32{0}}
}

// BenchmarkToken is the host's part of a generated token of 32 layers: everything
// but the GPU's work, and what Metal does in a message.
func BenchmarkToken(b *testing.B) {
	for _, fed := range []bool{false, true} {
		name := "run"
		if fed {
			name = "feed"
		}
		b.Run(name, func(b *testing.B) {
			r, s := muteLlama(b, 32)
			next := *s
			if fed {
				if err := r.Feed(s); err != nil {
					b.Fatal(err)
				}
				next.Tokens = nil
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := token(r, &next, fed); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(r.latest().launches)), "launches")
		})
	}
}

// token runs a step, or feeds it ahead and waits for the one before.
func token(r *runner, s *program.Step, fed bool) error {
	if !fed {
		return r.Run(s)
	}
	if err := r.Feed(s); err != nil {
		return err
	}
	_, err := r.Picked()
	return err
}

// latest is the plan used last.
func (r *runner) latest() (last *plan) {
	for _, p := range r.plans {
		if last == nil || p.used > last.used {
			last = p
		}
	}
	return last
}

// TestMessages counts what Metal is sent for plans.
func TestMessages(t *testing.T) {
	f, p := archtest.Stories(t)
	m := machine(t, emu.Options{})
	e := New(m.Device(), f.Mappings())
	defer e.Close()
	memory, err := program.NewKVMemory(e, p.KV, gguf.F16, 32, 4)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := e.newRunner(p, memory, program.Limits{Tokens: 40, Outputs: 1})
	if err != nil {
		t.Fatal(err)
	}
	// The least of several: the residency set's heartbeat sends messages, too.
	count := func(p *plan) int {
		least := math.MaxInt
		for range 4 {
			before := m.Stats().Messages
			cb, err := compiled.encode(p, 0, 1)
			if err != nil {
				t.Fatal(err)
			}
			least = min(least, m.Stats().Messages-before)
			cb.Release()
		}
		return least
	}
	beside := count(&plan{parts: []int{0}}) // what every command buffer takes
	for _, s := range []shape{{1, 1, 1, 0, true}, {1, 1, 64, 0, false}, {3, 1, 1, 0, false}, {40, 1, 2, 2, false}} {
		p, err := compiled.planOf(s)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, n := range p.messages() {
			sum += n
		}
		got := count(p) - beside
		t.Logf("%+v: %d launches, %d messages", s, len(p.launches), got)
		if got != sum {
			t.Errorf("%+v: %d messages, counted ahead %d", s, got, sum)
		}
	}
}

// TestTokenAllocatesNothing counts what a generated token allocates, on a device
// that allocates nothing itself.
func TestTokenAllocatesNothing(t *testing.T) {
	for _, fed := range []bool{false, true} {
		r, s := muteLlama(t, 3)
		next := *s
		if fed {
			if err := r.Feed(s); err != nil {
				t.Fatal(err)
			}
			next.Tokens = nil
		}
		n := testing.AllocsPerRun(100, func() {
			if err := token(r, &next, fed); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 && !race {
			t.Errorf("fed %v: %v allocations a token", fed, n)
		}
	}
}

// TestShowCompiling compiles kernels that take long together.
func TestShowCompiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := kernels{}
		k.counter(3)() // nobody is told
		var told []string
		k.progress = func(done, total int) { told = append(told, fmt.Sprintf("%d/%d", done, total)) }
		quick := k.counter(3)
		for range 3 {
			quick()
		}
		if told != nil {
			t.Errorf("told of three quick ones: %v", told)
		}
		done := k.counter(5)
		for range 5 {
			time.Sleep(patience/2 + time.Millisecond)
			done()
		}
		if want := []string{"2/5", "3/5", "4/5", "5/5"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}
