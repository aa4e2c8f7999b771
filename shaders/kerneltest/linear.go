package kerneltest

import (
	"fmt"

	"github.com/gollm/gollm/shaders"
)

// linear is a random projection with its optional parts and its result in double precision.
type linear struct {
	w       matrix
	shape   shape
	eps     float32
	buffers map[int]memory
	want    []float64
	size    float64 // of the results: the largest root of a sum's squared terms
}

func (t *trial) linear(typ shaders.Type, s shape) *linear {
	parts := s.parts
	l := &linear{w: t.matrix(typ, s.width, s.rows), shape: s, eps: 1e-5}
	x, bias, scale, norm, resid := t.normal(s.columns*s.width), t.normal(s.rows), []float32{0.7}, t.normal(s.width), t.normal(s.columns*s.rows)
	l.buffers = map[int]memory{shaders.LinearWeights: t.bytes(l.w.data), shaders.LinearX: t.floats(x)}
	if parts.Residual && t.coin() { // in place
		l.buffers[shaders.LinearOut] = t.floats(resid)
		l.buffers[shaders.LinearResidual] = l.buffers[shaders.LinearOut]
	} else {
		l.buffers[shaders.LinearOut] = t.alloc(4 * s.columns * s.rows)
		if parts.Residual {
			l.buffers[shaders.LinearResidual] = t.floats(resid)
		}
	}
	for _, o := range []struct {
		has   bool
		index int
		v     []float32
	}{{parts.Bias, shaders.LinearBias, bias}, {parts.Scale, shaders.LinearScale, scale}, {parts.Norm, shaders.LinearNorm, norm}} {
		if o.has {
			l.buffers[o.index] = t.floats(o.v)
		}
	}
	for j := range s.columns {
		row := normed(x[j*s.width:(j+1)*s.width], norm, l.eps, parts.Norm)
		for o := range s.rows {
			l.size = max(l.size, spread(l.w.row(o), row))
			l.want = append(l.want, finish(dot(l.w.row(o), row), bias[o], float64(scale[0]), resid[j*s.rows+o], parts))
		}
	}
	return l
}

// project runs a projection with a launch for it, and checks the result.
func (t *trial) project(typ shaders.Type, s shape, launch func(shape, float32) shaders.Launch) {
	l := t.linear(typ, s)
	t.launch(step{launch(s, l.eps), l.buffers})
	t.check(l.buffers[shaders.LinearOut].floats(), l.want, s.rows, l.size, linearBound)
}

// addShapes adds a case for each shape, and for each optional part: all of them in a long run, otherwise all for two types
// and one for each other.
func addShapes(typ shaders.Type, shapes []shape, parts shape, add func(string, bool, func(*trial)), run func(*trial, shape)) {
	for _, s := range shapes {
		add(s.name, false, func(t *trial) { run(t, s) })
	}
	for i, p := range everyPart {
		s := parts
		s.parts = p.Parts
		add(p.name, typ != shaders.Q4_K && typ != shaders.F16 && int(typ)%len(everyPart) != i, func(t *trial) { run(t, s) })
	}
}

// addRandom adds cases of random shapes and parts, a few of them for short runs.
func addRandom(typ shaders.Type, columns func(*trial) int, add func(string, bool, func(*trial)), run func(*trial, shape)) {
	for i := range 10 {
		add(fmt.Sprintf("random_%d", i), i > 0, func(t *trial) {
			some := func() bool { return t.rng.IntN(3) == 0 }
			s := shape{
				width: typ.BlockSize() * (1 + t.rng.IntN(max(3, 600/typ.BlockSize()))), rows: 1 + t.rng.IntN(90), columns: columns(t),
				parts: shaders.Parts{Bias: some(), Scale: some(), ScaleBias: some(), Residual: some(), Norm: some()},
			}
			if i == 0 { // without parts, so that it needs no kernels that no other case needs
				s.parts = shaders.Parts{}
			}
			run(t, s)
		})
	}
}

