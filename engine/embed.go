package engine

import (
	"context"
	"fmt"
	"math"

	"github.com/gollm/gollm/engine/internal/arch"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
)

// Pooling is how the hidden states of a text's tokens become one vector.
type Pooling int

const (
	PoolMean Pooling = iota // the mean over all tokens
	PoolLast                // the last token's
)

// EmbedOptions are the choices of Embed.
type EmbedOptions struct {
	Pooling Pooling
	// Raw leaves the vector as it is; otherwise it is scaled to length 1, so that
	// dot products are cosines.
	Raw bool
}

// Embed returns a vector for a text: its tokens' final hidden states, pooled.
// It has Info.Width values.
func (m *Model) Embed(ctx context.Context, tokens []int32, o EmbedOptions) ([]float32, error) {
	if len(tokens) == 0 {
		return nil, fmt.Errorf("engine: %w", errNoTokens)
	}
	if len(tokens) > m.options.Context {
		return nil, fmt.Errorf("engine: %w: %d tokens in a context of %d", ErrContextFull, len(tokens), m.options.Context)
	}
	p, err := arch.Program(m.family, arch.Options{Context: m.options.Context}, true)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	pool, err := kv.New(m.exec, p.KV, m.kvType, len(tokens))
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	defer pool.Close()
	batch := min(m.options.Batch, len(tokens))
	r, err := m.compile(p, pool.Memory(), program.Limits{Tokens: batch, Outputs: batch})
	if err != nil {
		return nil, err
	}
	defer program.CloseRunner(r)
	s := Session{model: m, pool: pool, seq: pool.NewSequence(len(tokens)), runner: r}
	s.step.Tables = make([][]int32, 1)
	width := m.family.Common().Width
	sum := make([]float64, width)
	for i := 0; i < len(tokens); i += batch {
		part := tokens[i:min(i+batch, len(tokens))]
		if err := s.run(ctx, r, part, len(part)); err != nil {
			return nil, fmt.Errorf("engine: %w", err)
		}
		for j, v := range r.Result() {
			if o.Pooling == PoolMean || i+j/width == len(tokens)-1 {
				sum[j%width] += float64(v)
			}
		}
	}
	length := 1.0
	if !o.Raw {
		length = 0
		for _, v := range sum {
			length += v * v
		}
		length = math.Sqrt(length)
	} else if o.Pooling == PoolMean {
		length = float64(len(tokens))
	}
	out := make([]float32, width)
	for i, v := range sum {
		out[i] = float32(v / max(length, math.SmallestNonzeroFloat64))
	}
	return out, nil
}
