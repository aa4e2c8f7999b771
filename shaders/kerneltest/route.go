package kerneltest

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/gollm/gollm/shaders"
)

// routeShape is a class of routers' logits.
type routeShape struct {
	name                string
	experts, used, rows int
	ties                bool
	offset              float32 // of the logits, but for sigmoid, which has no digits there
}

func routeCases() (list []Case) {
	gatings := []string{shaders.GateSoftmax: "softmax", shaders.GateSigmoid: "sigmoid", shaders.GateSoftmaxSelected: "softmax_selected"}
	shapes := []routeShape{{"one_expert", 1, 1, 2, false, 0}, {"few", 8, 2, 3, false, 0}, {"odd", 37, 5, 2, false, 0}, {"many", 256, 8, 2, false, 0}, {"all", 32, 32, 1, false, 0}, {"ties", 70, 9, 3, true, 0},
		{"far_below", 40, 4, 2, false, -200}, {"far_above", 40, 4, 2, false, 200}}
	for _, s := range shapes {
		for g, gating := range gatings {
			for option := range 4 {
				name := s.name + "_" + gating
				selection, normalise := option&1 != 0, option&2 != 0
				if selection {
					name += "_biased"
				}
				if normalise {
					name += "_normalised"
				}
				list = append(list, Case{Op: "route", Name: name, run: func(t *trial) { t.route(s, shaders.Gating(g), selection, normalise) }})
			}
		}
	}
	// A NaN among the logits must not become an expert's number out of range, nor vanish.
	nan := float32(math.NaN())
	for _, s := range []struct {
		name string
		x    []float32
	}{{"nan", []float32{1, nan, 2, nan}}, {"all_nan", []float32{nan, nan, nan, nan}}} {
		list = append(list, Case{Op: "route", Name: s.name, run: func(t *trial) {
			experts, weights := t.alloc(4*3), t.alloc(4*3)
			t.launch(step{shaders.Route(shaders.RouteParams{Experts: 4, Used: 3, Count: 1, Scale: 1}, shaders.GateSoftmaxSelected, false, false),
				map[int]memory{shaders.RouteX: t.floats(s.x), shaders.RouteExperts: experts, shaders.RouteWeights: weights}})
			for _, e := range experts.ints() {
				if e < 0 || e > 3 {
					t.fail("experts %v of 4", experts.ints())
				}
			}
			if w := weights.floats(); !slices.ContainsFunc(w, func(v float32) bool { return v != v }) {
				t.fail("weights %v hide the NaN", w)
			}
			t.result.Values += 3
		}})
	}
	return list
}

func (t *trial) route(s routeShape, g shaders.Gating, selection, normalise bool) {
	var x, bias []float32
	for first := true; first || tooClose(x, bias, g, s.experts, s.used); first = false {
		x, bias = t.normal(s.rows*s.experts), t.normal(s.experts)
		if g != shaders.GateSigmoid {
			for i := range x {
				x[i] += s.offset
			}
		}
		for i := range bias {
			bias[i] *= 0.1
		}
		if s.ties {
			for i := range x {
				x[i] = float32(int(2 * x[i]))
			}
			clear(bias)
		}
		if !selection {
			clear(bias)
		}
	}
	scale := float32(1 + t.rng.IntN(2))
	p := shaders.RouteParams{Experts: uint32(s.experts), Used: uint32(s.used), Count: uint32(s.rows), Scale: scale}
	experts, weights := t.alloc(4*s.rows*s.used), t.alloc(4*s.rows*s.used)
	buffers := map[int]memory{shaders.RouteX: t.floats(x), shaders.RouteExperts: experts, shaders.RouteWeights: weights}
	if selection {
		buffers[shaders.RouteSelect] = t.floats(bias)
	}
	t.launch(step{shaders.Route(p, g, selection, normalise), buffers})
	var want []float64
	for i := range s.rows {
		ids, w := choose(x[i*s.experts:(i+1)*s.experts], bias, g, s.used, normalise)
		same(t, fmt.Sprintf("experts of row %d", i), experts.ints()[i*s.used:(i+1)*s.used], ids)
		for _, v := range w {
			want = append(want, v*float64(scale))
		}
	}
	t.check(weights.floats(), want, s.used, 0, 1e-6)
}

