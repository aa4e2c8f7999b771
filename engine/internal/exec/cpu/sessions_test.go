package cpu_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/gollm/gollm/engine/internal/exec/cpu"
	"github.com/gollm/gollm/engine/internal/exec/exectest"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// sizes are the steps of a sequence: prompts, and a few tokens, some without a result.
var sizes = [][]int{
	{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
	{20, 1, 1, 1, 1, 1, 1, 1},
	{3, 1, 4, 2, -1, 1, -3, 1, 1, 1},
	{1, 40, 1, 1, 9, 1},
	{5, 1, 1, 1},
	{2, 2, 2, 2, 2, 2, 2},
}

// sequence runs steps of the given sizes, those below 0 without outputs, and calls
// result after each that has some.
func (l *llama) sequence(r program.Runner, first int32, sizes []int, result func([]float32)) error {
	at := 0
	for _, n := range sizes {
		s := l.step(at, max(n, -n))
		for i := range s.Tokens {
			s.Tokens[i] = (first + int32(at+i)*7) % 500
		}
		if n < 0 {
			n, s.Outputs = -n, nil
		}
		if err := r.Run(s); err != nil {
			return err
		}
		if at += n; s.Outputs != nil {
			result(r.Result())
		}
	}
	return nil
}

// TestSessions: sequences that are run at once have, to the last bit, the results they have
// alone, whatever their steps are.
func TestSessions(t *testing.T) {
	configs(t, func(t *testing.T, c exectest.Config) {
		e := c.New()
		defer e.Close()
		types := []gguf.Type{gguf.Q4_0, gguf.Q4_1, gguf.Q6_K, gguf.F16}
		if c.Bound == precise {
			types = types[:1] // decoded a row at a time, which takes long
		}
		for _, typ := range types {
			var sessions []*llama
			var runners []program.Runner
			var want [][]float32
			for i, sizes := range sizes {
				m := newLlama(t, shape{2, 256, 4, 2, 256, 500}, typ, 64)
				if i > 0 {
					m.program = sessions[0].program // of which all are sessions
				}
				r, err := e.Compile(m.program, m.pool.Memory(), program.Limits{Tokens: 64, Outputs: 1})
				if err != nil {
					t.Fatal(err)
				}
				sessions, runners, want = append(sessions, m), append(runners, r), append(want, nil)
				if err := m.sequence(r, int32(i), sizes, func(y []float32) { want[i] = append(want[i], y...) }); err != nil {
					t.Fatal(err)
				}
			}
			var wait sync.WaitGroup
			for i, m := range sessions {
				wait.Go(func() {
					for range 3 {
						var got []float32
						err := m.sequence(runners[i], int32(i), sizes[i], func(y []float32) { got = append(got, y...) })
						if err != nil || !slices.Equal(got, want[i]) {
							t.Errorf("%s: sequence %d differs from what it is alone (error: %v)", typ, i, err)
						}
					}
				})
			}
			wait.Wait()
		}
	})
}

// TestSessionsDoNotAllocate counts what tokens of four sequences at once allocate.
func TestSessionsDoNotAllocate(t *testing.T) {
	const sessions, tokens = 4, 200
	m := newLlama(t, small, gguf.Q4_0, sessions)
	e := cpu.New(0, cpu.Options{})
	defer e.Close()
	var runners []program.Runner
	var steps []*program.Step
	for i := range sessions {
		r, err := e.Compile(m.program, m.pool.Memory(), program.Limits{Tokens: 1, Outputs: 1})
		if err != nil {
			t.Fatal(err)
		}
		runners, steps = append(runners, r), append(steps, m.step(i, 1))
	}
	run := func(tokens int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var wait sync.WaitGroup
		for i, r := range runners {
			wait.Go(func() {
				for range tokens {
					if err := r.Run(steps[i]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	run(1)
	if few, many := run(1), run(tokens); many > few+tokens/10 {
		t.Errorf("%d tokens of each of %d sequences allocate %d times, one of each %d times", tokens, sessions, many, few)
	}
}

// BenchmarkSessions measures the tokens a second of all sequences together.
func BenchmarkSessions(b *testing.B) {
	for _, typ := range []gguf.Type{gguf.Q4_0, gguf.Q4_1, gguf.Q8_0, gguf.Q4_K, gguf.F16} {
		m := newLlama(b, smolLM2, typ, 64)
		e := cpu.New(0, cpu.Options{})
		for _, n := range []int{1, 2, 4, 8} {
			var runners []program.Runner
			for range n {
				r, err := e.Compile(m.program, m.pool.Memory(), program.Limits{Tokens: 1, Outputs: 1})
				if err != nil {
					b.Fatal(err)
				}
				runners = append(runners, r)
			}
			b.Run(fmt.Sprintf("%s/%d_sessions", typ, n), func(b *testing.B) {
				var wait sync.WaitGroup
				for i, r := range runners {
					s := m.step(i, 1)
					wait.Go(func() {
						for range b.N {
							if err := r.Run(s); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wait.Wait()
				b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
		e.Close()
	}
}
