package kerneltest

import (
	"slices"

	"github.com/gollm/gollm/shaders"
)

// expertShape is a class of projections by experts; repeat pairs share a row of x.
type expertShape struct {
	name                                       string
	width, rows, experts, tokens, used, repeat int
	parts                                      shaders.Parts
}

// experts is a random projection by experts: the weights of all below one another.
type experts struct {
	ids     []int32
	eps     float32
	buffers map[int]memory
	want    []float64
	size    float64
}

// experts makes a problem. Expert 0 is used by no token, if there are enough.
func (t *trial) experts(typ shaders.Type, s expertShape) *experts {
	e := &experts{eps: 1e-5}
	for range s.tokens {
		list := t.rng.Perm(s.experts)
		if s.experts > s.used {
			list = slices.DeleteFunc(list, func(i int) bool { return i == 0 })
		}
		for _, id := range list[:s.used] {
			e.ids = append(e.ids, int32(id))
		}
	}
	pairs, o := len(e.ids), s.parts
	w := t.matrix(typ, s.width, s.rows*s.experts)
	x, bias, scale, norm, resid := t.normal(pairs/s.repeat*s.width), t.normal(s.rows*s.experts), t.normal(s.experts), t.normal(s.width), t.normal(pairs*s.rows)
	e.buffers = map[int]memory{shaders.LinearWeights: t.bytes(w.data), shaders.LinearX: t.floats(x), shaders.LinearOut: t.alloc(4 * pairs * s.rows)}
	for _, p := range []struct {
		has   bool
		index int
		v     []float32
	}{{o.Bias, shaders.LinearBias, bias}, {o.Scale, shaders.LinearScale, scale}, {o.Residual, shaders.LinearResidual, resid}, {o.Norm, shaders.LinearNorm, norm}} {
		if p.has {
			e.buffers[p.index] = t.floats(p.v)
		}
	}
	for i, id := range e.ids {
		row := normed(x[i/s.repeat*s.width:(i/s.repeat+1)*s.width], norm, e.eps, o.Norm)
		for j := range s.rows {
			at := int(id)*s.rows + j
			e.size = max(e.size, spread(w.row(at), row))
			e.want = append(e.want, finish(dot(w.row(at), row), bias[at], float64(scale[id]), resid[i*s.rows+j], o))
		}
	}
	return e
}

// addExperts adds a case for each shape, and for each optional part, as addShapes does.
func addExperts(typ shaders.Type, shapes []expertShape, parts expertShape, add func(string, bool, func(*trial)), run func(*trial, expertShape)) {
	for _, s := range shapes {
		add(s.name, false, func(t *trial) { run(t, s) })
	}
	for i, p := range everyPart {
		s := parts
		s.parts = p.Parts
		add(p.name, int(typ)%len(everyPart) != i, func(t *trial) { run(t, s) })
	}
}

// without leaves the case of a name out.
func without(name string, add func(string, bool, func(*trial))) func(string, bool, func(*trial)) {
	return func(s string, long bool, run func(*trial)) {
		if s != name {
			add(s, long, run)
		}
	}
}

func matVecIDCases() []Case {
	return eachType("matvec_id", func(typ shaders.Type, add func(string, bool, func(*trial))) {
		shapes := []expertShape{
			{"one_token", 512, 5, 4, 1, 2, 2, shaders.Parts{}},
			{"all_experts_every_part", 256, 9, 3, 3, 3, 1, allParts},
		}
		if typ.BlockSize() == 1 {
			shapes = append(shapes, expertShape{"odd_tail_every_part", 37, 3, 4, 2, 2, 2, allParts})
		}
		addExperts(typ, shapes, expertShape{"", 256, 1, 5, 2, 3, 3, shaders.Parts{}}, add, func(t *trial, s expertShape) {
			e := t.experts(typ, s)
			p := shaders.MatVecIDParams{Width: uint32(s.width), Rows: uint32(s.rows), Experts: uint32(s.experts), Repeat: uint32(s.repeat), Eps: e.eps}
			e.buffers[shaders.LinearIDs] = t.ints(e.ids)
			t.launch(step{shaders.MatVecID(typ, p, s.parts, len(e.ids)), e.buffers})
			t.check(e.buffers[shaders.LinearOut].floats(), e.want, s.rows, e.size, linearBound)
		})
	})
}

