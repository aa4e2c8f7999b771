package exectest

import (
	"fmt"
	"math"
	"slices"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

func embedCases() (cases []opCase) {
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q4_0, gguf.Q8_0, gguf.Q6_K} {
		cases = append(cases, opCase{name: "table_" + typ.String(), tokens: 11, build: func(c *builder) (program.Tensor, matrix) {
			// Token n poisons: the table needs its row.
			t, values := c.weightOf(typ, 256, c.n+1)
			return c.b.Embed(t), rowsOf(values, 256)[:c.n]
		}})
	}
	cases = append(cases, opCase{name: "one_row", tokens: 1, build: func(c *builder) (program.Tensor, matrix) {
		x, want := c.input(67, 1)
		return x, want
	}})
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16} {
		cases = append(cases, opCase{name: "position_" + typ.String(), tokens: 9, build: func(c *builder) (program.Tensor, matrix) {
			for i := range c.positions {
				c.positions[i] = int32(3*i + 5)
			}
			c.input(7, 1) // the tokens' own table, which says how many there are
			t, values := c.weightOf(typ, 64, 64)
			var want matrix
			for _, p := range c.positions {
				want = append(want, rowsOf(values, 64)[p])
			}
			return c.b.EmbedPosition(t), want
		}})
	}
	return cases
}

// rowsOf cuts values into rows of n.
func rowsOf(values []float64, n int) (m matrix) {
	for i := 0; i < len(values); i += n {
		m = append(m, values[i:i+n])
	}
	return m
}

func normCases() (cases []opCase) {
	for _, s := range []struct {
		name                 string
		rows, width, head    int
		weights              int // of the norm's weight: 0 is none
		bias                 bool
		eps, spread, average float64
	}{
		{"one_row", 1, 256, 256, 256, false, 1e-5, 1, 0},
		{"odd_tail", 5, 67, 67, 67, false, 1e-5, 1, 0},
		{"one_column", 3, 1, 1, 1, true, 1e-5, 1, 0},
		{"many_rows", 70, 64, 64, 64, false, 1e-5, 1, 0},
		{"no_weight", 4, 96, 96, 0, false, 1e-5, 1, 0},
		{"bias", 4, 96, 96, 96, true, 1e-5, 1, 0},
		{"heads_share_weights", 6, 5 * 32, 32, 32, false, 1e-6, 1, 0},
		{"heads_of_their_own", 6, 5 * 32, 32, 5 * 32, true, 1e-6, 1, 0},
		{"heads_no_weight", 6, 5 * 32, 32, 0, false, 1e-6, 1, 0},
		{"tiny_values", 4, 128, 128, 128, false, 1e-5, 1e-6, 0},
		{"large_values", 4, 128, 128, 128, true, 1e-5, 1e6, 0},
		{"large_mean", 4, 128, 128, 128, false, 1e-5, 1, 100},
	} {
		for _, centred := range []bool{false, true} {
			name := "rms_" + s.name
			if centred {
				name = "layer_" + s.name
			}
			cases = append(cases, opCase{name: name, tokens: s.rows, build: func(c *builder) (program.Tensor, matrix) {
				x := random(c.r, c.n, s.width, s.spread)
				for _, row := range x {
					for j := range row {
						row[j] = float64(float32(row[j] + s.average))
					}
				}
				in, _ := c.given(x)
				n := program.Norm{Eps: float32(s.eps)}
				var w, b []float64
				if s.weights > 0 {
					n.Weight, w = c.weight(s.weights)
				}
				if s.bias {
					n.Bias, b = c.weight(s.weights)
				}
				want := x.rows(func(row []float64) []float64 { return norm(row, s.head, centred, float64(n.Eps), w, b) })
				if s.bias { // it may cancel what it is added to
					c.size = x.rows(func(row []float64) []float64 {
						largest := 0.0
						for j, v := range norm(row, s.head, centred, float64(n.Eps), w, nil) {
							largest = max(largest, math.Abs(v)+math.Abs(b[j%len(b)]))
						}
						return slices.Repeat([]float64{largest}, len(row))
					})
				}
				if centred {
					return c.b.LayerNormHeads(in, n, s.head), want
				}
				return c.b.RMSNormHeads(in, n, s.head), want
			}})
		}
	}
	return cases
}

func norm(x []float64, group int, centred bool, eps float64, w, b []float64) (out []float64) {
	for g := 0; g < len(x); g += group {
		mean := 0.0
		if centred {
			for _, v := range x[g : g+group] {
				mean += v / float64(group)
			}
		}
		square := 0.0
		for _, v := range x[g : g+group] {
			square += (v - mean) * (v - mean) / float64(group)
		}
		for j := g; j < g+group; j++ {
			v := (x[j] - mean) / math.Sqrt(square+eps)
			if w != nil {
				v *= w[j%len(w)]
			}
			if b != nil {
				v += b[j%len(b)]
			}
			out = append(out, v)
		}
	}
	return out
}

