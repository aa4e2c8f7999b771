// Package archtest holds the model families against llama.cpp, the oracle. Its
// Cases are tiny random models: a description in testdata, changed in a few
// lines of Go where a family has variants, filled by a seed, with the logits the
// oracle gave recorded beside. Tests of every executor use the same cases.
package archtest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/gollm/gollm/gguf"
)

// Length is the number of tokens each model is tested with: more than a block
// of the KV cache, and more than the sliding windows of the tiny models.
const Length = 48

// Recorded are the positions whose logits are recorded: the first, both sides
// of each power of two, of a window of 32, and the last.
var Recorded = []int{0, 1, 2, 3, 7, 8, 15, 16, 30, 31, 32, 33, 34, 40, 46, 47}

// Bound is the largest relative error allowed, as Difference measures it.
//
// With a cache of float16 the Cases, whose scores spread as trained models' do,
// differ by what the rounding of keys and values moves: up to 2.6e-3 measured.
// On llama.cpp's own random weights, whose attention is nearly even, that is
// below Bound.
const (
	Bound    = 1e-3
	BoundF16 = 4e-3
)

// BoundOf returns the bound for a type of cache.
func BoundOf(cache gguf.Type) float64 {
	if cache == gguf.F16 {
		return BoundF16
	}
	return Bound
}

// Tokens returns the token ids that belong to a seed.
func Tokens(seed uint64, vocab int) []int32 {
	random := rand.New(rand.NewPCG(seed, 1))
	out := make([]int32, Length)
	for i := range out {
		out[i] = int32(random.IntN(vocab))
	}
	return out
}

// Pick returns the recorded ones of Length rows.
func Pick(rows [][]float32) [][]float32 {
	out := make([][]float32, len(Recorded))
	for i, p := range Recorded {
		out[i] = rows[p]
	}
	return out
}

func getF32(b []byte) float32    { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
func putF32(b []byte, v float32) { binary.LittleEndian.PutUint32(b, math.Float32bits(v)) }