func matMulIDCases() []Case {
	return eachType("matmul_id", func(typ shaders.Type, add func(string, bool, func(*trial))) {
		shapes := []expertShape{
			{"partial_tiles", 256, 67, 3, 21, 2, 2, shaders.Parts{}},
			{"few_pairs_every_part", 512, 9, 7, 5, 3, 1, allParts},
		}
		if typ.BlockSize() == 1 {
			shapes = append(shapes, expertShape{"odd_tail_every_part", 37, 3, 4, 9, 2, 2, allParts})
		}
		// Two experts of 40 tokens: a second tile of one expert.
		addExperts(typ, shapes, expertShape{"", 256, 5, 2, 40, 1, 1, shaders.Parts{}}, add, func(t *trial, s expertShape) {
			e := t.experts(typ, s)
			pairs := len(e.ids)
			p := shaders.MatMulIDParams{Width: uint32(s.width), Rows: uint32(s.rows), Repeat: uint32(s.repeat), Eps: e.eps}
			order, tiles := t.alloc(4*pairs), t.alloc(12*shaders.TileCount(s.experts, pairs))
			e.buffers[shaders.LinearOrder], e.buffers[shaders.LinearTiles] = order, tiles
			t.launch(step{shaders.GroupExpertsByPair(s.experts, pairs), map[int]memory{shaders.GroupExperts: t.ints(e.ids), shaders.GroupOrder: order, shaders.GroupTiles: tiles}},
				step{shaders.MatMulID(typ, p, s.parts, s.experts, pairs), e.buffers})
			t.check(e.buffers[shaders.LinearOut].floats(), e.want, s.rows, e.size, linearBound)
		})
	})
}

func matVecCombineCases() []Case {
	return eachType("matvec_combine", func(typ shaders.Type, add func(string, bool, func(*trial))) {
		shapes := []expertShape{
			{"one_token", 512, 5, 4, 1, 2, 1, shaders.Parts{}},
			{"one_expert", 256, 1, 1, 1, 1, 1, shaders.Parts{}},
			{"every_part", 256, 9, 5, 2, 3, 1, shaders.Parts{Bias: true, Scale: true, Residual: true}},
		}
		add = without("norm", add) // it has none
		addExperts(typ, shapes, expertShape{"", 256, 3, 5, 2, 3, 1, shaders.Parts{}}, add, func(t *trial, s expertShape) {
			residual := s.parts.Residual
			o := s.parts
			o.Norm, o.Residual = false, false
			s.parts = o
			e := t.experts(typ, s)
			o.Residual = residual // of the tokens, not of the pairs
			weights, resid := t.normal(len(e.ids)), t.normal(s.tokens*s.rows)
			var want []float64
			for token := range s.tokens {
				for j := range s.rows {
					sum := 0.0
					if residual {
						sum = float64(resid[token*s.rows+j])
					}
					for k := range s.used {
						sum += float64(weights[token*s.used+k]) * e.want[(token*s.used+k)*s.rows+j]
					}
					want = append(want, sum)
				}
			}
			out := t.alloc(4 * len(want))
			if residual { // in place
				out = t.floats(resid)
				e.buffers[shaders.LinearResidual] = out
			}
			e.buffers[shaders.LinearOut], e.buffers[shaders.LinearIDs], e.buffers[shaders.LinearExpertWeights] = out, t.ints(e.ids), t.floats(weights)
			p := shaders.MatVecCombineParams{Width: uint32(s.width), Rows: uint32(s.rows), Experts: uint32(s.experts), Used: uint32(s.used)}
			t.launch(step{shaders.MatVecCombine(typ, p, o, s.tokens), e.buffers})
			t.check(out.floats(), want, s.rows, e.size, linearBound)
		})
	})
}

func combineCases() (list []Case) {
	for _, s := range []struct {
		name               string
		width, used, count int
		residual           bool
	}{{"one_value", 1, 1, 1, false}, {"odd_tail", 130, 8, 3, false}, {"residual", 64, 4, 5, true}, {"odd_tail_residual", 130, 8, 3, true}} {
		list = append(list, Case{Op: "combine", Name: s.name, run: func(t *trial) {
			x, w, resid := t.normal(s.width*s.used*s.count), t.normal(s.used*s.count), t.normal(s.width*s.count)
			out := t.alloc(4 * len(resid))
			if s.residual {
				out = t.floats(resid)
			}
			buffers := map[int]memory{shaders.CombineX: t.floats(x), shaders.CombineWeights: t.floats(w), shaders.CombineOut: out}
			if s.residual {
				buffers[shaders.CombineResidual] = out
			}
			p := shaders.CombineParams{Width: uint32(s.width), Used: uint32(s.used), Count: uint32(s.count)}
			t.launch(step{shaders.Combine(p, s.residual), buffers})
			var want []float64
			for i := range s.count {
				for k := range s.width {
					sum := 0.0
					if s.residual {
						sum = float64(resid[i*s.width+k])
					}
					for j := range s.used {
						sum += float64(w[i*s.used+j]) * float64(x[(i*s.used+j)*s.width+k])
					}
					want = append(want, sum)
				}
			}
			t.check(out.floats(), want, s.width, 1, 1e-6)
		}})
	}
	return list
}
