// Package testmodel makes small models for tests: files of a recorded form with
// weights from a generator, so that a test needs no model but a page of JSON, and
// the same seed gives the same file to the byte on every machine.
//
// The form of a model, its Description, is read from a real GGUF file by
//
//	go run ./engine/internal/testmodel/cmd/describe MODEL.gguf > testdata/families/NAME.json
//
// and its file is made by Write. What another program (llama.cpp) computes from
// such a file can be recorded and held against what ours does.
package testmodel

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// Description is a model without its weights.
type Description struct {
	Source   string // where it comes from: a command or a file's name
	Metadata []gguf.Pair
	Tensors  []Tensor
}

// Tensor is an entry of the directory; Dims are as in gguf.Tensor.
type Tensor struct {
	Name string
	Type gguf.Type
	Dims []int
}

// Describe returns the description of f. The split keys of a model in parts are
// left out, as Write makes one file.
func Describe(f *gguf.File, source string) *Description {
	d := &Description{Source: source}
	for _, p := range f.Pairs {
		if !gguf.IsSplitKey(p.Key) {
			d.Metadata = append(d.Metadata, p)
		}
	}
	for _, t := range f.Tensors {
		d.Tensors = append(d.Tensors, Tensor{t.Name, t.Type, t.Dims})
	}
	return d
}

// Set gives a metadata key its value, for a test of a variant of the model.
func (d *Description) Set(key string, value any) {
	for i := range d.Metadata {
		if d.Metadata[i].Key == key {
			d.Metadata[i].Value = value
			return
		}
	}
	d.Metadata = append(d.Metadata, gguf.Pair{Key: key, Value: value})
}

// Delete removes the metadata keys for which match reports true.
func (d *Description) Delete(match func(key string) bool) {
	var kept []gguf.Pair
	for _, p := range d.Metadata {
		if !match(p.Key) {
			kept = append(kept, p)
		}
	}
	d.Metadata = kept
}

// Write writes the model of d to path, with the weights of seed.
func Write(path string, d *Description, seed uint64) error {
	w, err := gguf.Create(path)
	if err != nil {
		return err
	}
	defer w.Abort()
	for _, p := range d.Metadata {
		if err := w.Set(p.Key, p.Value); err != nil {
			return err
		}
	}
	for _, t := range d.Tensors {
		if err := w.Declare(t.Name, t.Type, t.Dims...); err != nil {
			return err
		}
	}
	for _, t := range d.Tensors {
		b, err := encode(t.Type, Weights(t.Name, t.Dims, seed))
		if err != nil {
			return fmt.Errorf("testmodel: tensor %q: %w", t.Name, err)
		}
		if err := w.WriteTensor(t.Name, b); err != nil {
			return err
		}
	}
	return w.Commit()
}

func encode(t gguf.Type, values []float32) ([]byte, error) {
	var b []byte
	for _, v := range values {
		switch t {
		case gguf.F32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		case gguf.F16:
			b = binary.LittleEndian.AppendUint16(b, quant.F32ToF16(v))
		case gguf.BF16:
			b = binary.LittleEndian.AppendUint16(b, quant.F32ToBF16(v))
		default:
			return nil, fmt.Errorf("there are no weights of type %v", t)
		}
	}
	return b, nil
}

// Weights returns the values of a tensor. They depend on its name, its number of
// values and the seed, not on the other tensors.
//
// A value is m + s·x, where x comes from the generator and is nearly normal, of
// mean 0, deviation 1 and magnitude below 3.5. The mean and deviation are
//
//	a norm's weight, a scale                     1 + 0.1·x
//	a factor of rotary frequencies, that divides 1 + |x|/10
//	the decay of a state-space layer             -1 + 0.1·x
//	everything else, matrix and bias             0.1·x
//
// so that activations neither fade nor grow in a few layers of width 256, and
// attention is neither even nor all on one token.
func Weights(name string, dims []int, seed uint64) []float32 {
	n := 1
	for _, d := range dims {
		n *= d
	}
	g := newGenerator(name, seed)
	out := make([]float32, n)
	for i := range out {
		// The conversion keeps a compiler from fusing product and sum, which would
		// round differently on machines that can.
		x := float64(0.1 * g.next())
		switch {
		case strings.HasPrefix(name, "rope_"):
			x = 1 + math.Abs(x)
		case strings.Contains(name, "norm") && !strings.HasSuffix(name, ".bias"), strings.HasSuffix(name, "scale"):
			x = 1 + x
		case strings.Contains(name, "ssm_a"):
			x = -1 + x
		}
		out[i] = float32(x)
	}
	return out
}

// generator is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
// generators, 2014), seeded for each tensor by the FNV-1a hash of its name.
type generator uint64

func newGenerator(name string, seed uint64) *generator {
	hash := uint64(14695981039346656037)
	for i := range len(name) {
		hash = (hash ^ uint64(name[i])) * 1099511628211
	}
	g := generator(hash ^ seed*0x9e3779b97f4a7c15)
	return &g
}

func (g *generator) uint64() uint64 {
	*g += 0x9e3779b97f4a7c15
	z := uint64(*g)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// next returns a number of mean 0 and deviation 1: the sum of the four 16-bit
// quarters of a draw, centred and scaled. It has no tails, needs no function that
// another machine may round otherwise, and is exact but for the last product.
func (g *generator) next() float64 {
	const (
		mean  = 2 * 65535         // of the sum of four numbers from 0 to 65535
		scale = 37837.22723720648 // its deviation, √((65536²-1)/3)
	)
	z := g.uint64()
	sum := z&0xffff + z>>16&0xffff + z>>32&0xffff + z>>48
	return float64(int64(sum)-mean) / scale
}
