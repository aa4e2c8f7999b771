package exectest

import (
	"errors"
	"math"
	"math/cmplx"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

func ropeCases() (cases []opCase) {
	far := []int32{0, 1, 2, 31, 32, 1000, 4095, 4096, 40000}
	for _, s := range []struct {
		name      string
		heads     int
		head      int
		rope      program.Rope
		factors   bool
		positions []int32
	}{
		{name: "adjacent", heads: 1, head: 64, rope: program.Rope{Dims: 64, Base: 10000}},
		{name: "halves", heads: 1, head: 64, rope: program.Rope{Dims: 64, Base: 10000, Pairing: program.Halves}},
		{name: "many_heads", heads: 7, head: 32, rope: program.Rope{Dims: 32, Base: 10000}},
		{name: "many_heads_halves", heads: 7, head: 32, rope: program.Rope{Dims: 32, Base: 10000, Pairing: program.Halves}},
		{name: "partial", heads: 3, head: 80, rope: program.Rope{Dims: 20, Base: 10000}},
		{name: "partial_halves", heads: 3, head: 80, rope: program.Rope{Dims: 20, Base: 10000, Pairing: program.Halves}},
		{name: "one_pair", heads: 3, head: 2, rope: program.Rope{Dims: 2, Base: 10000}},
		{name: "far_positions", heads: 2, head: 64, rope: program.Rope{Dims: 64, Base: 1e6}, positions: far},
		{name: "interpolated", heads: 2, head: 64, rope: program.Rope{Dims: 64, Base: 10000, FreqScale: 0.125}, positions: far},
		{name: "factors", heads: 2, head: 64, rope: program.Rope{Dims: 64, Base: 500000}, factors: true, positions: far},
		{name: "magnitude", heads: 2, head: 64, rope: program.Rope{Dims: 64, Base: 10000, AttnFactor: 1.19}, factors: true},
		{name: "yarn", heads: 2, head: 64, rope: program.Rope{Dims: 64, Base: 10000, FreqScale: 0.0625, Pairing: program.Halves,
			Yarn: &program.Yarn{ExtFactor: 1, BetaFast: 32, BetaSlow: 1, OrigContext: 4096}}, positions: far},
		{name: "yarn_half_extrapolated", heads: 2, head: 64, rope: program.Rope{Dims: 64, Base: 150000, FreqScale: 0.25, AttnFactor: 0.9,
			Yarn: &program.Yarn{ExtFactor: 0.5, BetaFast: 16, BetaSlow: 2, OrigContext: 2048}}, positions: far},
	} {
		cases = append(cases, opCase{name: s.name, tokens: 9, build: func(c *builder) (program.Tensor, matrix) {
			if s.positions != nil {
				copy(c.positions, s.positions)
			}
			rope := s.rope
			var factors []float64
			if s.factors {
				factors = make([]float64, rope.Dims/2)
				for i := range factors {
					factors[i] = float64(float32(1 + 7*c.r.Float64()))
				}
				rope.Factors = plain("factors", factors, len(factors))
			}
			x, a := c.input(s.heads*s.head, 1)
			want := make(matrix, c.n)
			for i := range want {
				for h := range s.heads {
					want[i] = append(want[i], rotate(a[i][h*s.head:(h+1)*s.head], float64(c.positions[i]), &rope, factors)...)
				}
			}
			return c.b.RoPE(x, s.head, &rope), want
		}})
	}
	return cases
}

// rotate turns the pairs of a head as complex numbers.
func rotate(x []float64, position float64, r *program.Rope, factors []float64) []float64 {
	out := append([]float64(nil), x...)
	dims, stretch, magnitude := float64(r.Dims), 1.0, 1.0
	if r.FreqScale != 0 {
		stretch = 1 / r.FreqScale
	}
	if r.AttnFactor != 0 {
		magnitude = r.AttnFactor
	}
	if r.Yarn != nil {
		magnitude *= 0.1*math.Log(stretch) + 1
	}
	for i := range r.Dims / 2 {
		angle := position / math.Pow(r.Base, 2*float64(i)/dims)
		if factors != nil {
			angle /= factors[i]
		}
		plain := 0.0 // how much of the angle is not stretched
		if y := r.Yarn; y != nil {
			// The pair that turns so many times over the original context.
			pair := func(turns float64) float64 {
				return dims / 2 * math.Log(float64(y.OrigContext)/(2*math.Pi*turns)) / math.Log(r.Base)
			}
			first, last := math.Max(math.Floor(pair(y.BetaFast)), 0), math.Min(math.Ceil(pair(y.BetaSlow)), dims-1)
			switch {
			case float64(i) <= first:
				plain = 1
			case float64(i) < last:
				plain = 1 - (float64(i)-first)/(last-first)
			}
			plain *= y.ExtFactor
		}
		a, b := 2*i, 2*i+1
		if r.Pairing == program.Halves {
			a, b = i, i+r.Dims/2
		}
		z := complex(x[a], x[b]) * cmplx.Rect(magnitude, angle*plain+angle/stretch*(1-plain))
		out[a], out[b] = real(z), imag(z)
	}
	return out
}

// attentionCases are attention over KV memory of each type.
func attentionCases(caches []gguf.Type) (cases []opCase) {
	if caches == nil {
		caches = []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0}
	}
	for _, s := range []struct {
		name         string
		rows         int
		keyD, valueD int
		attend       program.Attend
		sequences    int
		sinks        bool
		runs         bool  // a sequence's rows come together, up to 40 at a time
		start        int32 // position of the first row: a chunk's first
		spread       float64
	}{
		{name: "one_row", rows: 1, attend: program.Attend{Heads: 1, KVHeads: 1}},
		{name: "one_head", rows: 20, attend: program.Attend{Heads: 1, KVHeads: 1}},
		{name: "many_heads", rows: 20, attend: program.Attend{Heads: 12, KVHeads: 12}},
		{name: "gqa", rows: 20, attend: program.Attend{Heads: 9, KVHeads: 3}},
		{name: "mqa", rows: 20, attend: program.Attend{Heads: 8, KVHeads: 1}},
		{name: "odd_heads", rows: 7, keyD: 33, valueD: 33, attend: program.Attend{Heads: 3, KVHeads: 3}},
		{name: "values_wider_than_keys", rows: 20, keyD: 16, valueD: 48, attend: program.Attend{Heads: 4, KVHeads: 2}},
		{name: "wide_heads", rows: 40, keyD: 96, valueD: 64, attend: program.Attend{Heads: 6, KVHeads: 2}},
		{name: "values_narrower_than_keys", rows: 20, keyD: 48, valueD: 16, attend: program.Attend{Heads: 4, KVHeads: 2}},
		{name: "one_block", rows: 32, attend: program.Attend{Heads: 2, KVHeads: 1}},
		{name: "into_the_next_block", rows: 33, attend: program.Attend{Heads: 2, KVHeads: 1}},
		{name: "many_blocks", rows: 150, attend: program.Attend{Heads: 2, KVHeads: 1}},
		{name: "two_sequences", rows: 70, attend: program.Attend{Heads: 4, KVHeads: 2}, sequences: 2},
		{name: "five_sequences", rows: 70, attend: program.Attend{Heads: 4, KVHeads: 2}, sequences: 5},
		{name: "window_of_one", rows: 9, attend: program.Attend{Heads: 2, KVHeads: 1, Window: 1}},
		{name: "window", rows: 50, attend: program.Attend{Heads: 2, KVHeads: 1, Window: 7}},
		{name: "window_of_a_block", rows: 100, attend: program.Attend{Heads: 2, KVHeads: 1, Window: 32}},
		{name: "window_wider_than_all", rows: 20, attend: program.Attend{Heads: 2, KVHeads: 1, Window: 1000}},
		{name: "chunk", rows: 50, attend: program.Attend{Heads: 2, KVHeads: 1, Chunk: 8}},
		{name: "chunk_far_on", rows: 40, attend: program.Attend{Heads: 2, KVHeads: 1, Chunk: 8}, start: 1000},
		{name: "chunk_and_window", rows: 50, attend: program.Attend{Heads: 2, KVHeads: 1, Chunk: 16, Window: 5}},
		{name: "softcap", rows: 20, attend: program.Attend{Heads: 4, KVHeads: 2, Softcap: 2}},
		{name: "sinks", rows: 20, attend: program.Attend{Heads: 8, KVHeads: 2}, sinks: true},
		{name: "sinks_and_window", rows: 50, attend: program.Attend{Heads: 8, KVHeads: 2, Window: 9}, sinks: true},
		{name: "alibi", rows: 40, attend: program.Attend{Heads: 8, KVHeads: 8, ALiBi: 8}},
		{name: "alibi_12_heads", rows: 40, attend: program.Attend{Heads: 12, KVHeads: 4, ALiBi: 8}},
		{name: "prompt_window", rows: 100, attend: program.Attend{Heads: 6, KVHeads: 2, Window: 70}},
		{name: "prompt_chunk", rows: 100, attend: program.Attend{Heads: 6, KVHeads: 2, Chunk: 72}, sinks: true},
		{name: "prompt_softcap_alibi", rows: 80, keyD: 33, valueD: 65, attend: program.Attend{Heads: 10, KVHeads: 2, Softcap: 2, ALiBi: 8}},
		{name: "prompts_of_three", rows: 120, attend: program.Attend{Heads: 6, KVHeads: 3}, sequences: 3, runs: true},
		{name: "one_score_dwarfs", rows: 40, attend: program.Attend{Heads: 4, KVHeads: 2}, spread: 12},
		{name: "scale", rows: 20, attend: program.Attend{Heads: 4, KVHeads: 2, Scale: 0.7}},
	} {
		for _, cache := range caches {
			if s.keyD%cache.BlockSize() != 0 || s.valueD%cache.BlockSize() != 0 {
				continue
			}
			cases = append(cases, opCase{name: s.name + "_" + cache.String(), tokens: s.rows, build: func(c *builder) (program.Tensor, matrix) {
				c.cache = cache
				d, dv, spread := 32, 32, 1.0
				if s.keyD > 0 {
					d, dv = s.keyD, s.valueD
				}
				if s.spread > 0 {
					spread = s.spread
				}
				next := make([]int32, max(1, s.sequences))
				for i, left, q := 0, 0, 0; i < c.n; i, left = i+1, left-1 {
					if left <= 0 {
						q = c.r.IntN(len(next))
						if s.runs {
							left = 1 + c.r.IntN(40)
						}
					}
					c.sequences[i], c.positions[i] = int32(q), s.start+next[q]
					next[q]++
				}
				a := s.attend
				if a.Scale == 0 {
					a.Scale = float32(1 / math.Sqrt(float64(d)))
				}
				var sinks []float64
				if s.sinks {
					a.Sinks, sinks = c.weight(a.Heads)
				}
				q, qs := c.input(a.Heads*d, spread)
				k, ks := c.input(a.KVHeads*d, 1)
				v, vs := c.input(a.KVHeads*dv, 1)
				// Layer 0 has other shapes and must not be mixed up with layer 1.
				c.b.StoreKV(0, v, k)
				c.b.StoreKV(1, k, v)
				ks, vs = ks.rows(rounded(cache)), vs.rows(rounded(cache))
				return c.b.Attention(1, q, a), c.attention(qs, ks, vs, a, sinks)
			}})
		}
	}
	return cases
}

