package program

import (
	"os"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
)

func weight(name string, dims ...int) *gguf.Tensor {
	return &gguf.Tensor{Name: name, Type: gguf.F32, Dims: dims}
}

func linear(name string, dims ...int) Linear { return Linear{Weight: weight(name, dims...)} }

// Every mistake in a forward pass is an error of Build that says which op and
// what is wrong with it, and no panic.
func TestBuilderRefuses(t *testing.T) {
	rope := &Rope{Dims: 8, Base: 10000}
	for _, c := range []struct {
		name  string
		want  string
		build func(b *Builder, x Tensor) Tensor // x is [n, 32]
	}{
		{"result_per_token", "is not made of SelectOutputs' rows", func(b *Builder, x Tensor) Tensor { return x }},
		{"no_result", "is not made of SelectOutputs' rows", func(b *Builder, x Tensor) Tensor { return Tensor{} }},
		{"project_width", `"w" takes 16 columns, got 32`, func(b *Builder, x Tensor) Tensor { return b.Project(x, linear("w", 16, 8)) }},
		{"project_nothing", "has no weight", func(b *Builder, x Tensor) Tensor { return b.Project(x, Linear{}) }},
		{"project_bias", `"b" has 7 values, want 8`, func(b *Builder, x Tensor) Tensor {
			return b.Project(x, Linear{Weight: weight("w", 32, 8), Bias: weight("b", 7)})
		}},
		{"project_scale", `"s" has 8 values, want 1`, func(b *Builder, x Tensor) Tensor {
			return b.Project(x, Linear{Weight: weight("w", 32, 8), Scale: weight("s", 8)})
		}},
		{"norm_weight", `"n" has 16 values, want 32`, func(b *Builder, x Tensor) Tensor { return b.RMSNorm(x, Norm{Weight: weight("n", 16)}) }},
		{"norm_bias", `"n" has 16 values, want 32`, func(b *Builder, x Tensor) Tensor { return b.LayerNorm(x, Norm{Bias: weight("n", 16)}) }},
		{"norm_heads", "width 32 is not made of groups of 12", func(b *Builder, x Tensor) Tensor { return b.RMSNormHeads(x, Norm{}, 12) }},
		{"norm_no_heads", "width 32 is not made of groups of 0", func(b *Builder, x Tensor) Tensor { return b.LayerNormHeads(x, Norm{}, 0) }},
		{"add_widths", "[n, 32] and [n, 8] have different shapes", func(b *Builder, x Tensor) Tensor { return b.Add(x, b.Split(x, 0, 8)) }},
		{"add_rows", "[n, 32] and [m, 32] have different shapes", func(b *Builder, x Tensor) Tensor { return b.Add(x, b.SelectOutputs(x)) }},
		{"mul_widths", "have different shapes", func(b *Builder, x Tensor) Tensor { return b.Mul(x, b.Split(x, 0, 2)) }},
		{"glu_widths", "have different shapes", func(b *Builder, x Tensor) Tensor { return b.GLU(x, b.Split(x, 0, 8), SiLU) }},
		{"activate_pairs", "gpt_oss is for GLU", func(b *Builder, x Tensor) Tensor { return b.Activate(x, GPTOSS) }},
		{"position_period", "has period 0", func(b *Builder, x Tensor) Tensor { return b.ScaleByPosition(x, 0, 0, 1) }},
		{"rope_head", "turns 8 of heads of 12 in width 32", func(b *Builder, x Tensor) Tensor { return b.RoPE(x, 12, rope) }},
		{"rope_dims", "turns 8 of heads of 4 in width 32", func(b *Builder, x Tensor) Tensor { return b.RoPE(x, 4, rope) }},
		{"rope_odd", "turns 3 of heads of 16", func(b *Builder, x Tensor) Tensor { return b.RoPE(x, 16, &Rope{Dims: 3}) }},
		{"rope_factors", `"f" has 5 values, want 4`, func(b *Builder, x Tensor) Tensor {
			return b.RoPE(x, 16, &Rope{Dims: 8, Factors: weight("f", 5)})
		}},
		{"store_skips", "layer 1 comes after 0 layers", func(b *Builder, x Tensor) Tensor { b.StoreKV(1, x, x); return x }},
		{"store_twice", "layer 0 comes after 1 layers", func(b *Builder, x Tensor) Tensor { b.StoreKV(0, x, x); b.StoreKV(0, x, x); return x }},
		{"attention_unstored", "layer 0 has no keys and values", func(b *Builder, x Tensor) Tensor { return b.Attention(0, x, Attend{Heads: 4, KVHeads: 4}) }},
		{"attention_groups", "4 query heads do not share 3 KV heads", func(b *Builder, x Tensor) Tensor {
			b.StoreKV(0, x, x)
			return b.Attention(0, x, Attend{Heads: 4, KVHeads: 3})
		}},
		{"attention_keys", "keys of 30 and values of 30 are not 4 heads", func(b *Builder, x Tensor) Tensor {
			k := b.Split(x, 0, 30)
			b.StoreKV(0, k, k)
			return b.Attention(0, x, Attend{Heads: 4, KVHeads: 4})
		}},
		{"attention_queries", "queries of 32 are not 4 heads of 4", func(b *Builder, x Tensor) Tensor {
			k := b.Split(x, 0, 16)
			b.StoreKV(0, k, k)
			return b.Attention(0, x, Attend{Heads: 4, KVHeads: 4})
		}},
		{"attention_sinks", `"s" has 3 values, want 4`, func(b *Builder, x Tensor) Tensor {
			b.StoreKV(0, x, x)
			return b.Attention(0, x, Attend{Heads: 4, KVHeads: 4, Sinks: weight("s", 3)})
		}},
		{"split_past_end", "columns 30 to 34 of 32", func(b *Builder, x Tensor) Tensor { return b.Split(x, 30, 4) }},
		{"split_nothing", "columns 4 to 4 of 32", func(b *Builder, x Tensor) Tensor { return b.Split(x, 4, 0) }},
		{"select_twice", "takes one row for each token, got [m, 32]", func(b *Builder, x Tensor) Tensor { return b.SelectOutputs(b.SelectOutputs(x)) }},
		{"route_too_many", "uses 33 of 32 experts", func(b *Builder, x Tensor) Tensor {
			_, w := b.Route(x, Routing{Used: 33})
			return w
		}},
		{"route_none", "uses 0 of 32 experts", func(b *Builder, x Tensor) Tensor {
			_, w := b.Route(x, Routing{})
			return w
		}},
		{"experts_flat", "weights are not three-dimensional", func(b *Builder, x Tensor) Tensor {
			e, _ := b.Route(x, Routing{Used: 2})
			return b.ProjectExperts(x, linear("w", 32, 8), e)
		}},
		{"experts_repeat", "takes 8 columns, got [n·2, 8]", func(b *Builder, x Tensor) Tensor {
			e, _ := b.Route(x, Routing{Used: 2})
			three, _ := b.Route(x, Routing{Used: 3})
			return b.ProjectExperts(b.ProjectExperts(x, linear("w", 32, 8, 32), e), linear("v", 8, 8, 32), three)
		}},
		{"combine_other", "2 rows for each token, 3 weights", func(b *Builder, x Tensor) Tensor {
			e, _ := b.Route(x, Routing{Used: 2})
			_, w := b.Route(x, Routing{Used: 3})
			return b.CombineExperts(b.ProjectExperts(x, linear("w", 32, 8, 32), e), w)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBuilder()
			out := c.build(b, b.Embed(weight("embed", 32, 100)))
			p, err := b.Build(out)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if p != nil {
				t.Error("a program beside the error")
			}
		})
	}
}

