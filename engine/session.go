package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
)

// Session is one text as the model has read it. It is used by one goroutine at
// a time; sessions of one model run concurrently.
type Session struct {
	model  *Model
	pool   *kv.Pool
	seq    *kv.Sequence
	runner program.Runner
	every  program.Runner // with many outputs, made when first needed
	most   int            // outputs of every

	tokens []int32 // what the KV cache holds
	step   program.Step
	stats  Stats
}

// ErrContextFull is wrapped by errors of a text that outgrows the context.
var ErrContextFull = kv.ErrFull

// errNoTokens is returned for empty prompts: a model needs something to go on.
var errNoTokens = errors.New("no tokens to evaluate")

// Stats counts a session's work.
type Stats struct {
	PromptTokens    int           // evaluated by Eval, EvalEach and as prompts of Generate
	PromptTime      time.Duration // spent on them
	GeneratedTokens int           // evaluated one by one by Generate
	GenerateTime    time.Duration // spent on them, sampling included
}

// NewSession returns an empty session. It allocates the session's KV cache and
// scratch memory, or says that the machine has not that much.
func (m *Model) NewSession() (*Session, error) {
	if err := m.checkMemory(); err != nil {
		return nil, err
	}
	pool, err := kv.New(m.exec, m.logits.KV, m.kvType, m.options.Context)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	s := &Session{model: m, pool: pool, seq: pool.NewSequence(m.options.Context)}
	s.runner, err = m.compile(m.logits, pool.Memory(), m.limits(1))
	if err != nil {
		pool.Close()
		return nil, err
	}
	s.tokens = make([]int32, 0, m.options.Context)
	s.step.Tables = make([][]int32, 1)
	return s, nil
}

// limits are those of a program for the model's steps: no step is longer than the
// context.
func (m *Model) limits(outputs int) program.Limits {
	return program.Limits{Tokens: min(m.options.Batch, m.options.Context), Outputs: outputs}
}

// Close gives the session's memory back.
func (s *Session) Close() {
	if s.pool == nil {
		return
	}
	s.seq.Close()
	program.CloseRunner(s.runner)
	program.CloseRunner(s.every)
	s.pool.Close()
	s.runner, s.every, s.pool = nil, nil, nil
}

// Model returns the session's model.
func (s *Session) Model() *Model { return s.model }

// Tokens returns the tokens the session holds, valid until the next change.
func (s *Session) Tokens() []int32 { return s.tokens }

// Stats returns the counts so far.
func (s *Session) Stats() Stats { return s.stats }

// ResetStats sets the counts to zero.
func (s *Session) ResetStats() { s.stats = Stats{} }

// Truncate forgets all tokens from the n-th on.
func (s *Session) Truncate(n int) {
	if n >= 0 && n < len(s.tokens) {
		s.tokens = s.tokens[:n]
		s.seq.Truncate(n)
	}
}

// Eval appends tokens and returns the logits for the one that follows: one for
// each token of the vocabulary, valid until the next call, the caller may change them.
// When ctx ends it stops between steps; the session then holds the tokens of
// the steps that were done. A text that would outgrow the context changes
// nothing and is an error that wraps ErrContextFull.
func (s *Session) Eval(ctx context.Context, tokens []int32) ([]float32, error) {
	start := time.Now()
	logits, err := s.eval(ctx, tokens)
	s.stats.PromptTime += time.Since(start)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	s.stats.PromptTokens += len(tokens)
	return logits, nil
}

// eval is Eval without counting.
func (s *Session) eval(ctx context.Context, tokens []int32) ([]float32, error) {
	if err := s.room(tokens); err != nil {
		return nil, err
	}
	for len(tokens) > 0 {
		n := min(len(tokens), s.model.options.Batch)
		outputs := 0
		if n == len(tokens) {
			outputs = 1
		}
		if err := s.run(ctx, s.runner, tokens[:n], outputs); err != nil {
			return nil, err
		}
		tokens = tokens[n:]
	}
	return s.runner.Result(), nil
}

// EvalEach is Eval with the logits after every token from the first-th of tokens
// on: it calls f with the token's index in tokens and the logits, which are
// valid during the call.
func (s *Session) EvalEach(ctx context.Context, tokens []int32, first int, f func(i int, logits []float32) error) error {
	start := time.Now()
	defer func() { s.stats.PromptTime += time.Since(start) }()
	if err := s.room(tokens); err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	vocab := s.model.family.Common().Vocab
	if s.every == nil {
		// As many rows of logits as fit 64 MB.
		s.most = max(1, min(s.model.options.Batch, (64<<20)/(4*vocab)))
		r, err := s.model.compile(s.model.logits, s.pool.Memory(), s.model.limits(s.most))
		if err != nil {
			return err
		}
		s.every = r
	}
	for i := 0; i < len(tokens); {
		n := min(len(tokens)-i, s.model.options.Batch)
		outputs := max(0, min(n, i+n-first))
		if outputs > s.most {
			n -= outputs - s.most
			outputs = s.most
		}
		if err := s.run(ctx, s.every, tokens[i:i+n], outputs); err != nil {
			return fmt.Errorf("engine: %w", err)
		}
		s.stats.PromptTokens += n
		logits := s.every.Result()
		for j := range outputs {
			if err := f(i+n-outputs+j, logits[j*vocab:(j+1)*vocab]); err != nil {
				return err
			}
		}
		i += n
	}
	return nil
}

// room checks tokens before anything is done with them.
func (s *Session) room(tokens []int32) error {
	if len(tokens) == 0 {
		return errNoTokens
	}
	vocab := s.model.family.Common().Vocab
	for i, t := range tokens {
		if t < 0 || int(t) >= vocab {
			return fmt.Errorf("token %d is %d, outside the vocabulary of %d", i, t, vocab)
		}
	}
	if have, limit := len(s.tokens), s.model.options.Context; have+len(tokens) > limit {
		return fmt.Errorf("%w: %d tokens in use, %d more do not fit the context of %d", ErrContextFull, have, len(tokens), limit)
	}
	return nil
}

// run replays a program for one step: the tokens, and logits for the last
// outputs of them.
func (s *Session) run(ctx context.Context, r program.Runner, tokens []int32, outputs int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.seq.Grow(len(tokens)); err != nil {
		return err
	}
	st := &s.step
	st.Tables[0] = s.seq.Table()
	st.Tokens, st.Positions, st.Sequences, st.Outputs = st.Tokens[:0], st.Positions[:0], st.Sequences[:0], st.Outputs[:0]
	for i, t := range tokens {
		st.Tokens = append(st.Tokens, t)
		st.Positions = append(st.Positions, int32(len(s.tokens)+i))
		st.Sequences = append(st.Sequences, 0)
		if i >= len(tokens)-outputs {
			st.Outputs = append(st.Outputs, int32(i))
		}
	}
	if err := r.Run(st); err != nil {
		s.seq.Truncate(len(s.tokens))
		return err
	}
	s.tokens = append(s.tokens, tokens...)
	return nil
}

// rewind makes the session hold a prefix of prompt, the longest it has already
// read, and returns the rest: at least the last token, whose logits are wanted.
func (s *Session) rewind(prompt []int32) []int32 {
	n := 0
	for n < len(s.tokens) && n < len(prompt)-1 && s.tokens[n] == prompt[n] {
		n++
	}
	s.Truncate(n)
	return prompt[n:]
}

// Holds reports whether the session holds exactly these tokens.
func (s *Session) Holds(tokens []int32) bool { return slices.Equal(s.tokens, tokens) }
