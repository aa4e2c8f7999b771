package archtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gollm/gollm/engine/internal/arch"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// A Session is a model compiled for one executor over a KV cache of its own.
type Session struct {
	Vocab  int
	runner program.Runner
	memory *program.KVMemory
	pool   *kv.Pool
}

// NewSession loads the model of f and compiles it for steps of up to tokens
// tokens, with a cache of the given type.
func NewSession(e program.Executor, f *gguf.File, cache gguf.Type, tokens int) (*Session, error) {
	m, err := arch.Load(f)
	if err != nil {
		return nil, err
	}
	p, err := arch.Program(m, arch.Options{Context: tokens}, false)
	if err != nil {
		return nil, err
	}
	// Twice the tokens, and room so that tables can be out of order.
	pool, err := kv.New(e, p.KV, cache, 2*tokens+4*kv.BlockSize)
	if err != nil {
		return nil, err
	}
	poison(pool.Memory())
	r, err := e.Compile(p, pool.Memory(), program.Limits{Tokens: 2 * tokens, Outputs: 2 * tokens})
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &Session{Vocab: m.Common().Vocab, runner: r, memory: pool.Memory(), pool: pool}, nil
}

// Close gives the session's memory back.
func (s *Session) Close() {
	program.CloseRunner(s.runner)
	s.pool.Close()
}

// poison fills the cache with NaN: a position that is read without having been
// written shows itself.
func poison(m *program.KVMemory) {
	for _, l := range m.Layers {
		for i := range l.K {
			l.K[i] = 0xff
		}
		for i := range l.V {
			l.V[i] = 0xff
		}
	}
}

// Prompt returns the logits after each token, all tokens in one step.
func (s *Session) Prompt(tokens []int32) ([][]float32, error) {
	defer poison(s.memory)
	table := blocks(len(tokens), 0)
	step := &program.Step{Tables: [][]int32{table}}
	for i, t := range tokens {
		add(step, t, i, 0)
	}
	return s.run(step)
}

// OneByOne returns the logits after each token, a step for each token.
func (s *Session) OneByOne(tokens []int32) ([][]float32, error) {
	defer poison(s.memory)
	table := blocks(len(tokens), 0)
	var out [][]float32
	for i, t := range tokens {
		step := &program.Step{Tables: [][]int32{table}}
		add(step, t, i, 0)
		rows, err := s.run(step)
		if err != nil {
			return nil, err
		}
		out = append(out, rows[0])
	}
	return out, nil
}

// Shared returns the logits after each token when the tokens come in steps of
// random sizes, in which a second sequence has its own tokens, and the blocks of
// both lie in random order.
func (s *Session) Shared(tokens []int32, random *rand.Rand) ([][]float32, error) {
	defer poison(s.memory)
	other := slices.Clone(tokens)
	random.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
	shuffled := blocks(s.memory.Blocks*s.memory.BlockSize, 0)
	random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	half := len(shuffled) / 2
	tables := [][]int32{shuffled[:half], shuffled[half:]}

	var out [][]float32
	for at := [2]int{}; at[0] < len(tokens); {
		step := &program.Step{Tables: tables}
		var own []int // rows of the first sequence
		for range 1 + random.IntN(12) {
			q := random.IntN(2)
			if at[q] == len(tokens) {
				continue
			}
			if q == 0 {
				own = append(own, len(step.Tokens))
				add(step, tokens[at[q]], at[q], 0)
			} else {
				add(step, other[at[q]], at[q], 1)
			}
			at[q]++
		}
		if len(step.Tokens) == 0 {
			continue
		}
		rows, err := s.run(step)
		if err != nil {
			return nil, err
		}
		for _, i := range own {
			out = append(out, rows[i])
		}
	}
	return out, nil
}

func add(s *program.Step, token int32, position, sequence int) {
	s.Outputs = append(s.Outputs, int32(len(s.Tokens)))
	s.Tokens = append(s.Tokens, token)
	s.Positions = append(s.Positions, int32(position))
	s.Sequences = append(s.Sequences, int32(sequence))
}

// blocks is a table for n positions, in order from a first block on.
func blocks(n, first int) []int32 {
	t := make([]int32, (n+kv.BlockSize-1)/kv.BlockSize)
	for i := range t {
		t[i] = int32(first + i)
	}
	return t
}

func (s *Session) run(step *program.Step) ([][]float32, error) {
	if err := s.runner.Run(step); err != nil {
		return nil, err
	}
	result := s.runner.Result()
	if len(result) != len(step.Outputs)*s.Vocab {
		return nil, fmt.Errorf("%d values for %d outputs over a vocabulary of %d", len(result), len(step.Outputs), s.Vocab)
	}
	rows := make([][]float32, len(step.Outputs))
	for i := range rows {
		rows[i] = slices.Clone(result[i*s.Vocab : (i+1)*s.Vocab])
	}
	return rows, nil
}

// Difference returns how far got is from want, rows of logits: the largest
// over the rows of max|got-want| / max|want|. A value that is not a number, and
// a row whose argmax differs by more than a tie, are errors. It is a tie where
// want's logit of got's argmax is within bound, in the same measure, of want's
// largest.
func Difference(got, want [][]float32, bound float64) (float64, error) {
	if len(got) != len(want) {
		return 0, fmt.Errorf("%d rows of logits, want %d", len(got), len(want))
	}
	worst := 0.0
	for i := range want {
		if len(got[i]) != len(want[i]) {
			return 0, fmt.Errorf("row %d: %d logits, want %d", i, len(got[i]), len(want[i]))
		}
		size, diff := 0.0, 0.0
		for j, w := range want[i] {
			g := float64(got[i][j])
			if math.IsNaN(g) || math.IsInf(g, 0) || math.IsNaN(float64(w)) || math.IsInf(float64(w), 0) {
				return 0, fmt.Errorf("row %d: logit %d is %v, want %v", i, j, g, w)
			}
			size = max(size, math.Abs(float64(w)))
			diff = max(diff, math.Abs(g-float64(w)))
		}
		if size == 0 {
			return 0, fmt.Errorf("row %d: all logits are wanted to be 0", i)
		}
		worst = max(worst, diff/size)
		a, b := argmax(got[i]), argmax(want[i])
		if float64(want[i][b]-want[i][a]) > bound*size {
			return worst, fmt.Errorf("row %d: argmax is %d, want %d (logits %v and %v there; error %.2g)", i, a, b, want[i][a], want[i][b], diff/size)
		}
	}
	if worst > bound {
		return worst, fmt.Errorf("relative error %.3g is above %g", worst, bound)
	}
	return worst, nil
}

func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}