// The first mistake is the one reported, whatever follows from it.
func TestBuilderReportsFirst(t *testing.T) {
	b := NewBuilder()
	x := b.Embed(weight("embed", 32, 100))
	x = b.Split(x, 30, 4)
	x = b.Add(x, b.Project(x, linear("w", 99, 5)))
	_, err := b.Build(x)
	if err == nil || !strings.Contains(err.Error(), "op 1 split: columns 30 to 34 of 32") {
		t.Error(err)
	}
}

// What changes nothing emits nothing.
func TestBuilderLeavesOut(t *testing.T) {
	b := NewBuilder()
	x := b.Embed(weight("embed", 32, 100))
	if b.Scale(x, 1) != x || b.Softcap(x, 0) != x || len(b.p.Ops) != 1 {
		t.Errorf("%d ops after a scale by 1 and no cap, want 1", len(b.p.Ops))
	}
}

// block is a small model with one of most ops, for the tests of this package.
func block(t *testing.T) *Program {
	b := NewBuilder()
	x := b.Embed(weight("token_embd", 32, 100))
	h := b.RMSNorm(x, Norm{Weight: weight("norm", 32), Eps: 1e-5})
	q := b.Project(h, Linear{Weight: weight("q", 32, 32), Bias: weight("q.bias", 32)})
	k, v := b.Project(h, linear("k", 32, 16)), b.Project(h, linear("v", 32, 16))
	rope := &Rope{Dims: 8, Base: 10000, FreqScale: 0.5}
	b.StoreKV(0, b.RoPE(k, 8, rope), v)
	a := b.Attention(0, b.RoPE(q, 8, rope), Attend{Heads: 4, KVHeads: 2, Scale: 0.25, Window: 16})
	x = b.Add(x, b.Project(a, linear("o", 32, 32)))
	e, w := b.Route(b.Project(x, linear("router", 32, 4)), Routing{Used: 2, Normalise: true})
	g := b.GLU(b.ProjectExperts(x, linear("gate", 32, 64, 4), e), b.ProjectExperts(x, linear("up", 32, 64, 4), e), SiLU)
	x = b.Add(x, b.CombineExperts(b.ProjectExperts(g, linear("down", 64, 32, 4), e), w))
	out := b.Softcap(b.Project(b.SelectOutputs(x), linear("token_embd", 32, 100)), 30)
	p, err := b.Build(out)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDump(t *testing.T) {
	var s strings.Builder
	if err := block(t).Dump(&s); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/block.txt")
	if err != nil {
		t.Fatal(err)
	}
	if s.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", s.String(), want)
	}
}
