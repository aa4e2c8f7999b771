package program

import (
	"math"

	"github.com/gollm/gollm/gguf"
)

// Pairing says which columns of a head a rotation turns together.
type Pairing uint8

const (
	Adjacent Pairing = iota // (2i, 2i+1), as Llama's own weights are stored in GGUF
	Halves                  // (i, i+Dims/2), as GPT-NeoX
)

// Rope is a rotary position embedding: position p turns pair i by the angle
// p·f[i], f[i] = Base^(-2i/Dims), stretched for long contexts as the other
// fields say. The zero values of those mean no stretching.
type Rope struct {
	Dims    int // columns of each head that turn; the rest pass through
	Pairing Pairing
	Base    float64

	// FreqScale is position interpolation: angles are multiplied by it (1/factor).
	FreqScale float64
	// Factors [Dims/2] divide the frequencies one by one (Llama 3.1, LongRoPE).
	Factors *gguf.Tensor
	// Yarn, if set, mixes interpolated and plain angles by frequency: Peng et
	// al. 2023.
	Yarn *Yarn
	// AttnFactor multiplies the rotated values, if not 0.
	AttnFactor float64
}

// Yarn holds YaRN's constants.
type Yarn struct {
	ExtFactor          float64 // weight of the extrapolated part, normally 1
	BetaFast, BetaSlow float64 // rotations over the original context between which the mix ramps
	OrigContext        int     // context length of the training before stretching
}

// Frequencies returns the angle a position of 1 turns each pair by, Dims/2
// values, and the factor the rotated values are multiplied by. factors are
// Factors' values, or nil. All of YaRN's mixing is linear in the position, so
// that executors need only these.
func (r *Rope) Frequencies(factors []float32) (freq []float64, magnitude float64) {
	freq = make([]float64, r.Dims/2)
	scale, magnitude := r.FreqScale, r.AttnFactor
	if scale == 0 {
		scale = 1
	}
	if magnitude == 0 {
		magnitude = 1
	}
	var low, high float64
	if y := r.Yarn; y != nil {
		low = max(0, math.Floor(r.yarnPair(y.BetaFast)))
		high = min(float64(r.Dims-1), math.Ceil(r.yarnPair(y.BetaSlow)))
		magnitude *= 1 + 0.1*math.Log(1/scale)
	}
	for i := range freq {
		f := math.Pow(r.Base, -2*float64(i)/float64(r.Dims))
		if factors != nil {
			f /= float64(factors[i])
		}
		freq[i] = f * scale
		if y := r.Yarn; y != nil {
			ramp := 1 - min(1, max(0, (float64(i)-low)/max(0.001, high-low)))
			mix := ramp * y.ExtFactor
			freq[i] = f*scale*(1-mix) + f*mix
		}
	}
	return freq, magnitude
}

// yarnPair is the pair that makes rotations turns over the original context.
func (r *Rope) yarnPair(rotations float64) float64 {
	return float64(r.Dims) * math.Log(float64(r.Yarn.OrigContext)/(rotations*2*math.Pi)) / (2 * math.Log(r.Base))
}
