package shaders_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gollm/gollm/shaders"
)

// experts is a random projection by experts: the weights of all below one another.
type experts struct {
	w            matrix
	count, rows  int // experts, rows of one
	used, repeat int
	ids          []int32
	parts        shaders.Parts
	eps          float32
	buffers      map[int]memory
	want         []float64
	size         float64
}

// experts makes a problem of so many tokens. Expert 0 is used by no token, if there are enough.
func (r *rig) experts(t shaders.Type, width, rows, count, tokens, used, repeat int, o shaders.Parts) *experts {
	e := &experts{w: r.matrix(t, width, rows*count), count: count, rows: rows, used: used, repeat: repeat, parts: o, eps: 1e-5}
	for range tokens {
		list := r.rng.Perm(count)
		if count > used {
			list = slices.DeleteFunc(list, func(i int) bool { return i == 0 })
		}
		for _, id := range list[:used] {
			e.ids = append(e.ids, int32(id))
		}
	}
	pairs := len(e.ids)
	x, bias, scale, norm, resid := r.normal(pairs/repeat*width), r.normal(rows*count), r.normal(count), r.normal(width), r.normal(pairs*rows)
	e.buffers = map[int]memory{shaders.LinearWeights: r.bytes(e.w.data), shaders.LinearX: r.floats(x), shaders.LinearOut: r.alloc(4 * pairs * rows)}
	for _, p := range []struct {
		has   bool
		index int
		v     []float32
	}{{o.Bias, shaders.LinearBias, bias}, {o.Scale, shaders.LinearScale, scale}, {o.Residual, shaders.LinearResidual, resid}, {o.Norm, shaders.LinearNorm, norm}} {
		if p.has {
			e.buffers[p.index] = r.floats(p.v)
		}
	}
	for i, id := range e.ids {
		row := normed(x[i/repeat*width:(i/repeat+1)*width], norm, e.eps, o.Norm)
		for j := range rows {
			at := int(id)*rows + j
			e.size = max(e.size, size(e.w.row(at), row))
			e.want = append(e.want, finish(dot(e.w.row(at), row), bias[at], float64(scale[id]), resid[i*rows+j], o))
		}
	}
	return e
}

func TestMatVecID(t *testing.T) {
	eachType(t, func(r *rig, typ shaders.Type) {
		o := everyPart[r.rng.IntN(len(everyPart))]
		all := everyPart[len(everyPart)-1]
		list := []*experts{
			r.experts(typ, 512, 5, 4, 1, 2, 2, shaders.Parts{}),
			r.experts(typ, 256, 9, 3, 3, 3, 1, all),
			r.experts(typ, 256, 1, 5, 2, 3, 3, o),
		}
		if typ.BlockSize() == 1 {
			list = append(list, r.experts(typ, 37, 3, 4, 2, 2, 2, all))
		}
		for _, e := range list {
			p := shaders.MatVecIDParams{Width: uint32(e.w.width), Rows: uint32(e.rows), Experts: uint32(e.count), Repeat: uint32(e.repeat), Eps: e.eps}
			e.buffers[shaders.LinearIDs] = r.ints(e.ids)
			r.run(step{shaders.MatVecID(typ, p, e.parts, len(e.ids)), e.buffers})
			r.check(fmt.Sprintf("%d experts %+v", e.count, e.parts), e.buffers[shaders.LinearOut].floats(), e.want, e.rows, e.size, bound)
		}
	})
}

func TestMatMulID(t *testing.T) {
	eachType(t, func(r *rig, typ shaders.Type) {
		all := everyPart[len(everyPart)-1]
		list := []*experts{
			r.experts(typ, 256, 67, 3, 21, 2, 2, shaders.Parts{}),
			r.experts(typ, 256, 5, 2, 40, 1, 1, everyPart[r.rng.IntN(len(everyPart))]), // a second tile of one expert
			r.experts(typ, 512, 9, 7, 5, 3, 1, all),
		}
		if typ.BlockSize() == 1 {
			list = append(list, r.experts(typ, 37, 3, 4, 9, 2, 2, all))
		}
		for _, e := range list {
			pairs := len(e.ids)
			p := shaders.MatMulIDParams{Width: uint32(e.w.width), Rows: uint32(e.rows), Repeat: uint32(e.repeat), Eps: e.eps}
			order, tiles := r.alloc(4*pairs), r.alloc(12*shaders.TileCount(e.count, pairs))
			e.buffers[shaders.LinearOrder], e.buffers[shaders.LinearTiles] = order, tiles
			r.run(step{shaders.GroupExpertsByPair(e.count, pairs), map[int]memory{shaders.GroupExperts: r.ints(e.ids), shaders.GroupOrder: order, shaders.GroupTiles: tiles}},
				step{shaders.MatMulID(typ, p, e.parts, e.count, pairs), e.buffers})
			r.check(fmt.Sprintf("%d experts %+v", e.count, e.parts), e.buffers[shaders.LinearOut].floats(), e.want, e.rows, e.size, bound)
		}
	})
}