// tooClose reports scores that are equal but for rounding where that decides who is chosen, or in what order.
func tooClose(x, bias []float32, g shaders.Gating, experts, used int) bool {
	for from := 0; from < len(x); from += experts {
		gated := gate(x[from:from+experts], g)
		var scores []float64
		for e, v := range gated {
			scores = append(scores, -v-float64(bias[e]))
		}
		slices.Sort(scores)
		for i := range min(used, experts-1) {
			if gap := scores[i+1] - scores[i]; gap != 0 && gap < 1e-5*math.Abs(scores[i]) {
				return true
			}
		}
	}
	return false
}

// gate gives the scores of logits, without a selection bias.
func gate(x []float32, g shaders.Gating) (gated []float64) {
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v))
	}
	for _, v := range x {
		switch g {
		case shaders.GateSoftmax:
			gated = append(gated, math.Exp(float64(v))/sum)
		case shaders.GateSigmoid:
			gated = append(gated, 1/(1+math.Exp(-float64(v))))
		default:
			gated = append(gated, float64(v))
		}
	}
	return gated
}

// choose is route in double precision.
func choose(x, bias []float32, g shaders.Gating, used int, normalise bool) ([]int32, []float64) {
	gated := gate(x, g)
	ids := make([]int32, len(x))
	for e := range ids {
		ids[e] = int32(e)
	}
	slices.SortStableFunc(ids, func(a, b int32) int {
		return cmp.Compare(gated[b]+float64(bias[b]), gated[a]+float64(bias[a]))
	})
	ids = ids[:used]
	w := make([]float64, used)
	for j, e := range ids {
		w[j] = gated[e]
	}
	if g == shaders.GateSoftmaxSelected {
		top, sum := slices.Max(w), 0.0
		for j := range w {
			w[j] = math.Exp(w[j] - top)
			sum += w[j]
		}
		for j := range w {
			w[j] /= sum
		}
	}
	if normalise {
		sum := 0.0
		for _, v := range w {
			sum += v
		}
		for j := range w {
			w[j] /= max(sum, 0x1p-14)
		}
	}
	return ids, w
}

// groupCases hold the order and the tiles against a stable sort.
func groupCases() (list []Case) {
	for _, s := range []struct {
		name           string
		experts, pairs int
	}{{"one_pair", 1, 1}, {"few_experts", 4, 100}, {"more_experts_than_pairs", 33, 31}, {"many", 128, 1024}, {"odd", 257, 700}, {"most_experts", shaders.MaxExperts, 5}} {
		list = append(list, Case{Op: "experts_by_pair", Name: s.name, run: func(t *trial) {
			ids := make([]int32, s.pairs)
			for i := range ids {
				ids[i] = int32(t.rng.IntN(s.experts) * t.rng.IntN(2)) // half of them expert 0
			}
			order, tiles := t.alloc(4*s.pairs), t.alloc(12*shaders.TileCount(s.experts, s.pairs))
			t.launch(step{shaders.GroupExpertsByPair(s.experts, s.pairs), map[int]memory{shaders.GroupExperts: t.ints(ids), shaders.GroupOrder: order, shaders.GroupTiles: tiles}})
			var want []int32
			for i := range ids {
				want = append(want, int32(i))
			}
			slices.SortStableFunc(want, func(a, b int32) int { return int(ids[a] - ids[b]) })
			same(t, "order", order.ints(), want)
			var all []int32
			for from := 0; from < s.pairs; {
				n := 1
				for n < 32 && from+n < s.pairs && ids[want[from+n]] == ids[want[from]] {
					n++
				}
				all = append(all, ids[want[from]], int32(from), int32(n))
				from += n
			}
			got := tiles.ints()
			if len(all) > len(got) {
				t.fail("%d tiles do not fit into %d", len(all)/3, len(got)/3)
			}
			same(t, "tiles", got, append(all, make([]int32, len(got)-len(all))...))
		}})
	}
	return list
}
