package exectest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// whole is a program in which every op occurs, as a model would have it, and
// a sequence of tokens to run.
type whole struct {
	program *program.Program
	tokens  []int32
}

func newWhole(t *testing.T) *whole {
	const d, heads, groups, head, vocab, all, context = 64, 4, 2, 16, 100, 4, 256
	c := &builder{b: program.NewBuilder(), r: rand.New(rand.NewPCG(1, 2))}
	linear := func(typ gguf.Type, in, out int) program.Linear {
		w, _ := c.weightOf(typ, in, out)
		return program.Linear{Weight: w}
	}
	expert := func(in, out int) program.Linear {
		w, _ := c.weightOf(gguf.Q8_0, in, out, all)
		return program.Linear{Weight: w}
	}
	norm := func(n int) program.Norm {
		w, _ := c.weight(n)
		return program.Norm{Weight: w, Eps: 1e-5}
	}
	rope := &program.Rope{Dims: head, Base: 10000, Pairing: program.Halves}
	table, _ := c.weightOf(gguf.Q8_0, d, vocab)
	positions, _ := c.weight(d, context)

	b := c.b
	x := b.Add(b.Scale(b.Embed(table), 2), b.EmbedPosition(positions))
	for i := range 2 {
		h := b.LayerNorm(x, norm(d))
		qkv := b.Project(h, linear(gguf.Q4_1, d, (heads+2*groups)*head))
		q := b.Split(qkv, 0, heads*head)
		k := b.RMSNormHeads(b.Split(qkv, heads*head, groups*head), norm(head), head)
		v := b.Split(qkv, (heads+groups)*head, groups*head)
		b.StoreKV(i, b.RoPE(k, head, rope), v)
		q = b.ScaleByPosition(b.RoPE(q, head, rope), 32, 0, 0.1)
		a := b.Attention(i, q, program.Attend{Heads: heads, KVHeads: groups, Scale: 0.25, Window: 20 * i})
		x = b.Add(x, b.RMSNorm(b.Project(a, linear(gguf.F16, heads*head, d)), norm(d)))

		h = b.RMSNorm(x, norm(d))
		experts, weights := b.Route(b.Project(h, linear(gguf.F32, d, all)), program.Routing{Used: 2, Normalise: true})
		e := b.GLU(b.ProjectExperts(h, expert(d, 32), experts), b.ProjectExperts(h, expert(d, 32), experts), program.SiLU)
		y := b.CombineExperts(b.ProjectExperts(e, expert(32, d), experts), weights)
		shared := b.Project(b.Activate(b.Project(h, linear(gguf.Q5_0, d, 96)), program.GELU), linear(gguf.Q5_0, 96, d))
		shared = b.Mul(shared, b.Activate(b.Project(h, linear(gguf.F32, d, 1)), program.Sigmoid))
		x = b.Add(x, b.RMSNorm(b.Add(y, shared), norm(d)))
	}
	x = b.RMSNorm(b.SelectOutputs(x), norm(d))
	p, err := b.Build(b.Softcap(b.Project(x, program.Linear{Weight: table}), 30))
	if err != nil {
		t.Fatal(err)
	}
	w := &whole{program: p}
	for range 90 {
		w.tokens = append(w.tokens, int32(c.r.IntN(vocab)))
	}
	return w
}

// compile returns a runner over a cache of its own, and that cache's table.
func (w *whole) compile(t *testing.T, e program.Executor, tokens int) (program.Runner, [][]int32) {
	pool, err := kv.New(e, w.program.KV, gguf.F16, 128)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Compile(w.program, pool.Memory(), program.Limits{Tokens: tokens, Outputs: tokens})
	if err != nil {
		t.Fatal(err)
	}
	s := pool.NewSequence(0)
	if err := s.Grow(128); err != nil {
		t.Fatal(err)
	}
	return r, [][]int32{s.Table()}
}

// step is the tokens [from, to), an output for each.
func (w *whole) step(tables [][]int32, from, to int) *program.Step {
	s := &program.Step{Tables: tables, Tokens: w.tokens[from:to]}
	for i := from; i < to; i++ {
		s.Positions = append(s.Positions, int32(i))
		s.Sequences = append(s.Sequences, 0)
		s.Outputs = append(s.Outputs, int32(i-from))
	}
	return s
}

// run returns the logits of all tokens, in steps of n.
func (w *whole) run(r program.Runner, tables [][]int32, n int) (logits []float32, err error) {
	for at := 0; at < len(w.tokens); at += n {
		if err := r.Run(w.step(tables, at, min(at+n, len(w.tokens)))); err != nil {
			return nil, err
		}
		logits = append(logits, r.Result()...)
	}
	return logits, nil
}

// Allocations checks that steps of one and of several tokens allocate nothing.
func Allocations(t *testing.T, c Config) {
	e := c.New()
	defer e.Close()
	w := newWhole(t)
	r, tables := w.compile(t, e, len(w.tokens))
	for _, n := range []int{1, 2, 7, 90} {
		s := w.step(tables, 0, n)
		allocations := testing.AllocsPerRun(20, func() {
			if err := r.Run(s); err != nil {
				t.Fatal(err)
			}
			r.Result()
		})
		if allocations != 0 {
			t.Errorf("a step of %d tokens allocates %v times", n, allocations)
		}
	}
}