// TestGroupExperts holds the order and the tiles against a stable sort.
func TestGroupExperts(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ experts, pairs int }{{1, 1}, {4, 100}, {33, 31}, {128, 1024}, {257, 700}, {1024, 5}} {
		ids := make([]int32, c.pairs)
		for i := range ids {
			ids[i] = int32(r.rng.IntN(c.experts) * r.rng.IntN(2)) // half of them expert 0
		}
		order, tiles := r.alloc(4*c.pairs), r.alloc(12*shaders.TileCount(c.experts, c.pairs))
		r.run(step{shaders.GroupExpertsByPair(c.experts, c.pairs), map[int]memory{shaders.GroupExperts: r.ints(ids), shaders.GroupOrder: order, shaders.GroupTiles: tiles}})
		var want []int32
		for i := range ids {
			want = append(want, int32(i))
		}
		slices.SortStableFunc(want, func(a, b int32) int { return int(ids[a] - ids[b]) })
		if got := order.ints(); !slices.Equal(got, want) {
			t.Errorf("%d experts, %d pairs: order %v, want %v", c.experts, c.pairs, got, want)
		}
		var all []int32
		for from := 0; from < c.pairs; {
			n := 1
			for n < 32 && from+n < c.pairs && ids[want[from+n]] == ids[want[from]] {
				n++
			}
			all = append(all, ids[want[from]], int32(from), int32(n))
			from += n
		}
		got := tiles.ints()
		if len(all) > len(got) {
			t.Fatalf("%d experts, %d pairs: %d tiles do not fit into %d", c.experts, c.pairs, len(all)/3, len(got)/3)
		}
		all = append(all, make([]int32, len(got)-len(all))...)
		if !slices.Equal(got, all) {
			t.Errorf("%d experts, %d pairs: tiles %v, want %v", c.experts, c.pairs, got, all)
		}
	}
}

func TestRoute(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name                string
		experts, used, rows int
		ties                bool
		offset              float32 // of the logits, but for sigmoid, which has no digits there
	}{{"one_expert", 1, 1, 2, false, 0}, {"few", 8, 2, 3, false, 0}, {"odd", 37, 5, 2, false, 0}, {"many", 256, 8, 2, false, 0}, {"all", 32, 32, 1, false, 0}, {"ties", 70, 9, 3, true, 0},
		{"far_below", 40, 4, 2, false, -200}, {"far_above", 40, 4, 2, false, 200}} {

		for _, g := range []shaders.Gating{shaders.GateSoftmax, shaders.GateSigmoid, shaders.GateSoftmaxSelected} {
			for option := range 4 {
				selection, normalise := option&1 != 0, option&2 != 0
				var x, bias []float32
				for first := true; first || tooClose(x, bias, g, c.experts, c.used); first = false {
					x, bias = r.normal(c.rows*c.experts), r.normal(c.experts)
					if g != shaders.GateSigmoid {
						for i := range x {
							x[i] += c.offset
						}
					}
					for i := range bias {
						bias[i] *= 0.1
					}
					if c.ties {
						for i := range x {
							x[i] = float32(int(2 * x[i]))
						}
						clear(bias)
					}
					if !selection {
						clear(bias)
					}
				}
				scale := float32(1 + r.rng.IntN(2))
				p := shaders.RouteParams{Experts: uint32(c.experts), Used: uint32(c.used), Count: uint32(c.rows), Scale: scale}
				experts, weights := r.alloc(4*c.rows*c.used), r.alloc(4*c.rows*c.used)
				buffers := map[int]memory{shaders.RouteX: r.floats(x), shaders.RouteExperts: experts, shaders.RouteWeights: weights}
				if selection {
					buffers[shaders.RouteSelect] = r.floats(bias)
				}
				r.run(step{shaders.Route(p, g, selection, normalise), buffers})
				name := fmt.Sprintf("%s gating %d selection %t normalise %t", c.name, g, selection, normalise)
				var want []float64
				for i := range c.rows {
					ids, w := choose(x[i*c.experts:(i+1)*c.experts], bias, g, c.used, normalise)
					if got := experts.ints()[i*c.used : (i+1)*c.used]; !slices.Equal(got, ids) {
						t.Errorf("%s: row %d: experts %v, want %v", name, i, got, ids)
					}
					for _, v := range w {
						want = append(want, v*float64(scale))
					}
				}
				r.check(name, weights.floats(), want, c.used, 0, 1e-6)
			}
		}
	}
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

