package kerneltest

import (
	"fmt"
	"math"

	"github.com/gollm/gollm/shaders"
)

// activations are package program's, by number.
var activations = [...]struct {
	name string
	f    func(float64) float64
}{
	{"silu", func(x float64) float64 { return x / (1 + math.Exp(-x)) }},
	{"gelu", func(x float64) float64 { return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) }},
	{"gelu_erf", func(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }},
	{"relu", func(x float64) float64 { return max(x, 0) }},
	{"relu_squared", func(x float64) float64 { return max(x, 0) * max(x, 0) }},
	{"sigmoid", func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }},
	{"tanh", math.Tanh},
}

// gptOSS is the number of the clamped gate, which only gated units have.
const gptOSS = 7

// gluName names the activation of a gated unit.
func gluName(activation int) string {
	if activation == gptOSS {
		return "gpt_oss"
	}
	return activations[activation].name
}

// glu is act(gate)·up.
func glu(gate, up float64, activation int) float64 {
	if activation == gptOSS {
		g := min(gate, 7)
		return g / (1 + math.Exp(-1.702*g)) * (min(max(up, -7), 7) + 1)
	}
	return activations[activation].f(gate) * up
}

// gluShape is a class of gated units. rept pairs share a row of x.
type gluShape struct {
	name                                     string
	width, rows, experts, used, tokens, rept int
	byID                                     bool
}

func gluCases() []Case {
	return eachType("matvec_glu", func(typ shaders.Type, add func(string, bool, func(*trial))) {
		shapes := []gluShape{
			{"one_row", 256, 1, 1, 1, 1, 1, false}, {"partial_tile", 512, 13, 1, 1, 1, 1, false},
			{"experts", 256, 5, 4, 3, 2, 3, true}, {"own_rows", 256, 3, 3, 2, 2, 1, true},
		}
		for i, s := range shapes {
			activation := (4*int(typ) + i) % 8
			add(s.name+"_"+gluName(activation), false, func(t *trial) { t.glu(typ, s, activation, shaders.Parts{}) })
		}
		for i, p := range everyPart {
			if p.Residual && p.name != "every_part" {
				continue // matvec_glu has none
			}
			for activation := range 8 {
				s, long := shapes[1+activation%3], typ != shaders.Q4_K || activation != i
				add(fmt.Sprintf("%s_%s_%s", s.name, gluName(activation), p.name), long, func(t *trial) { t.glu(typ, s, activation, p.Parts) })
			}
		}
	})
}

// gluNCases are units of several rows that share the weights.
func gluNCases() []Case {
	return eachType("matvec_glu_n", func(typ shaders.Type, add func(string, bool, func(*trial))) {
		few := 3 + int(typ)%5
		shapes := []gluShape{
			{"2_columns", 256, 1, 1, 1, 2, 1, false}, {fmt.Sprintf("%d_columns", few), 512, 13, 1, 1, few, 1, false},
			{"most_columns", 256, 6, 1, 1, shaders.MaxColumns, 1, false},
		}
		for i, s := range shapes {
			activation := (5*int(typ) + i) % 8
			add(s.name+"_"+gluName(activation), i != int(typ)%3, func(t *trial) { t.glu(typ, s, activation, shaders.Parts{}) })
		}
		for i, p := range everyPart {
			if p.Residual && p.name != "every_part" {
				continue
			}
			s, activation := shapes[i%3], (int(typ)+i)%8
			add(fmt.Sprintf("%s_%s_%s", s.name, gluName(activation), p.name), typ != shaders.Q4_K && typ != shaders.F16 && int(typ)%len(everyPart) != i,
				func(t *trial) { t.glu(typ, s, activation, p.Parts) })
		}
		if typ.BlockSize() == 1 {
			s := gluShape{"odd_tail", 77, 5, 1, 1, 3, 1, false}
			add(s.name, false, func(t *trial) { t.glu(typ, s, 0, allParts) })
		}
	})
}

// glu runs a shape: several tokens that are not by id share the weights.
func (t *trial) glu(typ shaders.Type, s gluShape, activation int, o shaders.Parts) {
	const eps = 1e-5
	o.Residual = false
	pairs := s.tokens * s.used
	g, u := t.matrix(typ, s.width, s.rows*s.experts), t.matrix(typ, s.width, s.rows*s.experts)
	x, norm := t.normal(pairs/s.rept*s.width), t.normal(s.width)
	gb, ub, gs, us := t.normal(s.rows*s.experts), t.normal(s.rows*s.experts), t.normal(s.experts), t.normal(s.experts)
	ids := make([]int32, pairs)
	buffers := map[int]memory{shaders.GLUGate: t.bytes(g.data), shaders.GLUUp: t.bytes(u.data), shaders.GLUX: t.floats(x), shaders.GLUOut: t.alloc(4 * pairs * s.rows)}
	if s.byID {
		for i := range ids {
			ids[i] = int32(t.rng.IntN(s.experts))
		}
		buffers[shaders.GLUIDs] = t.ints(ids)
	}
	if o.Bias {
		buffers[shaders.GLUGateBias], buffers[shaders.GLUUpBias] = t.floats(gb), t.floats(ub)
	}
	if o.Scale {
		buffers[shaders.GLUGateScale], buffers[shaders.GLUUpScale] = t.floats(gs), t.floats(us)
	}
	if o.Norm {
		buffers[shaders.GLUNorm] = t.floats(norm)
	}
	var want []float64
	largest := 0.0
	for i, id := range ids {
		row := normed(x[i/s.rept*s.width:(i/s.rept+1)*s.width], norm, eps, o.Norm)
		for j := range s.rows {
			at := int(id)*s.rows + j
			gate := finish(dot(g.row(at), row), gb[at], float64(gs[id]), 0, o)
			up := finish(dot(u.row(at), row), ub[at], float64(us[id]), 0, o)
			want = append(want, glu(gate, up, activation))
			// The product of two sums has the error of each times the other; a square doubles the gate's.
			sg, su := max(1, spread(g.row(at), row), math.Abs(gate)), max(1, spread(u.row(at), row), math.Abs(up))
			if activation == 4 {
				sg *= 2 * sg
			}
			largest = max(largest, sg*su)
		}
	}
	p := shaders.MatVecGLUParams{Width: uint32(s.width), Rows: uint32(s.rows), Experts: uint32(s.experts), Repeat: uint32(s.rept), Eps: eps}
	t.launch(step{shaders.MatVecGLU(typ, p, o, uint32(activation), s.byID, pairs), buffers})
	t.check(buffers[shaders.GLUOut].floats(), want, s.rows, largest, linearBound)
}
