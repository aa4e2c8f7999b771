package shaders_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/gollm/gollm/shaders"
)

// activations are package program's, by number: SiLU, GELU, GELUErf, ReLU, ReLUSquared, Sigmoid, Tanh; 7 is GPTOSS.
var activations = [...]func(float64) float64{
	func(x float64) float64 { return x / (1 + math.Exp(-x)) },
	func(x float64) float64 { return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) },
	func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) },
	func(x float64) float64 { return max(x, 0) },
	func(x float64) float64 { return max(x, 0) * max(x, 0) },
	func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
	math.Tanh,
}

func glu(gate, up float64, activation int) float64 {
	if activation == 7 {
		g := min(gate, 7)
		return g / (1 + math.Exp(-1.702*g)) * (min(max(up, -7), 7) + 1)
	}
	return activations[activation](gate) * up
}

func TestMatVecGLU(t *testing.T) {
	eachType(t, func(r *rig, typ shaders.Type) {
		for _, c := range []struct {
			name                                     string
			width, rows, experts, used, tokens, rept int
			byID                                     bool
		}{{"one_row", 256, 1, 1, 1, 1, 1, false}, {"partial_tile", 512, 13, 1, 1, 1, 1, false}, {"experts", 256, 5, 4, 3, 2, 3, true}, {"own_rows", 256, 3, 3, 2, 2, 1, true}} {
			o := everyPart[r.rng.IntN(len(everyPart))]
			o.Residual = false
			activation := r.rng.IntN(8)
			pairs := c.tokens * c.used
			const eps = 1e-5
			g, u := r.matrix(typ, c.width, c.rows*c.experts), r.matrix(typ, c.width, c.rows*c.experts)
			x, norm := r.normal(pairs/c.rept*c.width), r.normal(c.width)
			gb, ub, gs, us := r.normal(c.rows*c.experts), r.normal(c.rows*c.experts), r.normal(c.experts), r.normal(c.experts)
			ids := make([]int32, pairs)
			buffers := map[int]memory{shaders.GLUGate: r.bytes(g.data), shaders.GLUUp: r.bytes(u.data), shaders.GLUX: r.floats(x), shaders.GLUOut: r.alloc(4 * pairs * c.rows)}
			if c.byID {
				for i := range ids {
					ids[i] = int32(r.rng.IntN(c.experts))
				}
				buffers[shaders.GLUIDs] = r.ints(ids)
			}
			if o.Bias {
				buffers[shaders.GLUGateBias], buffers[shaders.GLUUpBias] = r.floats(gb), r.floats(ub)
			}
			if o.Scale {
				buffers[shaders.GLUGateScale], buffers[shaders.GLUUpScale] = r.floats(gs), r.floats(us)
			}
			if o.Norm {
				buffers[shaders.GLUNorm] = r.floats(norm)
			}
			var want []float64
			largest := 0.0
			for i, id := range ids {
				row := normed(x[i/c.rept*c.width:(i/c.rept+1)*c.width], norm, eps, o.Norm)
				for j := range c.rows {
					at := int(id)*c.rows + j
					gate := finish(dot(g.row(at), row), gb[at], float64(gs[id]), 0, o)
					up := finish(dot(u.row(at), row), ub[at], float64(us[id]), 0, o)
					want = append(want, glu(gate, up, activation))
					// The product of two sums has the error of each times the other; a square doubles the gate's.
					sg, su := max(1, size(g.row(at), row), math.Abs(gate)), max(1, size(u.row(at), row), math.Abs(up))
					if activation == 4 {
						sg *= 2 * sg
					}
					largest = max(largest, sg*su)
				}
			}
			p := shaders.MatVecGLUParams{Width: uint32(c.width), Rows: uint32(c.rows), Experts: uint32(c.experts), Repeat: uint32(c.rept), Eps: eps}
			r.run(step{shaders.MatVecGLU(typ, p, o, uint32(activation), c.byID, pairs), buffers})
			r.check(fmt.Sprintf("%s activation %d %+v", c.name, activation, o), buffers[shaders.GLUOut].floats(), want, c.rows, largest, bound)
		}
	})
}
