package bench

import (
	"context"
	"fmt"
	"math"

	"github.com/gollm/gollm/engine"
)

// Text is a text cut into chunks for scoring. Each chunk is read on its own,
// its first token replaced by the model's BOS if it has one, and the second
// half's predictions are scored: positions Context/2 to Context-2, each against
// the token after it.
type Text struct {
	Context int     // tokens of a chunk
	Tokens  []int32 // of all chunks, Context each
}

// NewText cuts tokens into whole chunks of the given length, at most chunks of
// them if that is positive. A text shorter than one chunk is an error.
func NewText(tokens []int32, context, chunks int) (Text, error) {
	if context < 4 {
		return Text{}, fmt.Errorf("bench: chunks of %d tokens: at least 4 are needed to score any", context)
	}
	n := len(tokens) / context
	if n == 0 {
		return Text{}, fmt.Errorf("bench: the text has %d tokens, fewer than one chunk of %d", len(tokens), context)
	}
	if chunks > 0 {
		n = min(n, chunks)
	}
	return Text{Context: context, Tokens: tokens[:n*context]}, nil
}

// Chunks returns the number of chunks.
func (t Text) Chunks() int { return len(t.Tokens) / t.Context }

// Scored returns the number of positions of a chunk that are scored.
func (t Text) Scored() int { return t.Context - 1 - t.Context/2 }

// each reads chunk c and calls f for its scored positions, in order, with the
// logits and the token that follows.
func (t Text) each(ctx context.Context, s *engine.Session, c int, f func(logits []float32, next int32) error) error {
	chunk := t.Tokens[c*t.Context : (c+1)*t.Context]
	read := append([]int32(nil), chunk...)
	if tok := s.Model().Tokenizer(); tok.AddBOS() {
		read[0] = tok.BOS()
	}
	first := t.Context / 2
	s.Truncate(0)
	// The last position predicts a token that is not in the chunk.
	return s.EvalEach(ctx, read[:t.Context-1], first, func(i int, logits []float32) error {
		return f(logits, chunk[i+1])
	})
}

// Score is a perplexity and its standard error: e to the mean negative
// log-likelihood of the scored tokens.
type Score struct {
	PPL, Error float64
	Tokens     int // scored
}

// mean keeps a running mean and its standard error.
type mean struct {
	sum, squares float64
	n            int
}

func (m *mean) add(v float64) { m.sum, m.squares, m.n = m.sum+v, m.squares+v*v, m.n+1 }

func (m *mean) value() float64 { return m.sum / float64(m.n) }

func (m *mean) err() float64 {
	v := m.squares/float64(m.n) - m.value()*m.value()
	if v <= 0 || m.n < 2 {
		return 0
	}
	return math.Sqrt(v / float64(m.n-1))
}

func (m *mean) perplexity() Score {
	p := math.Exp(m.value())
	return Score{PPL: p, Error: p * m.err(), Tokens: m.n}
}

// Perplexity scores the text. After each chunk it calls done, if that is not
// nil, with the score so far. base, if not nil, is given every position's
// logits: see BaseWriter.
func Perplexity(ctx context.Context, s *engine.Session, t Text, base *BaseWriter, done func(chunk int, sofar Score)) (Score, error) {
	var nll mean
	for c := range t.Chunks() {
		err := t.each(ctx, s, c, func(logits []float32, next int32) error {
			nll.add(logSumExp(logits) - float64(logits[next]))
			if base != nil {
				return base.write(logits)
			}
			return nil
		})
		if err != nil {
			return Score{}, fmt.Errorf("bench: chunk %d: %w", c+1, err)
		}
		if done != nil {
			done(c+1, nll.perplexity())
		}
	}
	return nll.perplexity(), nil
}

// logSumExp is ln Σ eˣ.
func logSumExp(x []float32) float64 {
	top := x[0]
	for _, v := range x {
		top = max(top, v)
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v - top))
	}
	return float64(top) + math.Log(sum)
}
