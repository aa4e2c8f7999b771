package ref_test

import (
	"fmt"
	"testing"

	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// smol builds a llama of SmolLM2-135M's shape: 30 layers of width 576, 9 heads
// that share 3, a vocabulary of 49152. Weights are of one type; their values
// are of no interest.
func smol(b *testing.B, typ gguf.Type) *program.Program {
	const layers, d, heads, groups, head, ff, vocab = 30, 576, 9, 3, 64, 1536, 49152
	tensor := func(dims ...int) *gguf.Tensor {
		t := &gguf.Tensor{Name: "w", Type: typ, Dims: dims}
		t.Data = make([]byte, t.Rows()*t.RowBytes())
		for i := range t.Data {
			t.Data[i] = byte(i*31) & 0x3b // no exponent of infinity
		}
		return t
	}
	linear := func(in, out int) program.Linear { return program.Linear{Weight: tensor(in, out)} }
	norm := program.Norm{Eps: 1e-5}
	rope := &program.Rope{Dims: head, Base: 100000}
	attend := program.Attend{Heads: heads, KVHeads: groups, Scale: 0.125}

	table := tensor(d, vocab)
	p := program.NewBuilder()
	x := p.Embed(table)
	for i := range layers {
		h := p.RMSNorm(x, norm)
		q, k := p.Project(h, linear(d, heads*head)), p.Project(h, linear(d, groups*head))
		p.StoreKV(i, p.RoPE(k, head, rope), p.Project(h, linear(d, groups*head)))
		x = p.Add(x, p.Project(p.Attention(i, p.RoPE(q, head, rope), attend), linear(heads*head, d)))
		h = p.RMSNorm(x, norm)
		x = p.Add(x, p.Project(p.GLU(p.Project(h, linear(d, ff)), p.Project(h, linear(d, ff)), program.SiLU), linear(ff, d)))
	}
	out, err := p.Build(p.Project(p.RMSNorm(p.SelectOutputs(x), norm), program.Linear{Weight: table}))
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// BenchmarkSmolLM2 measures tokens a second at the end of a context: of a
// prompt, 64 at a time, and of decoding.
func BenchmarkSmolLM2(b *testing.B) {
	const context = 512
	for _, typ := range []gguf.Type{gguf.Q4_0, gguf.Q4_1, gguf.Q8_0, gguf.F16} {
		p := smol(b, typ)
		pool, err := kv.New(nil, p.KV, gguf.F16, context)
		if err != nil {
			b.Fatal(err)
		}
		sequence := pool.NewSequence(0)
		if err := sequence.Grow(context); err != nil {
			b.Fatal(err)
		}
		e := ref.New(0)
		b.Cleanup(func() { e.Close() })
		for _, n := range []int{64, 1} {
			r, err := e.Compile(p, pool.Memory(), program.Limits{Tokens: n, Outputs: 1})
			if err != nil {
				b.Fatal(err)
			}
			s := &program.Step{Tables: [][]int32{sequence.Table()}, Outputs: []int32{int32(n - 1)}}
			for i := range n {
				s.Tokens = append(s.Tokens, int32(i))
				s.Positions = append(s.Positions, int32(context-n+i))
				s.Sequences = append(s.Sequences, 0)
			}
			name := "decode"
			if n > 1 {
				name = fmt.Sprintf("prompt_%d", n)
			}
			b.Run(name+"_"+typ.String(), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := r.Run(s); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
