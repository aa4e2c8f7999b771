package shaders_test

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/gollm/gollm/shaders"
)

// bound is the error allowed of a projection of every type, as a part of its largest result. The kernels
// compute in float32 from the exact weights, so that what is left is the rounding of sums: 2⁻²⁴ for each of the
// n terms a lane (or, in matmul, an accumulator) adds up one after another, which adds up to √n times that. n is at most
// 2816 here. Types with a shift (Q4_0's −8, the K types' minima) subtract two sums of like size and lose another bit.
const bound = 5e-6

func eachType(t *testing.T, f func(r *rig, typ shaders.Type)) {
	for _, typ := range shaders.Types {
		t.Run(typ.String(), func(t *testing.T) { f(newRig(t), typ) })
	}
}

// A shape is a class of problems: width in blocks of 256 (the widest block) plus a tail of plain types.
type shape struct {
	name        string
	width, rows int
}

// linear is a random projection with its optional parts and its result in double precision.
type linear struct {
	w                           matrix
	parts                       shaders.Parts
	columns                     int
	eps                         float32
	x, bias, scale, norm, resid []float32
	buffers                     map[int]memory
	want                        []float64
	size                        float64 // of the results: the largest root of a sum's squared terms
}

func (r *rig) linear(t shaders.Type, width, rows, columns int, parts shaders.Parts) *linear {
	l := &linear{w: r.matrix(t, width, rows), parts: parts, columns: columns, eps: 1e-5,
		x: r.normal(columns * width), bias: r.normal(rows), scale: []float32{0.7}, norm: r.normal(width), resid: r.normal(columns * rows)}
	l.buffers = map[int]memory{shaders.LinearWeights: r.bytes(l.w.data), shaders.LinearX: r.floats(l.x), shaders.LinearOut: r.alloc(4 * columns * rows)}
	for _, o := range []struct {
		has   bool
		index int
		v     []float32
	}{{parts.Bias, shaders.LinearBias, l.bias}, {parts.Scale, shaders.LinearScale, l.scale}, {parts.Residual, shaders.LinearResidual, l.resid}, {parts.Norm, shaders.LinearNorm, l.norm}} {
		if o.has {
			l.buffers[o.index] = r.floats(o.v)
		}
	}
	for j := range columns {
		x := normed(l.x[j*width:(j+1)*width], l.norm, l.eps, parts.Norm)
		for o := range rows {
			l.size = max(l.size, size(l.w.row(o), x))
			l.want = append(l.want, finish(dot(l.w.row(o), x), l.bias[o], float64(l.scale[0]), l.resid[j*rows+o], parts))
		}
	}
	return l
}

// size is √Σ(w·x)²: what a sum of terms of random signs comes to.
func size(w []float32, x []float64) float64 {
	sum := 0.0
	for i, v := range w {
		sum += float64(v) * float64(v) * x[i] * x[i]
	}
	return math.Sqrt(sum)
}

// normed is x in double precision, RMS-normalised if wanted.
func normed(x, weights []float32, eps float32, wanted bool) []float64 {
	y := make([]float64, len(x))
	squares := 0.0
	for _, v := range x {
		squares += float64(v) * float64(v)
	}
	by := 1 / math.Sqrt(squares/float64(len(x))+float64(eps))
	for i, v := range x {
		y[i] = float64(v)
		if wanted {
			y[i] *= by * float64(weights[i])
		}
	}
	return y
}

func finish(y float64, bias float32, scale float64, residual float32, o shaders.Parts) float64 {
	if !o.Scale {
		scale = 1
	}
	if o.Bias && o.ScaleBias {
		y += float64(bias)
	}
	y *= scale
	if o.Bias && !o.ScaleBias {
		y += float64(bias)
	}
	if o.Residual {
		y += float64(residual)
	}
	return y
}

var everyPart = []shaders.Parts{
	{},
	{Bias: true},
	{Scale: true},
	{Bias: true, Scale: true},
	{Bias: true, Scale: true, ScaleBias: true},
	{Residual: true},
	{Norm: true},
	{Bias: true, Scale: true, Residual: true, Norm: true},
}

func TestMatVec(t *testing.T) {
	eachType(t, func(r *rig, typ shaders.Type) {
		shapes := []shape{{"one_row", 256, 1}, {"partial_tile", 512, 13}, {"wide", 2816, 9}, {"tall", 256, 67}}
		if typ.BlockSize() == 1 {
			shapes = append(shapes, shape{"narrow", 3, 5}, shape{"odd_tail", 333, 6}, shape{"half_slice", 388, 6})
		} else if typ.BlockSize() == 32 {
			shapes = append(shapes, shape{"odd_tail", 608, 6})
		}
		for _, s := range shapes {
			r.matVec(s.name, r.linear(typ, s.width, s.rows, 1, shaders.Parts{}))
		}
		for _, o := range everyPart[1:] {
			if typ == shaders.Q4_K || typ == shaders.F16 {
				r.matVec(fmt.Sprintf("parts %+v", o), r.linear(typ, 512, 7, 1, o))
			}
		}
		if typ.BlockSize() == 1 {
			r.matVec("odd_tail normed", r.linear(typ, 77, 3, 1, everyPart[len(everyPart)-1]))
		}
	})
}

