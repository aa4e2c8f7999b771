package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// probabilities returns what each token's share of many draws should be: the
// filters written again in the plainest way, on sorted copies, in float64.
func probabilities(logits []float32, p Params) map[int32]float64 {
	type tok struct {
		id int32
		l  float64
		p  float64
	}
	var t []tok
	for i, l := range logits {
		if !math.IsInf(float64(l), -1) {
			t = append(t, tok{id: int32(i), l: float64(l)})
		}
	}
	slices.SortStableFunc(t, func(a, b tok) int {
		if a.l > b.l {
			return -1
		} else if a.l < b.l {
			return 1
		}
		return 0
	})
	softmax := func(temp float64) {
		sum := 0.0
		for i := range t {
			t[i].p = math.Exp((t[i].l - t[0].l) / temp)
			sum += t[i].p
		}
		for i := range t {
			t[i].p /= sum
		}
	}
	keep := max(1, p.MinKeep)
	if p.TopK > 0 && p.TopK < len(t) {
		t = t[:p.TopK]
	}
	if p.Typical > 0 && p.Typical < 1 {
		softmax(1)
		h := 0.0
		for _, x := range t {
			h -= x.p * math.Log(x.p)
		}
		slices.SortStableFunc(t, func(a, b tok) int {
			x, y := math.Abs(-math.Log(a.p)-h), math.Abs(-math.Log(b.p)-h)
			if x < y {
				return -1
			} else if x > y {
				return 1
			}
			return 0
		})
		sum, n := 0.0, 0
		for n < len(t) && (n < keep || sum <= p.Typical) {
			sum += t[n].p
			n++
		}
		t = t[:n]
		slices.SortStableFunc(t, func(a, b tok) int {
			if a.l > b.l {
				return -1
			}
			return 1
		})
	}
	if p.TopP > 0 && p.TopP < 1 {
		softmax(1)
		sum, n := 0.0, 0
		for n < len(t) && (n < keep || sum < p.TopP) {
			sum += t[n].p
			n++
		}
		t = t[:n]
	}
	if p.MinP > 0 {
		n := 0
		for n < len(t) && (n < keep || t[n].l >= t[0].l+math.Log(p.MinP)) {
			n++
		}
		t = t[:n]
	}
	softmax(p.Temperature)
	out := map[int32]float64{}
	for _, x := range t {
		out[x.id] = x.p
	}
	return out
}

func TestDrawsFollowTheDistribution(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	logits := make([]float32, 200)
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * 3)
	}
	logits[17] = float32(math.Inf(-1))
	for name, p := range map[string]Params{
		"all":         {Temperature: 1},
		"hot":         {Temperature: 2},
		"top_k":       {Temperature: 1, TopK: 5},
		"top_p":       {Temperature: 0.7, TopP: 0.8},
		"min_p":       {Temperature: 1, MinP: 0.1},
		"min_keep":    {Temperature: 1, MinP: 0.99, TopP: 0.01, MinKeep: 4},
		"typical":     {Temperature: 1, Typical: 0.6},
		"chain":       {Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, Typical: 0.9},
		"k_past_size": {Temperature: 1, TopK: 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			p.Seed = seed
			want := probabilities(logits, p)
			s, err := New(p)
			if err != nil {
				t.Fatal(err)
			}
			const n = 20000
			got := map[int32]float64{}
			for range n {
				id, err := s.Sample(slices.Clone(logits))
				if err != nil {
					t.Fatal(err)
				}
				got[id] += 1.0 / n
			}
			for id, p := range got {
				if want[id] == 0 {
					t.Errorf("token %d drawn with %.4f, should be cut", id, p)
				}
			}
			for id, p := range want {
				// Six standard deviations of a binomial share, and six draws for
				// tokens so rare that one draw is many deviations.
				if d := math.Abs(got[id] - p); d > 6*math.Sqrt(p*(1-p)/n)+6.0/n {
					t.Errorf("token %d drawn with %.4f, want %.4f", id, got[id], p)
				}
			}
		})
	}
}

func TestGreedy(t *testing.T) {
	s, _ := New(Params{TopK: 3, TopP: 0.1, MinP: 0.5})
	for range 10 {
		if id, err := s.Sample([]float32{1, 5, 5, 2}); id != 1 || err != nil {
			t.Fatalf("got %d, %v; want the first of the largest", id, err)
		}
	}
}