func elementwiseCases() (cases []opCase) {
	binary := func(name string, rows, width int, build func(c *builder, x, y program.Tensor) program.Tensor, f func(x, y float64) float64) {
		cases = append(cases, opCase{name: name, tokens: rows, build: func(c *builder) (program.Tensor, matrix) {
			x, a := c.input(width, 3)
			y, b := c.input(width, 3)
			want := make(matrix, c.n)
			for i := range want {
				for j := range a[i] {
					want[i] = append(want[i], f(a[i][j], b[i][j]))
				}
			}
			return build(c, x, y), want
		}})
	}
	unary := func(name string, rows, width int, build func(c *builder, x program.Tensor) program.Tensor, f func(x float64) float64) {
		binary(name, rows, width,
			func(c *builder, x, y program.Tensor) program.Tensor { return build(c, x) },
			func(x, y float64) float64 { return f(x) })
	}

	for _, s := range []struct {
		name        string
		rows, width int
	}{{"one_row", 1, 256}, {"odd_tail", 5, 67}, {"many_rows", 70, 32}} {
		binary("add_"+s.name, s.rows, s.width, func(c *builder, x, y program.Tensor) program.Tensor { return c.b.Add(x, y) }, func(x, y float64) float64 { return x + y })
		binary("mul_"+s.name, s.rows, s.width, func(c *builder, x, y program.Tensor) program.Tensor { return c.b.Mul(x, y) }, func(x, y float64) float64 { return x * y })
		unary("scale_"+s.name, s.rows, s.width, func(c *builder, x program.Tensor) program.Tensor { return c.b.Scale(x, -2.5) }, func(x float64) float64 { return -2.5 * x })
		unary("softcap_"+s.name, s.rows, s.width, func(c *builder, x program.Tensor) program.Tensor { return c.b.Softcap(x, 1.5) }, func(x float64) float64 { return 1.5 * math.Tanh(x/1.5) })
	}
	unary("add_to_itself", 5, 67, func(c *builder, x program.Tensor) program.Tensor { return c.b.Add(x, x) }, func(x float64) float64 { return 2 * x })
	cases = append(cases, opCase{name: "mul_one_factor_a_row", tokens: 6, build: func(c *builder) (program.Tensor, matrix) {
		x, a := c.input(67, 1)
		y, b := c.input(1, 1)
		want := make(matrix, c.n)
		for i := range want {
			for _, v := range a[i] {
				want[i] = append(want[i], v*b[i][0])
			}
		}
		return c.b.Mul(x, y), want
	}})
	for _, offset := range []int{0, 1} {
		cases = append(cases, opCase{name: fmt.Sprintf("scale_by_position_offset_%d", offset), tokens: 9, build: func(c *builder) (program.Tensor, matrix) {
			// Both sides of the first two steps, and far beyond.
			copy(c.positions, []int32{0, 62, 63, 64, 65, 126, 127, 128, 5000})
			x, a := c.input(33, 1)
			want := make(matrix, c.n)
			for i := range want {
				f := 1 + 0.1*math.Log(1+math.Floor(float64(int(c.positions[i])+offset)/64))
				for _, v := range a[i] {
					want[i] = append(want[i], v*f)
				}
			}
			return c.b.ScaleByPosition(x, 64, offset, 0.1), want
		}})
	}

	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	for act, f := range map[program.Activation]func(x float64) float64{
		program.SiLU:        func(x float64) float64 { return x * sigmoid(x) },
		program.GELU:        func(x float64) float64 { return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) },
		program.GELUErf:     func(x float64) float64 { return x * (1 - math.Erfc(x/math.Sqrt2)/2) },
		program.ReLU:        func(x float64) float64 { return (x + math.Abs(x)) / 2 },
		program.ReLUSquared: func(x float64) float64 { return math.Pow((x+math.Abs(x))/2, 2) },
		program.Sigmoid:     sigmoid,
		program.Tanh:        math.Tanh,
	} {
		unary("activate_"+act.String(), 5, 67, func(c *builder, x program.Tensor) program.Tensor { return c.b.Activate(x, act) }, f)
		binary("glu_"+act.String(), 5, 67, func(c *builder, x, y program.Tensor) program.Tensor { return c.b.GLU(x, y, act) },
			func(x, y float64) float64 { return f(x) * y })
	}
	binary("glu_gpt_oss_clamps", 5, 267,
		func(c *builder, x, y program.Tensor) program.Tensor {
			return c.b.GLU(c.b.Scale(x, 4), c.b.Scale(y, 4), program.GPTOSS)
		},
		func(x, y float64) float64 {
			gate, up := math.Min(4*x, 7), math.Max(math.Min(4*y, 7), -7)
			return gate * sigmoid(1.702*gate) * (up + 1)
		})
	cases = append(cases, opCase{name: "activate_extremes", tokens: 1, build: func(c *builder) (program.Tensor, matrix) {
		x, a := c.given(matrix{{-1e30, -100, -20, 0, 20, 100, 1e30}})
		c.size = matrix{{1, 1, 1, 1, 20, 100, 1e30}}
		return c.b.Activate(x, program.SiLU), a.rows(func(row []float64) []float64 {
			return []float64{0, -100 * sigmoid(-100), -20 * sigmoid(-20), 0, 20 * sigmoid(20), 100, 1e30}
		})
	}})
	return cases
}

func rowCases() (cases []opCase) {
	for _, s := range []struct {
		name        string
		from, width int
	}{{"first", 0, 32}, {"middle", 33, 7}, {"last", 64, 3}, {"all", 0, 67}} {
		cases = append(cases, opCase{name: "split_" + s.name, tokens: 5, build: func(c *builder) (program.Tensor, matrix) {
			x, a := c.input(67, 1)
			return c.b.Split(x, s.from, s.width), a.rows(func(row []float64) []float64 { return row[s.from : s.from+s.width] })
		}})
	}
	// SelectOutputs is every case's last op, and chooses at random.
	cases = append(cases, opCase{name: "select_outputs", tokens: 70, build: func(c *builder) (program.Tensor, matrix) { return c.input(67, 1) }})
	return cases
}