// rounded is what a cache of the given type keeps of a row.
func rounded(t gguf.Type) func(row []float64) []float64 {
	return func(row []float64) []float64 {
		x, raw := make([]float32, len(row)), make([]byte, t.RowBytes(len(row)))
		for i, v := range row {
			x[i] = float32(v)
		}
		if err := errors.Join(quant.Encode(t, raw, x), quant.Decode(t, x, raw)); err != nil {
			panic(err) // the types are fixed above
		}
		out := make([]float64, len(row))
		for i, v := range x {
			out[i] = float64(v)
		}
		return out
	}
}

// attention is softmax(scale·q·k + bias)·v over the rows of the same sequence
// that the mask lets a row see.
func (c *builder) attention(q, k, v matrix, a program.Attend, sinks []float64) matrix {
	d, dv := len(k[0])/a.KVHeads, len(v[0])/a.KVHeads
	out := make(matrix, c.n)
	for i := range out {
		own := int(c.positions[i])
		for h := range a.Heads {
			g := h * a.KVHeads / a.Heads
			total, y := 0.0, make([]float64, dv)
			if sinks != nil {
				total = math.Exp(sinks[h])
			}
			for j := range c.n {
				p := int(c.positions[j])
				switch {
				case c.sequences[j] != c.sequences[i], p > own,
					a.Window > 0 && own-p >= a.Window,
					a.Chunk > 0 && p/a.Chunk != own/a.Chunk:
					continue
				}
				score := 0.0
				for n := range d {
					score += q[i][h*d+n] * k[j][g*d+n]
				}
				score *= float64(a.Scale)
				if a.Softcap > 0 {
					score = float64(a.Softcap) * math.Tanh(score/float64(a.Softcap))
				}
				if a.ALiBi > 0 {
					score -= slope(h, a.Heads, float64(a.ALiBi)) * float64(own-p)
				}
				w := math.Exp(score)
				total += w
				for n := range y {
					y[n] += w * v[j][g*dv+n]
				}
			}
			for _, s := range y {
				out[i] = append(out[i], s/total)
			}
		}
	}
	return out
}

// slope is ALiBi's: for 8 heads and a bias of 8, 1/2, 1/4, … 1/256; heads beyond
// a power of two take every second slope of twice as many heads.
func slope(head, heads int, bias float64) float64 {
	power := int(math.Pow(2, math.Floor(math.Log2(float64(heads)))))
	if head < power {
		return math.Pow(2, -bias*float64(head+1)/float64(power))
	}
	return math.Pow(2, -bias*float64(2*(head-power)+1)/float64(2*power))
}
