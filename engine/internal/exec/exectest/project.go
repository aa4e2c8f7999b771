package exectest

import (
	"fmt"
	"math"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

func projectCases() (cases []opCase) {
	for _, s := range []struct {
		name                   string
		rows, in, out          int
		bias, scale, scaleBias bool
	}{
		{name: "one_row", rows: 1, in: 256, out: 96},
		{name: "one_output", rows: 5, in: 64, out: 1},
		{name: "one_column", rows: 5, in: 1, out: 7},
		{name: "odd_tail", rows: 3, in: 67, out: 31},
		{name: "four_rows", rows: 4, in: 67, out: 31},
		{name: "many_rows", rows: 45, in: 129, out: 65},
		{name: "long_rows", rows: 2, in: 5000, out: 9},
		{name: "many_outputs", rows: 2, in: 32, out: 3000},
		{name: "bias", rows: 6, in: 67, out: 31, bias: true},
		{name: "scale", rows: 6, in: 67, out: 31, scale: true},
		{name: "scale_then_bias", rows: 6, in: 67, out: 31, bias: true, scale: true},
		{name: "scale_of_the_bias_too", rows: 6, in: 67, out: 31, bias: true, scale: true, scaleBias: true},
	} {
		cases = append(cases, opCase{name: s.name, tokens: s.rows, build: func(c *builder) (program.Tensor, matrix) {
			x, a := c.input(s.in, 1)
			l := program.Linear{ScaleBias: s.scaleBias}
			var w, bias []float64
			l.Weight, w = c.weight(s.in, s.out)
			scale := 1.0
			if s.bias {
				l.Bias, bias = c.weight(s.out)
			}
			if s.scale {
				scale = 0.3
				l.Scale = plain("scale", []float64{scale}, 1)
				scale = float64(float32(scale))
			}
			return c.b.Project(x, l), c.project(a, w, bias, scale, s.scaleBias)
		}})
	}
	for _, typ := range weightTypes() {
		block := typ.BlockSize()
		for _, s := range []struct{ rows, in, out int }{{1, 3 * block, 5}, {6, 256, 37}} {
			if s.in%block != 0 {
				continue
			}
			cases = append(cases, opCase{name: fmt.Sprintf("%s_%d_rows", typ, s.rows), tokens: s.rows, typ: typ, build: func(c *builder) (program.Tensor, matrix) {
				x, a := c.input(s.in, 1)
				weight, w := c.weightOf(typ, s.in, s.out)
				return c.b.Project(x, program.Linear{Weight: weight}), c.project(a, w, nil, 1, false)
			}})
		}
	}
	return cases
}

// project is x·wᵀ, with errors measured by what the sums are made of: a sum may
// cancel.
func (c *builder) project(x matrix, w, bias []float64, scale float64, scaleBias bool) matrix {
	rows := rowsOf(w, len(x[0]))
	want := make(matrix, len(x))
	c.size = make(matrix, len(x))
	for i := range x {
		for o, row := range rows {
			sum, square := 0.0, 0.0
			for j, v := range row {
				sum += v * x[i][j]
				square += v * x[i][j] * v * x[i][j]
			}
			y, size := sum*scale, math.Sqrt(square)*scale
			if bias != nil {
				y += bias[o]
				size += math.Abs(bias[o])
				if scaleBias {
					y = (sum + bias[o]) * scale
				}
			}
			want[i] = append(want[i], y)
			c.size[i] = append(c.size[i], size)
		}
	}
	return want
}

// expertCases covers Route, ProjectExperts and CombineExperts. Experts are
// seen through what they compute.
func expertCases() (cases []opCase) {
	type shape struct {
		name          string
		rows, experts int
		routing       program.Routing
		bias, equal   bool
	}
	var shapes []shape
	for _, g := range []program.Gating{program.GateSoftmax, program.GateSigmoid, program.GateSoftmaxSelected} {
		for _, normalise := range []bool{false, true} {
			name := g.String()
			if normalise {
				name += "_normalised"
			}
			shapes = append(shapes, shape{name: name, rows: 9, experts: 8, routing: program.Routing{Used: 3, Gating: g, Normalise: normalise}})
		}
	}
	softmax := program.Routing{Used: 3, Gating: program.GateSoftmax}
	scaled := softmax
	scaled.Scale, scaled.Normalise = 2.5, true
	one := softmax
	one.Used = 1
	shapes = append(shapes,
		shape{name: "one_row", rows: 1, experts: 8, routing: softmax},
		shape{name: "one_expert_used", rows: 5, experts: 8, routing: one},
		shape{name: "all_experts_used", rows: 5, experts: 3, routing: softmax},
		shape{name: "equal_scores", rows: 5, experts: 8, routing: softmax, equal: true},
		shape{name: "scaled", rows: 5, experts: 8, routing: scaled},
		shape{name: "bias_chooses_only", rows: 20, experts: 8, routing: program.Routing{Used: 3, Gating: program.GateSigmoid, Normalise: true}, bias: true},
	)
	for _, s := range shapes {
		cases = append(cases, opCase{name: "route_" + s.name, tokens: s.rows, build: func(c *builder) (program.Tensor, matrix) {
			logits := random(c.r, c.n, s.experts, 2)
			if s.equal {
				for _, row := range logits {
					row[0] = min(row[0], 0) // the last of a row of equals
					for j := range row {
						row[j] = row[0]
					}
					row[5] = row[0] + 1
				}
			}
			x, _ := c.given(logits)
			r := s.routing
			var bias []float64
			if s.bias {
				r.Bias, bias = c.weight(s.experts)
			}
			experts, weights := c.b.Route(x, r)
			// Each expert gives its own number and a 1: the sums tell who was
			// chosen, with what weight.
			of := make([]float64, 0, 2*s.experts)
			for e := range s.experts {
				of = append(of, float64(e*e+1), 1)
			}
			unit, _ := c.given(constant(c.n, 1, 1))
			y := c.b.ProjectExperts(unit, program.Linear{Weight: plain("experts", of, 1, 2, s.experts)}, experts)
			want := make(matrix, c.n)
			for i := range want {
				want[i] = []float64{0, 0}
				for e, w := range route(logits[i], bias, r) {
					want[i][0] += w * of[2*e]
					want[i][1] += w
				}
			}
			return c.b.CombineExperts(y, weights), want
		}})
	}

	for _, s := range []struct {
		name                string
		rows, in, mid, out  int
		typ                 gguf.Type
		bias, scale, chosen bool
	}{
		{name: "one_row", rows: 1, in: 64, mid: 32, out: 48, typ: gguf.F32},
		{name: "odd_tail", rows: 5, in: 67, mid: 31, out: 33, typ: gguf.F32},
		{name: "many_rows", rows: 40, in: 33, mid: 9, out: 17, typ: gguf.F32},
		{name: "bias", rows: 5, in: 67, mid: 31, out: 33, typ: gguf.F32, bias: true},
		{name: "scale", rows: 5, in: 67, mid: 31, out: 33, typ: gguf.F32, bias: true, scale: true},
		{name: "Q8_0", rows: 5, in: 64, mid: 32, out: 33, typ: gguf.Q8_0},
		{name: "Q4_K", rows: 5, in: 256, mid: 256, out: 33, typ: gguf.Q4_K},
	} {
		cases = append(cases, opCase{name: "project_" + s.name, tokens: s.rows, build: func(c *builder) (program.Tensor, matrix) {
			const all, used = 5, 2
			logits, scores := c.input(all, 2)
			x, a := c.input(s.in, 1)
			// Two in a row: the first takes one row a token, the second one a
			// token and expert.
			layer := func(in, out int) (l program.Linear, f func(e int, x []float64) []float64) {
				var w, bias, scale []float64
				l.Weight, w = c.weightOf(s.typ, in, out, all)
				if s.bias {
					l.Bias, bias = c.weight(out, all)
				}
				if s.scale {
					l.Scale, scale = c.weight(all)
				}
				return l, func(e int, x []float64) (y []float64) {
					for o := range out {
						sum := 0.0
						for j, v := range x {
							sum += v * w[(e*out+o)*in+j]
						}
						if scale != nil {
							sum *= scale[e]
						}
						if bias != nil {
							sum += bias[e*out+o]
						}
						y = append(y, sum)
					}
					return y
				}
			}
			up, upOf := layer(s.in, s.mid)
			down, downOf := layer(s.mid, s.out)
			r := program.Routing{Used: used, Gating: program.GateSoftmax, Normalise: true}
			experts, weights := c.b.Route(logits, r)
			y := c.b.ProjectExperts(c.b.ProjectExperts(x, up, experts), down, experts)
			want := make(matrix, c.n)
			for i := range want {
				want[i] = make([]float64, s.out)
				for e, w := range route(scores[i], nil, r) {
					for j, v := range downOf(e, upOf(e, a[i])) {
						want[i][j] += w * v
					}
				}
			}
			return c.b.CombineExperts(y, weights), want
		}})
	}
	return cases
}

// constant is a matrix of one value.
func constant(rows, width int, v float64) matrix {
	m := make(matrix, rows)
	for i := range m {
		for range width {
			m[i] = append(m[i], v)
		}
	}
	return m
}

// route returns the weights of the experts a row of logits chooses.
func route(logits, bias []float64, r program.Routing) map[int]float64 {
	softmax := func(x map[int]float64) map[int]float64 {
		sum, out := 0.0, map[int]float64{}
		for _, v := range x {
			sum += math.Exp(v)
		}
		for e, v := range x {
			out[e] = math.Exp(v) / sum
		}
		return out
	}
	scores := map[int]float64{}
	for e, v := range logits {
		scores[e] = v
	}
	switch r.Gating {
	case program.GateSoftmax:
		scores = softmax(scores)
	case program.GateSigmoid:
		for e, v := range scores {
			scores[e] = 1 / (1 + math.Exp(-v))
		}
	}
	chosen := map[int]float64{}
	for range r.Used {
		best, value := -1, 0.0
		for e := range logits {
			v := scores[e]
			if bias != nil {
				v += bias[e]
			}
			if _, ok := chosen[e]; !ok && (best < 0 || v > value) {
				best, value = e, v
			}
		}
		chosen[best] = scores[best]
	}
	if r.Gating == program.GateSoftmaxSelected {
		chosen = softmax(chosen)
	}
	sum := 0.0
	for _, w := range chosen {
		sum += w
	}
	for e := range chosen {
		if r.Normalise {
			chosen[e] /= sum
		}
		if r.Scale != 0 {
			chosen[e] *= float64(r.Scale)
		}
	}
	return chosen
}
