package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/engine/sample"
	"github.com/gollm/gollm/gguf"
)

// feeding makes an executor's runners feed themselves, on a goroutine of each,
// as a GPU would, and fail where a test wants it.
type feeding struct {
	program.Executor
	fail   func(started int) error // of a step fed, counted from 1
	spoil  bool                    // picks nothing
	counts *feedCounts
}

type feedCounts struct{ fed, picked, dropped, most int }

func (e *feeding) Compile(p *program.Program, kv *program.KVMemory, limits program.Limits) (program.Runner, error) {
	r, err := e.Executor.Compile(p, kv, limits)
	if err != nil {
		return nil, err
	}
	f := &feeder{Runner: r, e: e, steps: make(chan *program.Step, program.FeedAhead), picks: make(chan pick, program.FeedAhead)}
	go f.work()
	return f, nil
}

type pick struct {
	id  int32
	err error
}

type feeder struct {
	program.Runner
	e     *feeding
	steps chan *program.Step
	picks chan pick
	ahead int
}

func (f *feeder) Close() { close(f.steps) }

func (f *feeder) work() {
	last, started := int32(-1), 0
	for s := range f.steps {
		if s.Tokens == nil {
			s.Tokens = []int32{last}
		}
		started++
		err := error(nil)
		if f.e.fail != nil {
			err = f.e.fail(started)
		}
		if err == nil {
			err = f.Runner.Run(s)
		}
		if err == nil {
			last = int32(slices.Index(f.Result(), slices.Max(f.Result())))
		}
		if f.e.spoil {
			f.picks <- pick{-1, err}
			continue
		}
		f.picks <- pick{last, err}
	}
}

func (f *feeder) Feed(s *program.Step) error {
	if f.ahead == program.FeedAhead || f.ahead > 0 && s.Tokens != nil || f.ahead == 0 && s.Tokens == nil {
		return fmt.Errorf("%d steps under way, one with tokens %v fed", f.ahead, s.Tokens)
	}
	f.ahead++
	f.e.counts.fed++
	f.e.counts.most = max(f.e.counts.most, f.ahead)
	f.steps <- &program.Step{Tokens: slices.Clone(s.Tokens), Positions: slices.Clone(s.Positions), Sequences: slices.Clone(s.Sequences),
		Tables: [][]int32{slices.Clone(s.Tables[0])}, Outputs: slices.Clone(s.Outputs)}
	return nil
}

func (f *feeder) Picked() ([]int32, error) {
	f.ahead--
	p := <-f.picks
	if p.err != nil {
		f.Drop()
		return nil, p.err
	}
	f.e.counts.picked++
	return []int32{p.id}, nil
}

func (f *feeder) Drop() {
	for ; f.ahead > 0; f.ahead-- {
		<-f.picks
		f.e.counts.dropped++
	}
}

func (f *feeder) Run(s *program.Step) error {
	f.Drop()
	return f.Runner.Run(s)
}

