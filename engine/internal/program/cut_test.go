package program_test

import (
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// Where no one tensor passes on, or a layer reads another's keys, a program
// cannot be cut.
func TestCutRefused(t *testing.T) {
	weight := func(dims ...int) *gguf.Tensor { return &gguf.Tensor{Name: "w", Type: gguf.F32, Dims: dims} }
	layer := func(b *program.Builder, i, keys int, x program.Tensor) program.Tensor {
		k := b.Project(x, program.Linear{Weight: weight(8, 8)})
		b.StoreKV(i, k, k)
		return b.Add(x, b.Attention(keys, k, program.Attend{Heads: 1, KVHeads: 1, Scale: 1}))
	}
	for _, c := range []struct {
		name  string
		keys  int  // the layer whose keys layer 1 reads
		extra bool // the embedding is added again at the end
		want  string
	}{
		{"plain", 1, false, ""},
		{"shared_keys", 0, false, "reads keys of layer 0"},
		{"two_tensors", 1, true, "more than one tensor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := program.NewBuilder()
			e := b.Embed(weight(8, 100))
			x := layer(b, 0, 0, b.Scale(e, 2))
			x = layer(b, 1, c.keys, x)
			if c.extra {
				x = b.Add(x, e)
			}
			p, err := b.Build(b.SelectOutputs(x))
			if err != nil {
				t.Fatal(err)
			}
			first, rest, err := p.Cut(1)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if first.Vocab() != 100 || rest.Vocab() <= 100 {
					t.Errorf("vocabularies of %d and %d tokens", first.Vocab(), rest.Vocab())
				}
				if !first.Result.None() || rest.Result != p.Result || first.Hidden != rest.Hidden || first.Hidden.None() {
					t.Errorf("results %v and %v, hidden %v and %v", first.Result, rest.Result, first.Hidden, rest.Hidden)
				}
				// What is passed on has no place among the activations.
				limits := program.Limits{Tokens: 10, Outputs: 1}
				memory := &program.KVMemory{Layers: make([]program.KVLayer, 1), Hidden: make([]float32, 79)}
				if err := memory.Check(rest, limits); err == nil {
					t.Error("79 values hold 10 rows of 8")
				}
				memory.Hidden = make([]float32, 80)
				if err := memory.Check(rest, limits); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}