// A NaN among the logits must not become an expert's number out of range.
func TestRouteNaN(t *testing.T) {
	r := newRig(t)
	nan := float32(math.NaN())
	for _, x := range [][]float32{{nan, nan, nan, nan}, {1, nan, 2, nan}} {
		experts, weights := r.alloc(4*3), r.alloc(4*3)
		r.run(step{shaders.Route(shaders.RouteParams{Experts: 4, Used: 3, Count: 1, Scale: 1}, shaders.GateSoftmaxSelected, false, false),
			map[int]memory{shaders.RouteX: r.floats(x), shaders.RouteExperts: experts, shaders.RouteWeights: weights}})
		for _, e := range experts.ints() {
			if e < 0 || e > 3 {
				t.Errorf("logits %v: experts %v", x, experts.ints())
			}
		}
		if w := weights.floats(); !slices.ContainsFunc(w, func(v float32) bool { return v != v }) {
			t.Errorf("logits %v: weights %v hide the NaN", x, w)
		}
	}
}

func TestCombine(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ width, used, count int }{{1, 1, 1}, {130, 8, 3}, {64, 4, 5}} {
		for _, residual := range []bool{false, true} {
			x, w, resid := r.normal(c.width*c.used*c.count), r.normal(c.used*c.count), r.normal(c.width*c.count)
			out := r.alloc(4 * len(resid))
			if residual {
				out = r.floats(resid)
			}
			buffers := map[int]memory{shaders.CombineX: r.floats(x), shaders.CombineWeights: r.floats(w), shaders.CombineOut: out}
			if residual {
				buffers[shaders.CombineResidual] = out
			}
			p := shaders.CombineParams{Width: uint32(c.width), Used: uint32(c.used), Count: uint32(c.count)}
			r.run(step{shaders.Combine(p, residual), buffers})
			var want []float64
			for i := range c.count {
				for k := range c.width {
					sum := 0.0
					if residual {
						sum = float64(resid[i*c.width+k])
					}
					for j := range c.used {
						sum += float64(w[i*c.used+j]) * float64(x[(i*c.used+j)*c.width+k])
					}
					want = append(want, sum)
				}
			}
			r.check(fmt.Sprintf("%+v residual %t", c, residual), out.floats(), want, c.width, 1, 1e-6)
		}
	}
}

func TestMatVecCombine(t *testing.T) {
	eachType(t, func(r *rig, typ shaders.Type) {
		for i, c := range []struct{ width, rows, experts, used, tokens int }{{512, 5, 4, 2, 1}, {256, 9, 5, 3, 2}, {256, 1, 1, 1, 1}} {
			o := everyPart[r.rng.IntN(len(everyPart))]
			if i == 1 {
				o = shaders.Parts{Bias: true, Scale: true, ScaleBias: r.rng.IntN(2) == 0, Residual: true}
			}
			o.Norm = false
			residual := o.Residual
			o.Residual = false // of the pairs, in the reference
			e := r.experts(typ, c.width, c.rows, c.experts, c.tokens, c.used, 1, o)
			o.Residual = residual
			weights, resid := r.normal(len(e.ids)), r.normal(c.tokens*c.rows)
			var want []float64
			for token := range c.tokens {
				for j := range c.rows {
					sum := 0.0
					if residual {
						sum = float64(resid[token*c.rows+j])
					}
					for k := range c.used {
						sum += float64(weights[token*c.used+k]) * e.want[(token*c.used+k)*c.rows+j]
					}
					want = append(want, sum)
				}
			}
			out := r.alloc(4 * len(want))
			if residual { // in place
				out = r.floats(resid)
				e.buffers[shaders.LinearResidual] = out
			}
			e.buffers[shaders.LinearOut], e.buffers[shaders.LinearIDs], e.buffers[shaders.LinearExpertWeights] = out, r.ints(e.ids), r.floats(weights)
			p := shaders.MatVecCombineParams{Width: uint32(c.width), Rows: uint32(c.rows), Experts: uint32(c.experts), Used: uint32(c.used)}
			r.run(step{shaders.MatVecCombine(typ, p, o, c.tokens), e.buffers})
			r.check(fmt.Sprintf("%+v %+v", c, o), out.floats(), want, c.rows, e.size, bound)
		}
	})
}