func (r *rig) matVec(name string, l *linear) {
	r.Helper()
	p := shaders.MatVecParams{Width: uint32(l.w.width), Rows: uint32(l.w.rows), Eps: l.eps}
	r.run(step{shaders.MatVec(l.w.t, p, l.parts), l.buffers})
	r.check(name, l.buffers[shaders.LinearOut].floats(), l.want, l.w.rows, l.size, bound)
}

func TestMatVecN(t *testing.T) {
	eachType(t, func(r *rig, typ shaders.Type) {
		type class struct {
			shape
			columns int
			parts   shaders.Parts
		}
		classes := []class{
			{shape{"two_columns", 512, 7}, 2, shaders.Parts{}},
			{shape{"odd_columns", 256, 5}, 3 + 2*r.rng.IntN(3), shaders.Parts{}},
			{shape{"many_columns", 1280, 4}, shaders.MaxColumns, shaders.Parts{}},
			{shape{"parts", 512, 5}, 2 + r.rng.IntN(7), everyPart[r.rng.IntN(len(everyPart))]},
		}
		if typ.BlockSize() == 1 {
			classes = append(classes, class{shape{"odd_tail", 77, 3}, 3, everyPart[len(everyPart)-1]})
		}
		for _, c := range classes {
			l := r.linear(typ, c.width, c.rows, c.columns, c.parts)
			p := shaders.MatVecParams{Width: uint32(c.width), Rows: uint32(c.rows), Eps: l.eps}
			r.run(step{shaders.MatVecN(typ, p, c.parts, c.columns), l.buffers})
			r.check(fmt.Sprintf("%s %d %+v", c.name, c.columns, c.parts), l.buffers[shaders.LinearOut].floats(), l.want, c.rows, l.size, bound)
		}
	})
}

func TestMatMul(t *testing.T) {
	eachType(t, func(r *rig, typ shaders.Type) {
		type class struct {
			shape
			columns int
			parts   shaders.Parts
		}
		classes := []class{
			{shape{"one_tile", 256, 64}, 32, shaders.Parts{}},
			{shape{"partial_tile", 512, 13}, 9, shaders.Parts{}},
			{shape{"many_tiles", 256, 130}, 67, shaders.Parts{}},
			{shape{"wide", 2304, 5}, 33, shaders.Parts{}},
			{shape{"parts", 512, 66}, 1 + r.rng.IntN(40), everyPart[r.rng.IntN(len(everyPart))]},
		}
		if typ == shaders.Q4_K {
			for _, o := range everyPart[1:] {
				classes = append(classes, class{shape{"parts", 256, 70}, 10, o})
			}
		}
		if typ.BlockSize() == 1 {
			classes = append(classes, class{shape{"odd_tail", 77, 3}, 3, everyPart[len(everyPart)-1]}, class{shape{"half_step", 336, 9}, 35, shaders.Parts{Norm: true}}, class{shape{"narrow", 3, 9}, 5, shaders.Parts{}})
		}
		for _, c := range classes {
			l := r.linear(typ, c.width, c.rows, c.columns, c.parts)
			p := shaders.MatMulParams{Width: uint32(c.width), Rows: uint32(c.rows), Columns: uint32(c.columns), Eps: l.eps}
			r.run(step{shaders.MatMul(typ, p, c.parts), l.buffers})
			r.check(fmt.Sprintf("%s %d %+v", c.name, c.columns, c.parts), l.buffers[shaders.LinearOut].floats(), l.want, c.rows, l.size, bound)
		}
	})
}

// TestLinearRandom runs projections of random types, shapes and parts. GOLLM_ROUNDS sets how many.
func TestLinearRandom(t *testing.T) {
	rounds := 40
	if s := os.Getenv("GOLLM_ROUNDS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatalf("GOLLM_ROUNDS: %v", err)
		}
	}
	r := newRig(t)
	for range rounds {
		typ := shaders.Types[r.rng.IntN(len(shaders.Types))]
		width := typ.BlockSize() * (1 + r.rng.IntN(max(3, 600/typ.BlockSize())))
		rows, columns := 1+r.rng.IntN(90), 1
		bit := func() bool { return r.rng.IntN(3) == 0 }
		parts := shaders.Parts{Bias: bit(), Scale: bit(), ScaleBias: bit(), Residual: bit(), Norm: bit()}
		op := r.rng.IntN(3)
		switch op {
		case 1:
			columns = 1 + r.rng.IntN(shaders.MaxColumns)
		case 2:
			columns = 1 + r.rng.IntN(70)
		}
		l := r.linear(typ, width, rows, columns, parts)
		var launch shaders.Launch
		switch p := (shaders.MatVecParams{Width: uint32(width), Rows: uint32(rows), Eps: l.eps}); op {
		case 0:
			launch = shaders.MatVec(typ, p, parts)
		case 1:
			launch = shaders.MatVecN(typ, p, parts, columns)
		case 2:
			launch = shaders.MatMul(typ, shaders.MatMulParams{Width: p.Width, Rows: p.Rows, Columns: uint32(columns), Eps: p.Eps}, parts)
		}
		r.run(step{launch, l.buffers})
		r.check(fmt.Sprintf("%s %d×%d×%d %+v", launch.Kernel.Name, rows, width, columns, parts), l.buffers[shaders.LinearOut].floats(), l.want, rows, l.size, bound)
	}
}
