// Package sample picks the next token from logits: penalties, the filters that
// cut the tail of the distribution, temperature, and a draw, in the order
// llama.cpp applies them by default: penalties, top-k, typical, top-p, min-p,
// temperature.
package sample

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// Params are the settings of a Sampler. The zero value of a filter switches it
// off; Default returns llama.cpp's defaults.
type Params struct {
	Temperature float64 // divides the logits; 0 picks the most likely token (greedy)
	TopK        int     // keep the k most likely tokens; 0 = all
	TopP        float64 // keep the fewest tokens whose probabilities sum to p; 0 or ≥ 1 = all
	MinP        float64 // keep tokens at least p times as likely as the most likely; 0 = all
	Typical     float64 // locally typical sampling (Meister et al. 2022); 0 or ≥ 1 = off
	MinKeep     int     // tokens that TopP, MinP and Typical always leave, at least 1

	RepeatPenalty    float64 // divides positive and multiplies negative logits of recent tokens (Keskar et al. 2019); 0 or 1 = off
	FrequencyPenalty float64 // subtracted for each recent occurrence
	PresencePenalty  float64 // subtracted once for recent tokens
	RepeatLast       int     // how many recent tokens the penalties look at; 0 = none

	Bias map[int32]float32 // added to the logits of single tokens before all else

	Seed uint64 // of the draw; equal seeds and logits give equal tokens
}

// Default returns llama.cpp's defaults, with seed 0.
func Default() Params {
	return Params{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, RepeatPenalty: 1, RepeatLast: 64}
}

// Check reports the first setting that makes no sense.
func (p Params) Check() error {
	for _, f := range []struct {
		name   string
		v      float64
		lo, hi float64
	}{
		{"temperature", p.Temperature, 0, 1e6},
		{"top-p", p.TopP, 0, math.Inf(1)},
		{"min-p", p.MinP, 0, 1},
		{"typical", p.Typical, 0, math.Inf(1)},
		{"repeat penalty", p.RepeatPenalty, 0, 1e6},
		{"frequency penalty", p.FrequencyPenalty, -1e6, 1e6},
		{"presence penalty", p.PresencePenalty, -1e6, 1e6},
		{"top-k", float64(p.TopK), 0, math.Inf(1)},
		{"min-keep", float64(p.MinKeep), 0, math.Inf(1)},
		{"repeat-last", float64(p.RepeatLast), 0, 1e9},
	} {
		if !(f.v >= f.lo && f.v <= f.hi) {
			return fmt.Errorf("sample: %s %v is outside [%v, %v]", f.name, f.v, f.lo, f.hi)
		}
	}
	return nil
}

// Sampler picks tokens. It remembers the recent ones for the penalties and is
// used by one goroutine at a time.
type Sampler struct {
	p    Params
	rand *rand.Rand

	recent []int32 // ring of the last RepeatLast tokens
	next   int     // where the ring is written next
	count  map[int32]int

	cands candidates
}

// New returns a sampler, or an error for settings that Check refuses.
func New(p Params) (*Sampler, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	p.MinKeep = max(p.MinKeep, 1)
	return &Sampler{
		p:     p,
		rand:  rand.New(rand.NewPCG(p.Seed, 0x9e3779b97f4a7c15)),
		count: map[int32]int{},
	}, nil
}

// Accept tells the sampler that a token, of the prompt or sampled, is now part
// of the text. Penalties look at accepted tokens only.
func (s *Sampler) Accept(token int32) {
	if s.p.RepeatLast == 0 {
		return
	}
	if len(s.recent) < s.p.RepeatLast {
		s.recent = append(s.recent, token)
	} else {
		old := s.recent[s.next]
		if s.count[old]--; s.count[old] == 0 {
			delete(s.count, old)
		}
		s.recent[s.next] = token
		s.next = (s.next + 1) % s.p.RepeatLast
	}
	s.count[token]++
}

// Reset forgets the accepted tokens. The random sequence goes on.
func (s *Sampler) Reset() {
	s.recent, s.next = s.recent[:0], 0
	clear(s.count)
}

// ErrNotFinite is returned for logits that nothing can be picked from: one is NaN,
// or the largest is not finite.
var ErrNotFinite = errors.New("sample: logits hold no finite value, or NaN")

// Greedy reports whether Sample picks the first of the largest logits as they are:
// there is no temperature, no bias, no penalty, and no filter that may cut the
// most likely token. Whoever has that token already need not call Sample.
func (s *Sampler) Greedy() bool {
	p := &s.p
	return p.Temperature == 0 && !p.typical() && len(p.Bias) == 0 && !p.penalises()
}

// typical reports whether Typical filters.
func (p *Params) typical() bool { return p.Typical > 0 && p.Typical < 1 }

// penalises reports whether recent tokens' logits are changed.
func (p *Params) penalises() bool {
	return p.RepeatLast > 0 && (p.RepeatPenalty != 0 && p.RepeatPenalty != 1 || p.FrequencyPenalty != 0 || p.PresencePenalty != 0)
}

// Sample picks a token from logits, one for each of the vocabulary, which it
// may change. It does not Accept it. Logits of -Inf are never picked; NaN is
// an error.
func (s *Sampler) Sample(logits []float32) (int32, error) {
	if len(logits) == 0 {
		return 0, fmt.Errorf("sample: no logits")
	}
	for t, b := range s.p.Bias {
		if t >= 0 && int(t) < len(logits) {
			logits[t] += b
		}
	}
	s.penalise(logits)
	best, ok := argmax(logits)
	if !ok {
		return 0, ErrNotFinite
	}
	typical := s.p.typical()
	if s.p.Temperature == 0 && !typical {
		// Every filter but Typical keeps the most likely token.
		return best, nil
	}

	c := &s.cands
	c.fill(logits, s.p.TopK)
	if typical {
		c.typical(s.p.Typical, s.p.MinKeep)
	}
	if s.p.TopP > 0 && s.p.TopP < 1 {
		c.topP(s.p.TopP, s.p.MinKeep)
	}
	if s.p.MinP > 0 {
		c.minP(s.p.MinP, s.p.MinKeep)
	}
	if s.p.Temperature == 0 {
		return c.most(), nil
	}
	return c.draw(s.p.Temperature, s.rand.Float64()), nil
}

func (s *Sampler) penalise(logits []float32) {
	repeat := float32(s.p.RepeatPenalty)
	for t, n := range s.count {
		if t < 0 || int(t) >= len(logits) {
			continue
		}
		l := &logits[t]
		if repeat != 0 && repeat != 1 {
			if *l > 0 {
				*l /= repeat
			} else {
				*l *= repeat
			}
		}
		*l -= float32(n)*float32(s.p.FrequencyPenalty) + float32(s.p.PresencePenalty)
	}
}

// argmax returns the first largest value's index; ok is false for NaN or when all
// are -Inf.
func argmax(x []float32) (best int32, ok bool) {
	top := float32(math.Inf(-1))
	best = -1
	for i, v := range x {
		if v > top {
			best, top = int32(i), v
		} else if v != v {
			return 0, false
		}
	}
	return best, best >= 0 && !math.IsInf(float64(top), 1)
}