// A greedy sampler picks the first of the largest whatever came before.
func TestGreedyReported(t *testing.T) {
	for _, c := range []struct {
		p    Params
		want bool
	}{
		{Params{}, true},
		{Params{TopK: 40, TopP: 0.95, MinP: 0.05, RepeatPenalty: 1, RepeatLast: 64}, true},
		{Params{RepeatPenalty: 1.1}, true}, // looks at no tokens
		{Params{Typical: 1}, true},
		{Default(), false},
		{Params{Typical: 0.5}, false},
		{Params{RepeatPenalty: 1.1, RepeatLast: 8}, false},
		{Params{FrequencyPenalty: 0.1, RepeatLast: 8}, false},
		{Params{PresencePenalty: -0.1, RepeatLast: 8}, false},
		{Params{Bias: map[int32]float32{1: 2}}, false},
	} {
		s, err := New(c.p)
		if err != nil {
			t.Fatal(err)
		}
		if s.Greedy() != c.want {
			t.Errorf("%+v: greedy is %v", c.p, !c.want)
		}
		s.Accept(1)
		s.Accept(1)
		if id, err := s.Sample([]float32{0, 5, 5, 4.9}); c.want && (id != 1 || err != nil) {
			t.Errorf("%+v: picked %d, %v", c.p, id, err)
		}
	}
}

func TestTypicalMayCutTheLargest(t *testing.T) {
	// One token of probability a half, many of little: the entropy is nearer to
	// the little ones' information.
	logits := make([]float32, 1001)
	logits[0] = float32(math.Log(300))
	s, _ := New(Params{Typical: 0.2})
	id, err := s.Sample(logits)
	if err != nil || id == 0 {
		t.Fatalf("got %d, %v; want one of the typical tokens", id, err)
	}
}

func TestPenalties(t *testing.T) {
	s, err := New(Params{RepeatPenalty: 2, FrequencyPenalty: 0.25, PresencePenalty: 0.5, RepeatLast: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []int32{9, 0, 1, 1} { // 9 falls out of the last three
		s.Accept(id)
	}
	logits := []float32{4, -1, 3, 0, 0, 0, 0, 0, 0, 2}
	s.penalise(logits)
	want := []float32{4.0/2 - 0.25 - 0.5, -1*2 - 2*0.25 - 0.5, 3, 0, 0, 0, 0, 0, 0, 2}
	if !slices.Equal(logits, want) {
		t.Errorf("got %v, want %v", logits, want)
	}
	s.Reset()
	s.penalise(logits)
	if !slices.Equal(logits, want) {
		t.Error("Reset keeps penalties")
	}
}

func TestBias(t *testing.T) {
	s, _ := New(Params{Bias: map[int32]float32{2: 10, 99: 1}})
	if id, _ := s.Sample([]float32{1, 5, 0}); id != 2 {
		t.Errorf("got %d, want the biased token", id)
	}
}

func TestSeedsRepeat(t *testing.T) {
	logits := make([]float32, 50)
	draw := func(seed uint64) (out []int32) {
		s, _ := New(Params{Temperature: 1, Seed: seed})
		for range 20 {
			id, _ := s.Sample(slices.Clone(logits))
			out = append(out, id)
		}
		return out
	}
	if !slices.Equal(draw(7), draw(7)) {
		t.Error("equal seeds differ")
	}
	if slices.Equal(draw(7), draw(8)) {
		t.Error("different seeds agree")
	}
}

func TestRefusals(t *testing.T) {
	nan := float32(math.NaN())
	inf := float32(math.Inf(-1))
	s, _ := New(Default())
	for name, l := range map[string][]float32{"none": {}, "nan": {1, nan, 2}, "all_cut": {inf, inf}} {
		if id, err := s.Sample(l); err == nil {
			t.Errorf("%s: got %d, want an error", name, id)
		}
	}
	for _, p := range []Params{{Temperature: -1}, {TopP: -0.1}, {MinP: 2}, {TopK: -1}, {Temperature: math.NaN()}, {RepeatLast: -1}} {
		if _, err := New(p); err == nil {
			t.Errorf("%+v accepted", p)
		}
	}
}

func TestSampleAllocatesNothing(t *testing.T) {
	p := Default()
	p.RepeatPenalty, p.Typical = 1.1, 0.9
	s, _ := New(p)
	logits := make([]float32, 5000)
	for i := range logits {
		logits[i] = float32(i % 97)
	}
	run := func() {
		id, _ := s.Sample(logits)
		s.Accept(id)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations a token", n)
	}
}

func BenchmarkSample(b *testing.B) {
	for name, p := range map[string]Params{
		"default": Default(),
		"top_p":   {Temperature: 0.8, TopP: 0.95},
		"greedy":  {},
	} {
		b.Run(name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			logits := make([]float32, 262144)
			for i := range logits {
				logits[i] = float32(r.NormFloat64() * 3)
			}
			s, _ := New(p)
			for b.Loop() {
				if _, err := s.Sample(logits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
