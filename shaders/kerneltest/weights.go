package kerneltest

import (
	"encoding/binary"
	"math"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
	"github.com/gollm/gollm/shaders"
)

// A matrix is random weights: the file's bytes, and their exact values.
type matrix struct {
	t           shaders.Type
	width, rows int
	data        []byte
	values      []float32
}

// halves are where a block has float16 scales.
var halves = map[shaders.Type][]int{
	shaders.Q4_0: {0}, shaders.Q4_1: {0, 2}, shaders.Q5_0: {0}, shaders.Q5_1: {0, 2}, shaders.Q8_0: {0}, shaders.Q2_K: {80, 82}, shaders.Q3_K: {108},
	shaders.Q4_K: {0, 2}, shaders.Q5_K: {0, 2}, shaders.Q6_K: {208}, shaders.IQ4_NL: {0}, shaders.IQ4_XS: {0},
}

// fileType is a type as files have it.
func fileType(t shaders.Type) gguf.Type {
	typ, err := gguf.ParseType(t.String())
	if err != nil {
		panic(err) // a name of the kernels' that is not GGUF's: TestTypes
	}
	return typ
}

// matrix makes blocks of random bits, so that every bit of the layout counts, with scales in a range
// that models have.
func (t *trial) matrix(typ shaders.Type, width, rows int) matrix {
	ft := fileType(typ)
	m := matrix{t: typ, width: width, rows: rows, data: make([]byte, rows*ft.RowBytes(width)), values: make([]float32, rows*width)}
	for i := range m.data {
		m.data[i] = byte(t.rng.Uint32())
	}
	size := ft.BlockBytes()
	for b := 0; b < len(m.data); b += size {
		block := m.data[b : b+size]
		switch typ {
		case shaders.F32:
			binary.LittleEndian.PutUint32(block, math.Float32bits(float32(t.rng.NormFloat64())))
		case shaders.F16:
			binary.LittleEndian.PutUint16(block, quant.F32ToF16(float32(t.rng.NormFloat64())))
		case shaders.BF16:
			binary.LittleEndian.PutUint16(block, quant.F32ToBF16(float32(t.rng.NormFloat64())))
		case shaders.MXFP4:
			block[0] = byte(118 + t.rng.IntN(6))
		}
		for _, at := range halves[typ] {
			binary.LittleEndian.PutUint16(block[at:], quant.F32ToF16(float32(0.01*(t.rng.Float64()-0.3))))
		}
	}
	t.must(quant.Decode(ft, m.values, m.data))
	return m
}

func (m matrix) row(i int) []float32 { return m.values[i*m.width : (i+1)*m.width] }

// linearBound is the error allowed of a projection of every type, as a part of its largest result. The kernels
// compute in float32 from the exact weights, so that what is left is the rounding of sums: 2⁻²⁴ for each of the
// n terms a lane (or, in matmul, an accumulator) adds up one after another, which adds up to √n times that. n is at most
// 2816 here. Types with a shift (Q4_0's −8, the K types' minima) subtract two sums of like size and lose another bit.
const linearBound = 5e-6

// dot is Σ w·x.
func dot(w []float32, x []float64) (sum float64) {
	for i, v := range w {
		sum += float64(v) * x[i]
	}
	return sum
}

// spread is √Σ(w·x)²: what a sum of terms of random signs comes to.
func spread(w []float32, x []float64) float64 {
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

// finish adds the optional parts of a projection to its sum.
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

// everyPart are the optional parts of a projection, each alone and together.
var everyPart = []struct {
	name string
	shaders.Parts
}{
	{"bias", shaders.Parts{Bias: true}},
	{"scale", shaders.Parts{Scale: true}},
	{"bias_after_scale", shaders.Parts{Bias: true, Scale: true}},
	{"bias_before_scale", shaders.Parts{Bias: true, Scale: true, ScaleBias: true}},
	{"residual", shaders.Parts{Residual: true}},
	{"norm", shaders.Parts{Norm: true}},
	{"every_part", shaders.Parts{Bias: true, Scale: true, Residual: true, Norm: true}},
}

// allParts has every optional part.
var allParts = everyPart[len(everyPart)-1].Parts

// shape is a class of projections: width in blocks of 256 (the widest block), or with a tail of plain types.
type shape struct {
	name                 string
	width, rows, columns int
	parts                shaders.Parts
}
