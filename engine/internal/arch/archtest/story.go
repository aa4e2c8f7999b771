package archtest

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// storyLength is the most tokens of a Storyteller's prompt and story.
const storyLength = 128

// Beginning is that of a story of Stories.
var Beginning = []int32{1, 403, 407, 261, 378, 432, 285, 388, 399, 411, 266, 401}

// Stories opens testdata/stories260K.gguf: a trained llama of 5 layers, width 64,
// a vocabulary of 512, all in float32.
func Stories(tb testing.TB) (*gguf.File, *program.Program) {
	tb.Helper()
	root, err := root()
	if err != nil {
		tb.Fatal(err)
	}
	f := open(tb, filepath.Join(root, "testdata/stories260K.gguf"))
	return f, Program(tb, f, storyLength)
}

// A Storyteller generates greedily on an executor, with a cache of its own.
type Storyteller struct {
	Runner   program.Runner
	Sequence *kv.Sequence
	Read     []int32 // the tokens so far
}

// NewStoryteller compiles a program for steps of up to 16 tokens.
func NewStoryteller(tb testing.TB, e program.Executor, p *program.Program) *Storyteller {
	tb.Helper()
	pool, err := kv.New(e, p.KV, gguf.F16, storyLength)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := e.Compile(p, pool.Memory(), program.Limits{Tokens: 16, Outputs: 1})
	if err != nil {
		tb.Fatal(err)
	}
	return &Storyteller{Runner: r, Sequence: pool.NewSequence(0)}
}

// Next reads tokens and returns the likeliest that follows. An error leaves the
// story as it was.
func (s *Storyteller) Next(tokens ...int32) (int32, error) {
	if err := s.Sequence.Grow(len(tokens)); err != nil {
		return 0, err
	}
	step := &program.Step{Tokens: tokens, Tables: [][]int32{s.Sequence.Table()}, Outputs: []int32{int32(len(tokens) - 1)}}
	for i := range tokens {
		step.Positions = append(step.Positions, int32(len(s.Read)+i))
		step.Sequences = append(step.Sequences, 0)
	}
	if err := s.Runner.Run(step); err != nil {
		s.Sequence.Truncate(len(s.Read))
		return 0, err
	}
	s.Read = append(s.Read, tokens...)
	logits := s.Runner.Result()
	return int32(slices.Index(logits, slices.Max(logits))), nil
}

// Tell returns n tokens after a prompt.
func (s *Storyteller) Tell(prompt []int32, n int) (story []int32, err error) {
	id, err := s.Next(prompt...)
	for err == nil && len(story) < n {
		story = append(story, id)
		id, err = s.Next(id)
	}
	return story, err
}