// openStories opens stories260K with some tokens of context. With end, its stories
// end with the token that they begin with, as the next one begins.
func openStories(t *testing.T, tokens int, end bool) *Model {
	t.Helper()
	f, err := gguf.Open(filepath.Join("..", "testdata", "stories260K.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Pairs {
		if p := &f.Pairs[i]; end && p.Key == "tokenizer.ggml.eos_token_id" {
			p.Value = uint32(1)
		}
	}
	m, err := New(context.Background(), f, Options{Context: tokens, Device: "ref"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// fedStories is openStories on an executor that feeds itself.
func fedStories(t *testing.T, tokens int, end bool) (*Model, *feeding) {
	m := openStories(t, tokens, end)
	e := &feeding{Executor: m.exec, counts: &feedCounts{}}
	m.exec = e
	return m, e
}

// told is what came of a generation.
type told struct {
	tokens []Token
	holds  []int32 // the session, afterwards
	err    error
}

// generateAll generates until the end, or until leave tokens have come, if that is not 0.
func generateAll(t *testing.T, s *Session, prompt string, o GenerateOptions, leave int) (r told) {
	t.Helper()
	for token, err := range s.Generate(context.Background(), s.model.Encode(prompt), o) {
		if r.err = err; err != nil {
			break
		}
		r.tokens = append(r.tokens, token)
		if len(r.tokens) == leave {
			break
		}
	}
	if n := s.seq.Len(); n != len(s.tokens) {
		t.Errorf("the session holds %d tokens, its KV cache %d", len(s.tokens), n)
	}
	r.holds = slices.Clone(s.tokens)
	return r
}

func newSession(t *testing.T, m *Model) *Session {
	t.Helper()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestFed holds generations of an executor that feeds itself against those where
// each token is picked here: the same tokens, the same session afterwards, that
// goes on in the same way.
func TestFed(t *testing.T) {
	const opening = "Once upon a time"
	for _, c := range []struct {
		name    string
		context int
		o       GenerateOptions
		leave   int
		finish  Finish
	}{
		{"one_token", 128, GenerateOptions{MaxTokens: 1}, 0, FinishMaxTokens},
		{"two_tokens", 128, GenerateOptions{MaxTokens: 2}, 0, FinishMaxTokens},
		{"three_tokens", 128, GenerateOptions{MaxTokens: 3}, 0, FinishMaxTokens},
		{"many_tokens", 128, GenerateOptions{MaxTokens: 100}, 0, FinishMaxTokens},
		{"filters_that_keep_the_largest", 128, GenerateOptions{MaxTokens: 9, Sampling: sample.Params{TopK: 5, MinP: 0.1}}, 0, FinishMaxTokens},
		{"stop_string", 128, GenerateOptions{Stop: []string{"ly. She"}}, 0, FinishStop},
		{"full_context", 64, GenerateOptions{}, 0, FinishContext},
		{"context_of_the_bound", 64, GenerateOptions{MaxTokens: 60}, 0, FinishMaxTokens},
		{"end_token", 512, GenerateOptions{}, 0, FinishEnd},
		{"end_token_ignored", 512, GenerateOptions{IgnoreEnd: true}, 0, FinishContext},
		{"left_at_once", 128, GenerateOptions{}, 1, NotFinished},
		{"left_after_two", 128, GenerateOptions{}, 2, NotFinished},
		{"left_after_30", 128, GenerateOptions{}, 30, NotFinished},
	} {
		t.Run(c.name, func(t *testing.T) {
			end := strings.HasPrefix(c.name, "end")
			plain := openStories(t, c.context, end)
			m, e := fedStories(t, c.context, end)
			a, b := newSession(t, plain), newSession(t, m)
			want, got := generateAll(t, a, opening, c.o, c.leave), generateAll(t, b, opening, c.o, c.leave)
			if want.err != nil || got.err != nil {
				t.Fatal(want.err, got.err)
			}
			if f := want.tokens[len(want.tokens)-1].Finish; f != c.finish {
				t.Errorf("the case ended with %q, not %q", f, c.finish)
			}
			if !slices.Equal(got.tokens, want.tokens) {
				t.Errorf("fed %v\nwant %v", got.tokens, want.tokens)
			}
			if !slices.Equal(got.holds, want.holds) {
				t.Errorf("the session holds %d tokens %v, want %d %v", len(got.holds), got.holds, len(want.holds), want.holds)
			}
			if n := len(want.tokens); n > 2 && c.leave == 0 && e.counts.most != program.FeedAhead {
				t.Errorf("%d steps were under way at once", e.counts.most)
			}
			if c.finish == FinishMaxTokens || c.finish == FinishContext {
				if e.counts.dropped != 0 {
					t.Errorf("%d steps were in vain, though the end was known", e.counts.dropped)
				}
			} else if e.counts.dropped > program.FeedAhead {
				t.Errorf("%d steps dropped", e.counts.dropped)
			}
			o := GenerateOptions{MaxTokens: 12}
			if want, got := generateAll(t, a, "Once upon a time, there was a", o, 0), generateAll(t, b, "Once upon a time, there was a", o, 0); !slices.Equal(got.tokens, want.tokens) {
				t.Errorf("afterwards: fed %v\nwant %v", got.tokens, want.tokens)
			}
		})
	}
}

// TestFedNotGreedy samples with a temperature, which is not for executors to do.
func TestFedNotGreedy(t *testing.T) {
	plain := openStories(t, 128, false)
	m, e := fedStories(t, 128, false)
	o := GenerateOptions{MaxTokens: 30, Sampling: sample.Default()}
	o.Sampling.Seed = rand.Uint64()
	want, got := generateAll(t, newSession(t, plain), "Once", o, 0), generateAll(t, newSession(t, m), "Once", o, 0)
	if !slices.Equal(got.tokens, want.tokens) || e.counts.fed != 0 {
		t.Errorf("seed %d: %d steps fed; %v, want %v", o.Sampling.Seed, e.counts.fed, got.tokens, want.tokens)
	}
}

// TestFedErrors lets a step fail that was fed, the only one under way, the
// older or the younger of two.
func TestFedErrors(t *testing.T) {
	plain := openStories(t, 128, false)
	want := generateAll(t, newSession(t, plain), "Once upon a time", GenerateOptions{MaxTokens: 20}, 0)
	broken := errors.New("out of order")
	for _, at := range []int{1, 2, 3, 8, 19} {
		m, e := fedStories(t, 128, false)
		e.fail = func(started int) error {
			if started == at {
				return fmt.Errorf("step %d: %w", started, broken)
			}
			return nil
		}
		s := newSession(t, m)
		got := generateAll(t, s, "Once upon a time", GenerateOptions{MaxTokens: 20}, 0)
		// Step n reads token n and gives token n+1.
		if says := fmt.Sprintf("generated token %d: step %d", at+1, at); !errors.Is(got.err, broken) || !strings.Contains(got.err.Error(), says) {
			t.Errorf("step %d: error %v, want one that says %q", at, got.err, says)
		}
		if !slices.Equal(got.tokens, want.tokens[:at]) {
			t.Errorf("step %d: %v, want %v", at, got.tokens, want.tokens[:at])
		}
		if n := len(got.holds); n != len(m.Encode("Once upon a time"))+at-1 {
			t.Errorf("step %d: the session holds %d tokens", at, n)
		}
		// The session goes on.
		if again := generateAll(t, s, "Once upon a time", GenerateOptions{MaxTokens: 20}, 0); again.err != nil || !slices.Equal(again.tokens, want.tokens) {
			t.Errorf("step %d, afterwards: %v, %v", at, again.tokens, again.err)
		}
	}
	m, e := fedStories(t, 128, false)
	e.spoil = true
	if got := generateAll(t, newSession(t, m), "Once upon a time", GenerateOptions{}, 0); !errors.Is(got.err, sample.ErrNotFinite) || len(got.tokens) != 1 {
		t.Errorf("nothing picked: %v after %d tokens", got.err, len(got.tokens))
	}
}

// TestFedCancel ends the context while steps are under way.
func TestFedCancel(t *testing.T) {
	m, _ := fedStories(t, 128, false)
	s := newSession(t, m)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	n := 0
	for _, err := range s.Generate(ctx, m.Encode("Once upon a time"), GenerateOptions{}) {
		if last = err; err == nil {
			if n++; n == 5 {
				cancel()
			}
		}
	}
	if !errors.Is(last, context.Canceled) || n != 5 || s.seq.Len() != len(s.tokens) || len(s.tokens) != len(m.Encode("Once upon a time"))+4 {
		t.Errorf("error %v after %d tokens, the session holds %d, its cache %d", last, n, len(s.tokens), s.seq.Len())
	}
}