func matVecCases() []Case {
	return eachType("matvec", func(typ shaders.Type, add func(string, bool, func(*trial))) {
		run := func(t *trial, s shape) {
			t.project(typ, s, func(s shape, eps float32) shaders.Launch {
				return shaders.MatVec(typ, shaders.MatVecParams{Width: uint32(s.width), Rows: uint32(s.rows), Eps: eps}, s.parts)
			})
		}
		none := shaders.Parts{}
		shapes := []shape{{"one_row", 256, 1, 1, none}, {"partial_tile", 512, 13, 1, none}, {"wide", 2816, 9, 1, none}, {"tall", 256, 67, 1, none}}
		if typ.BlockSize() == 1 {
			shapes = append(shapes, shape{"narrow", 3, 5, 1, none}, shape{"odd_tail", 333, 6, 1, none}, shape{"half_slice", 388, 6, 1, none}, shape{"odd_tail_every_part", 77, 3, 1, allParts})
		} else if typ.BlockSize() == 32 {
			shapes = append(shapes, shape{"odd_tail", 608, 6, 1, none})
		}
		addShapes(typ, shapes, shape{width: 512, rows: 7, columns: 1}, add, run)
		addRandom(typ, func(*trial) int { return 1 }, add, run)
	})
}

func matVecNCases() []Case {
	return eachType("matvec_n", func(typ shaders.Type, add func(string, bool, func(*trial))) {
		run := func(t *trial, s shape) {
			t.project(typ, s, func(s shape, eps float32) shaders.Launch {
				return shaders.MatVecN(typ, shaders.MatVecParams{Width: uint32(s.width), Rows: uint32(s.rows), Eps: eps}, s.parts, s.columns)
			})
		}
		none := shaders.Parts{}
		odd := 3 + 2*(int(typ)%3)
		shapes := []shape{{"two_columns", 512, 7, 2, none}, {fmt.Sprintf("%d_columns", odd), 256, 5, odd, none}, {"most_columns", 1280, 4, shaders.MaxColumns, none}}
		if typ.BlockSize() == 1 {
			shapes = append(shapes, shape{"odd_tail_every_part", 77, 3, 3, allParts})
		}
		addShapes(typ, shapes, shape{width: 512, rows: 5, columns: 4}, add, run)
		for columns := 1; columns <= shaders.MaxColumns; columns++ {
			s := shape{"", 512, 9, columns, none}
			add(fmt.Sprintf("columns_%d", columns), true, func(t *trial) { run(t, s) })
		}
		addRandom(typ, func(t *trial) int { return 2 }, add, run)
	})
}

func matMulCases() []Case {
	return eachType("matmul", func(typ shaders.Type, add func(string, bool, func(*trial))) {
		run := func(t *trial, s shape) {
			t.project(typ, s, func(s shape, eps float32) shaders.Launch {
				return shaders.MatMul(typ, shaders.MatMulParams{Width: uint32(s.width), Rows: uint32(s.rows), Columns: uint32(s.columns), Eps: eps}, s.parts)
			})
		}
		none := shaders.Parts{}
		shapes := []shape{{"one_tile", 256, 64, 32, none}, {"partial_tile", 512, 13, 9, none}, {"many_tiles", 256, 130, 67, none}, {"wide", 2304, 5, 33, none}}
		if typ.BlockSize() == 1 {
			shapes = append(shapes, shape{"odd_tail_every_part", 77, 3, 3, allParts}, shape{"half_step_normed", 336, 9, 35, shaders.Parts{Norm: true}}, shape{"narrow", 3, 9, 5, none})
		}
		if typ.BlockSize() == 32 {
			shapes = append(shapes, shape{"odd_blocks", 352, 70, 37, none})
		}
		addShapes(typ, shapes, shape{width: 256, rows: 70, columns: 10}, add, run)
		addRandom(typ, func(t *trial) int { return 1 + t.rng.IntN(70) }, add, run)
	})
}