// Concurrent checks that runners of one executor do not disturb each other:
// each gives what it gives alone, to the last bit. It is for the race detector.
func Concurrent(t *testing.T, c Config) {
	e := c.New()
	defer e.Close()
	w := newWhole(t)
	times := 3
	if c.Slow {
		times, w.tokens = 1, w.tokens[:40]
	}
	type session struct {
		runner program.Runner
		tables [][]int32
		want   []float32
	}
	sessions := map[int]session{}
	for _, n := range []int{1, 5, 16, 90} {
		r, tables := w.compile(t, e, n)
		want, err := w.run(r, tables, n)
		if err != nil {
			t.Fatal(err)
		}
		sessions[n] = session{r, tables, want}
	}
	var group sync.WaitGroup
	for n, s := range sessions {
		group.Go(func() {
			for range times {
				got, err := w.run(s.runner, s.tables, n)
				if err != nil {
					t.Error(err)
				} else if !slices.Equal(got, s.want) {
					t.Errorf("steps of %d tokens: the logits differ from those without company", n)
				}
			}
		})
	}
	group.Wait()
}

// StepSizes checks that logits do not depend on how the tokens come in steps:
// to the last bit, or within c.StepBound.
func StepSizes(t *testing.T, c Config) {
	e := c.New()
	defer e.Close()
	w := newWhole(t)
	r, tables := w.compile(t, e, len(w.tokens))
	want, err := w.run(r, tables, len(w.tokens))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3, 4, 5, 32, 89} {
		got, err := w.run(r, tables, n)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(got, want) {
			continue
		}
		if c.StepBound == 0 {
			t.Errorf("steps of %d tokens give other logits than one step of %d", n, len(w.tokens))
			continue
		}
		for i, width := 0, len(want)/len(w.tokens); i < len(want); i += width {
			row := make([]float64, width)
			for j, v := range want[i : i+width] {
				row[j] = float64(v)
			}
			if err := compare(got[i:i+width], row, nil, c.StepBound); err != nil {
				t.Errorf("steps of %d tokens and one of %d: row %d: %v", n, len(w.tokens), i/width, err)
			}
		}
	}
}

// Errors checks that a step that cannot run is refused, and leaves the runner
// as it was.
func Errors(t *testing.T, c Config) {
	e := c.New()
	defer e.Close()
	w := newWhole(t)
	r, tables := w.compile(t, e, 8)
	good := w.step(tables, 0, 8)
	if err := r.Run(good); err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(r.Result())
	for name, s := range map[string]*program.Step{
		"no_tokens":        {Tables: tables},
		"too_many_tokens":  w.step(tables, 0, 9),
		"too_many_outputs": {Tables: tables, Tokens: good.Tokens, Positions: good.Positions, Sequences: good.Sequences, Outputs: make([]int32, 9)},
		"token_id":         {Tables: tables, Tokens: []int32{100}, Positions: []int32{8}, Sequences: []int32{0}},
		"negative_token":   {Tables: tables, Tokens: []int32{-1}, Positions: []int32{8}, Sequences: []int32{0}},
		"no_sequence":      {Tables: tables, Tokens: []int32{1}, Positions: []int32{8}, Sequences: []int32{1}},
		"no_block":         {Tables: tables, Tokens: []int32{1}, Positions: []int32{128}, Sequences: []int32{0}},
		"block_number":     {Tables: [][]int32{{99}}, Tokens: []int32{1}, Positions: []int32{8}, Sequences: []int32{0}},
		"output_row":       {Tables: tables, Tokens: []int32{1}, Positions: []int32{8}, Sequences: []int32{0}, Outputs: []int32{1}},
		"output_twice":     {Tables: tables, Tokens: good.Tokens, Positions: good.Positions, Sequences: good.Sequences, Outputs: []int32{3, 3}},
	} {
		if err := r.Run(s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := r.Run(good); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Result(), want) {
		t.Error("a refused step changed the next one's result")
	}
	if other, err := e.Compile(w.program, &program.KVMemory{Type: gguf.F16, BlockSize: kv.BlockSize, Blocks: 1}, program.Limits{Tokens: 1, Outputs: 1}); err == nil {
		t.Errorf("a program of %d KV layers compiled over a memory without: %v", len(w.program.KV), other)
	}

	// Two heads in one block: keys of 16 values.
	small := &builder{b: program.NewBuilder(), r: rand.New(rand.NewPCG(1, 2)), n: 1}
	x, _ := small.input(32, 1)
	small.b.StoreKV(0, x, x)
	p, err := small.b.Build(small.b.SelectOutputs(small.b.Attention(0, x, program.Attend{Heads: 2, KVHeads: 2, Scale: 1})))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := program.NewKVMemory(e, p.KV, gguf.Q8_0, kv.BlockSize, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if _, err := e.Compile(p, memory, program.Limits{Tokens: 1, Outputs: 1}); err == nil {
		t.Error("heads of 16 values compiled over a memory of blocks of 32")
	}
}
