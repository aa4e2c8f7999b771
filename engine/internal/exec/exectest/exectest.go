// Package exectest holds executors against the definitions of the ops: for
// each op a formula in double precision, written from its doc comment alone, at
// shapes that are named for what they exercise. Every executor runs the same
// tests.
package exectest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// Config says what is tested and how exact it must be.
type Config struct {
	// Slow is of an emulated executor: tests that repeat themselves do so less.
	Slow bool
	// Every has Run take every so manyth case of an op alone: under the race detector,
	// which is slow and finds no more in all of them. 0: all.
	Every int
	New   func() program.Executor
	// Bound is the largest error allowed, relative to the size of what a row's
	// values are made of.
	Bound float64
	// Reads reports whether the executor reads weights of a type. Others must be
	// refused with an error that names the tensor. nil: it reads all.
	Reads func(gguf.Type) bool
	// Caches are the types of KV memory the executor runs over; nil: all.
	Caches []gguf.Type
	// StepBound is the largest error allowed between steps of different sizes,
	// relative to a row's largest value. 0: they agree to the last bit.
	StepBound float64
}

// Run tests every op.
func Run(t *testing.T, c Config) {
	e := c.New()
	defer func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	for _, group := range []struct {
		name  string
		cases []opCase
	}{
		{"Embed", embedCases()},
		{"Norm", normCases()},
		{"Project", projectCases()},
		{"Elementwise", elementwiseCases()},
		{"Rows", rowCases()},
		{"RoPE", ropeCases()},
		{"Attention", attentionCases(c.Caches)},
		{"Experts", expertCases()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for i, o := range group.cases {
				if c.Every > 0 && i%c.Every != 0 {
					continue
				}
				t.Run(o.name, func(t *testing.T) {
					reads := c.Reads == nil || c.Reads(o.typ)
					runCase(t, e, c.Bound, o, reads)
				})
			}
		})
	}
}

// opCase is a program around one op, and what must come out of it.
type opCase struct {
	name   string
	tokens int       // rows of the inputs
	typ    gguf.Type // of the weights, if the case is about it
	// build appends the op to c.b and returns its output and the values wanted.
	build func(c *builder) (program.Tensor, matrix)
}

// matrix is what an op takes or gives, in double precision.
type matrix [][]float64

// builder builds one case: its inputs are rows of random numbers, which reach
// the program as embeddings of the tokens 0, 1, 2, …
type builder struct {
	b    *program.Builder
	r    *rand.Rand
	n    int
	size matrix // if set, what each value's error is relative to; otherwise its row's largest

	// Where each row is. By default all are one sequence, in order.
	positions, sequences []int32
	cache                gguf.Type
}

// input is a tensor of random values of the given spread.
func (c *builder) input(width int, spread float64) (program.Tensor, matrix) {
	return c.given(random(c.r, c.n, width, spread))
}

// given is a tensor of the given values.
func (c *builder) given(x matrix) (program.Tensor, matrix) {
	width := len(x[0])
	// The last row is what poisons the executor's memory: see runCase.
	values := make([]float64, 0, (len(x)+1)*width)
	for _, row := range x {
		values = append(values, row...)
	}
	for range width {
		values = append(values, math.NaN())
	}
	return c.b.Embed(plain("input", values, width, len(x)+1)), x
}

