package cpu_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// llama is a model of the given size whose weights, all of one type, are random,
// ready to run.
type llama struct {
	program *program.Program
	pool    *kv.Pool
	table   []int32
}

// shape is a llama's size. Heads are 64 wide.
type shape struct{ layers, width, heads, groups, ff, vocab int }

// smolLM2 is SmolLM2-135M's shape, but for a width that blocks of 256 divide.
var smolLM2 = shape{30, 768, 12, 4, 1536, 49152}

func newLlama(t testing.TB, s shape, typ gguf.Type, context int) *llama {
	t.Helper()
	const distinct = 29
	random := rand.New(rand.NewPCG(1, 2))
	tensor := func(dims ...int) *gguf.Tensor {
		w := &gguf.Tensor{Name: "w", Type: typ, Dims: dims}
		w.Data = make([]byte, w.Rows()*w.RowBytes())
		row := make([]float32, w.Cols())
		for i := range w.Rows() {
			if i >= distinct { // encoding takes long
				copy(w.Data[i*w.RowBytes():], w.Row(i%distinct))
				continue
			}
			for j := range row {
				row[j] = float32(random.NormFloat64() / math.Sqrt(float64(len(row))))
			}
			if err := quant.Encode(typ, w.Row(i), row); err != nil {
				t.Fatal(err)
			}
		}
		return w
	}
	linear := func(in, out int) program.Linear { return program.Linear{Weight: tensor(in, out)} }
	norm := program.Norm{Eps: 1e-5}
	rope := &program.Rope{Dims: 64, Base: 100000}
	attend := program.Attend{Heads: s.heads, KVHeads: s.groups, Scale: 0.125}

	table := tensor(s.width, s.vocab)
	p := program.NewBuilder()
	x := p.Embed(table)
	for i := range s.layers {
		h := p.RMSNorm(x, norm)
		q, k := p.Project(h, linear(s.width, s.heads*64)), p.Project(h, linear(s.width, s.groups*64))
		v := p.Project(h, linear(s.width, s.groups*64))
		p.StoreKV(i, p.RoPE(k, 64, rope), v)
		x = p.Add(x, p.Project(p.Attention(i, p.RoPE(q, 64, rope), attend), linear(s.heads*64, s.width)))
		h = p.RMSNorm(x, norm)
		x = p.Add(x, p.Project(p.GLU(p.Project(h, linear(s.width, s.ff)), p.Project(h, linear(s.width, s.ff)), program.SiLU), linear(s.ff, s.width)))
	}
	built, err := p.Build(p.Project(p.RMSNorm(p.SelectOutputs(x), norm), program.Linear{Weight: table}))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := kv.New(nil, built.KV, gguf.F16, context)
	if err != nil {
		t.Fatal(err)
	}
	sequence := pool.NewSequence(0)
	if err := sequence.Grow(context); err != nil {
		t.Fatal(err)
	}
	return &llama{built, pool, sequence.Table()}
}

// step is n tokens from a position on, with one output.
func (l *llama) step(position, n int) *program.Step {
	s := &program.Step{Tables: [][]int32{l.table}, Outputs: []int32{int32(n - 1)}}
	for i := range n {
		s.Tokens = append(s.Tokens, int32(i))
		s.Positions = append(s.Positions, int32(position+i))
		s.Sequences = append(s.Sequences, 0)
	}
	return s
}
