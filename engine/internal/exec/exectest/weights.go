package exectest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// weightTypes lists every type that weights may have.
func weightTypes() (types []gguf.Type) {
	for t := gguf.Type(0); t < 64; t++ {
		if _, ok := quant.Decoder(t); ok && t.Known() {
			types = append(types, t)
		}
	}
	return types
}

// plain is a float32 tensor of the given values.
func plain(name string, values []float64, dims ...int) *gguf.Tensor {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	return &gguf.Tensor{Name: name, Type: gguf.F32, Dims: dims, Data: b}
}

// weight is a tensor of random float32 values.
func (c *builder) weight(dims ...int) (*gguf.Tensor, []float64) {
	return c.weightOf(gguf.F32, dims...)
}

// weightOf is a tensor of a type, of random blocks whose values are neither
// vanishing nor overwhelming, and its values.
func (c *builder) weightOf(typ gguf.Type, dims ...int) (*gguf.Tensor, []float64) {
	n := 1
	for _, d := range dims {
		n *= d
	}
	if dims[0]%typ.BlockSize() != 0 {
		panic(fmt.Sprintf("rows of %d are not made of blocks of %s", dims[0], typ))
	}
	decode, _ := quant.Decoder(typ)
	size, bytes := typ.BlockSize(), typ.BlockBytes()
	t := &gguf.Tensor{Name: "weight_" + typ.String(), Type: typ, Dims: dims, Data: make([]byte, n/size*bytes)}
	block := make([]float32, size)
	var values []float64
	for i := range n / size {
		b := t.Data[i*bytes : (i+1)*bytes]
		for {
			randomBlock(c.r, typ, b)
			decode(block, b)
			if tame(block) {
				break
			}
		}
		for _, v := range block {
			values = append(values, float64(v))
		}
	}
	return t, values
}

// randomBlock fills b with random bytes, or where those would rarely be
// numbers of a common size, with such numbers.
func randomBlock(r *rand.Rand, typ gguf.Type, b []byte) {
	switch typ {
	case gguf.F32:
		binary.LittleEndian.PutUint32(b, math.Float32bits(float32(r.NormFloat64())))
	case gguf.F64:
		binary.LittleEndian.PutUint64(b, math.Float64bits(r.NormFloat64()))
	case gguf.I8, gguf.I16, gguf.I32, gguf.I64:
		v := uint64(r.IntN(256) - 128)
		for i := range b {
			b[i] = byte(v >> (8 * i))
		}
	default:
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
}

// tame reports whether all values are numbers, none large, and if they are
// many, not all tiny.
func tame(block []float32) bool {
	largest := 0.0
	for _, v := range block {
		largest = max(largest, math.Abs(float64(v)))
	}
	// A comparison with NaN is false; max with NaN is NaN.
	return largest < 200 && (largest > 0.01 || len(block) == 1)
}