// runCase builds and runs a case: the rows in one step, one by one, and in
// steps of random sizes.
func runCase(t *testing.T, e program.Executor, bound float64, o opCase, reads bool) {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %#x", seed)
		}
	})
	c := &builder{b: program.NewBuilder(), r: rand.New(rand.NewPCG(seed, 0)), n: o.tokens, cache: gguf.F32}
	for i := range c.n {
		c.positions, c.sequences = append(c.positions, int32(i)), append(c.sequences, 0)
	}
	out, want := o.build(c)
	p, err := c.b.Build(c.b.SelectOutputs(out))
	if err != nil {
		t.Fatal(err)
	}

	tables, blocks := c.tables()
	memory, err := program.NewKVMemory(e, p.KV, c.cache, kv.BlockSize, blocks)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	limits := program.Limits{Tokens: c.n, Outputs: c.n}
	r, err := e.Compile(p, memory, limits)
	if !reads {
		if err == nil || !strings.Contains(err.Error(), "weight_"+o.typ.String()) {
			t.Fatalf("weights of a type the executor does not read: error %v, want one that names the tensor", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer program.CloseRunner(r)
	width := p.Info(p.Result).Width
	for name, sizes := range map[string][]int{
		"one_step":     {c.n},
		"one_by_one":   slices.Repeat([]int{1}, c.n),
		"random_steps": partition(c.r, c.n),
	} {
		// Every tensor is NaN before the first step, and so is the cache.
		poison := &program.Step{Tables: tables, Positions: c.positions, Sequences: c.sequences}
		for i := range c.n {
			poison.Tokens = append(poison.Tokens, int32(c.n))
			poison.Outputs = append(poison.Outputs, int32(i))
		}
		if err := r.Run(poison); err != nil {
			t.Fatalf("%s: poison: %v", name, err)
		}
		fill(memory)

		at := 0
		for _, n := range sizes {
			s := &program.Step{Tables: tables, Positions: c.positions[at : at+n], Sequences: c.sequences[at : at+n]}
			for i := range n {
				s.Tokens = append(s.Tokens, int32(at+i))
				if n < 3 || c.r.IntN(8) > 0 {
					s.Outputs = append(s.Outputs, int32(i))
				}
			}
			if err := r.Run(s); err != nil {
				t.Fatalf("%s: rows from %d: %v", name, at, err)
			}
			got := r.Result()
			if len(got) != len(s.Outputs)*width {
				t.Fatalf("%s: %d values for %d outputs of width %d", name, len(got), len(s.Outputs), width)
			}
			for i, o := range s.Outputs {
				row := at + int(o)
				var size []float64
				if c.size != nil {
					size = c.size[row]
				}
				if err := compare(got[i*width:(i+1)*width], want[row], size, bound); err != nil {
					t.Fatalf("%s: row %d: %v", name, row, err)
				}
			}
			at += n
		}
	}
}

// compare returns an error if a value is further from the one wanted than bound
// times its size.
func compare(got []float32, want, size []float64, bound float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d values, want %d", len(got), len(want))
	}
	largest := 0.0
	for _, w := range want {
		largest = max(largest, math.Abs(w))
	}
	for i, w := range want {
		s := largest
		if size != nil {
			s = size[i]
		}
		if d := math.Abs(float64(got[i]) - w); !(d <= bound*s) {
			return fmt.Errorf("value %d is %v, want %v: error %.3g of %.3g is above %g", i, got[i], w, d, s, bound)
		}
	}
	return nil
}

// tables gives every sequence blocks for its positions, in random order.
// Positions may be far apart: one block stands in for all that no row is in.
func (c *builder) tables() (tables [][]int32, blocks int) {
	blocks = 1
	for i, q := range c.sequences {
		for int(q) >= len(tables) {
			tables = append(tables, nil)
		}
		for int(c.positions[i])/kv.BlockSize >= len(tables[q]) {
			tables[q] = append(tables[q], 0)
		}
	}
	seen := map[[2]int32]bool{}
	for i, q := range c.sequences {
		if at := [2]int32{q, c.positions[i] / kv.BlockSize}; !seen[at] {
			seen[at] = true
			tables[q][at[1]] = int32(blocks)
			blocks++
		}
	}
	names := c.r.Perm(blocks)
	for _, t := range tables {
		for i := range t {
			t[i] = int32(names[t[i]])
		}
	}
	return tables, blocks
}

// fill makes every cached value NaN.
func fill(m *program.KVMemory) {
	for _, l := range m.Layers {
		for i := range l.K {
			l.K[i] = 0xff
		}
		for i := range l.V {
			l.V[i] = 0xff
		}
	}
}

// partition splits n into random parts.
func partition(r *rand.Rand, n int) (parts []int) {
	for n > 0 {
		k := 1 + r.IntN(min(n, 7))
		parts = append(parts, k)
		n -= k
	}
	return parts
}

// random is a matrix of normally distributed float32 values.
func random(r *rand.Rand, rows, width int, spread float64) matrix {
	m := make(matrix, rows)
	for i := range m {
		m[i] = make([]float64, width)
		for j := range m[i] {
			m[i][j] = float64(float32(r.NormFloat64() * spread))
		}
	}
	return m
}

// rows applies f to each row.
func (m matrix) rows(f func(row []float64) []float64) matrix {
	out := make(matrix, len(m))
	for i, row := range m {
		out[i] = f(row)
	}
	return out
}
