package engine_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/engine/chat"
	"github.com/gollm/gollm/engine/sample"
)

// story is what stories260K continues "Once upon a time" with at temperature 0:
// the oracle's text (oracle greedy testdata/stories260K.gguf 48 "Once upon a time").
const story = ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball."

func stories(t testing.TB, o engine.Options) *engine.Model {
	t.Helper()
	m, err := engine.Load(context.Background(), filepath.Join("..", "testdata", "stories260K.gguf"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func session(t testing.TB, m *engine.Model) *engine.Session {
	t.Helper()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// generate returns the text and the reason it ended for.
func generate(t testing.TB, s *engine.Session, prompt string, o engine.GenerateOptions) (string, engine.Finish) {
	t.Helper()
	var text strings.Builder
	var finish engine.Finish
	for token, err := range s.Generate(context.Background(), s.Model().Encode(prompt), o) {
		if err != nil {
			t.Fatal(err)
		}
		if finish != engine.NotFinished {
			t.Fatal("tokens after the last")
		}
		text.WriteString(token.Text)
		finish = token.Finish
	}
	return text.String(), finish
}

func TestGreedyStory(t *testing.T) {
	s := session(t, stories(t, engine.Options{}))
	text, _ := generate(t, s, "Once upon a time", engine.GenerateOptions{MaxTokens: 100})
	if !strings.HasPrefix(text, story) {
		t.Errorf("got %q, want it to begin with %q", text, story)
	}
}

func TestFinish(t *testing.T) {
	m := stories(t, engine.Options{Context: 64})
	s := session(t, m)
	if text, f := generate(t, s, "Once upon a time", engine.GenerateOptions{MaxTokens: 5}); f != engine.FinishMaxTokens || !strings.HasPrefix(story, text) {
		t.Errorf("5 tokens: %q, %q", text, f)
	}
	if text, f := generate(t, s, "Once upon a time", engine.GenerateOptions{Stop: []string{"ly. She"}}); f != engine.FinishStop || text != ", there was a little girl named Li" {
		t.Errorf("stop: %q, %q", text, f)
	}
	if _, f := generate(t, s, "Once upon a time", engine.GenerateOptions{}); f != engine.FinishContext {
		t.Errorf("full: %q", f)
	}
	if n := len(s.Tokens()); n != 64 {
		t.Errorf("context of 64 ended with %d tokens", n)
	}
}

func TestErrors(t *testing.T) {
	m := stories(t, engine.Options{Context: 16})
	s := session(t, m)
	long := slices.Repeat(m.Encode("time"), 20)
	for _, err := range []error{
		func() error { _, err := s.Eval(context.Background(), long); return err }(),
		func() error {
			for _, err := range s.Generate(context.Background(), long, engine.GenerateOptions{}) {
				return err
			}
			return nil
		}(),
	} {
		if !errors.Is(err, engine.ErrContextFull) || !strings.Contains(err.Error(), "16") {
			t.Errorf("a long prompt: %v", err)
		}
	}
	if _, err := s.Eval(context.Background(), []int32{512}); err == nil || !strings.Contains(err.Error(), "512") {
		t.Errorf("token out of range: %v", err)
	}
	if _, err := s.Eval(context.Background(), nil); err == nil {
		t.Error("no tokens: no error")
	}
	if len(s.Tokens()) != 0 {
		t.Errorf("refused evaluations left %d tokens", len(s.Tokens()))
	}
	for _, err := range s.Generate(context.Background(), m.Encode("x"), engine.GenerateOptions{Sampling: sample.Params{MinP: 7}}) {
		if err == nil {
			t.Error("bad sampling: no error")
		}
	}
	if _, err := engine.Load(context.Background(), "../testdata/stories260K.gguf", engine.Options{Device: "abacus"}); err == nil || !strings.Contains(err.Error(), "abacus") {
		t.Errorf("unknown device: %v", err)
	}
	if _, err := m.ChatPrompt(nil, chat.Options{}); !errors.Is(err, chat.ErrNoTemplate) {
		t.Errorf("no template: %v", err)
	}
}

func TestCancel(t *testing.T) {
	s := session(t, stories(t, engine.Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	var last error
	for token, err := range s.Generate(ctx, s.Model().Encode("Once upon a time"), engine.GenerateOptions{}) {
		if last = err; err != nil {
			break
		}
		if n++; n == 3 {
			cancel()
		}
		if n > 3 {
			t.Fatalf("token %v after cancel", token)
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("ended with %v", last)
	}
	// The session goes on from where it was.
	if text, _ := generate(t, s, "Once upon a time", engine.GenerateOptions{MaxTokens: 40}); !strings.HasPrefix(text, story[:40]) {
		t.Errorf("after a cancel: %q", text)
	}
}

// A session reads only what is new, and says the same as a fresh one.
func TestGenerateReusesThePrefix(t *testing.T) {
	m := stories(t, engine.Options{})
	s := session(t, m)
	generate(t, s, "Once upon a time", engine.GenerateOptions{MaxTokens: 20})
	s.ResetStats()
	prompt := "Once upon a time, there was a little dog"
	again, _ := generate(t, s, prompt, engine.GenerateOptions{MaxTokens: 20})
	if all := len(m.Encode(prompt)); s.Stats().PromptTokens >= all {
		t.Errorf("read %d of %d tokens again", s.Stats().PromptTokens, all)
	}
	fresh, _ := generate(t, session(t, m), prompt, engine.GenerateOptions{MaxTokens: 20})
	if again != fresh {
		t.Errorf("reused: %q, fresh: %q", again, fresh)
	}
}

// However a text is cut into steps, the logits are the same to the last digits
// of float32 sums. The cache is of float32: steps of different lengths add in
// different orders, and a key that then rounds to another half moves logits by 1e-4.
func TestBatchesAgree(t *testing.T) {
	ctx := context.Background()
	text := "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her big red ball."
	var want []float32
	for _, batch := range []int{512, 1, 7, 16} {
		m := stories(t, engine.Options{Batch: batch, KVType: "f32"})
		tokens := m.Encode(text)
		got, err := session(t, m).Eval(ctx, tokens)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = slices.Clone(got)
		}
		near(t, got, want, 1e-4)
		n := 0
		err = session(t, m).EvalEach(ctx, tokens, len(tokens)-3, func(i int, logits []float32) error {
			if i != len(tokens)-3+n {
				t.Errorf("logits of %d, want %d", i, len(tokens)-3+n)
			}
			if n++; n == 3 {
				near(t, logits, want, 1e-4)
			}
			return nil
		})
		if err != nil || n != 3 {
			t.Errorf("EvalEach: %d calls, %v", n, err)
		}
	}
}

func near(t *testing.T, got, want []float32, bound float64) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= bound*max(1, math.Abs(float64(want[i])))) {
			t.Fatalf("logit %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestEmbed(t *testing.T) {
	m := stories(t, engine.Options{Batch: 5})
	embed := func(text string) []float32 {
		v, err := m.Embed(context.Background(), m.Encode(text), engine.EmbedOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(v) != m.Info().Width {
			t.Fatalf("%d values, want %d", len(v), m.Info().Width)
		}
		return v
	}
	dot := func(a, b []float32) (sum float64) {
		for i := range a {
			sum += float64(a[i]) * float64(b[i])
		}
		return sum
	}
	cat, kitten, far := embed("The cat sat on the mat."), embed("The cat sat on the bed."), embed("Thank you very much for all")
	if l := dot(cat, cat); math.Abs(l-1) > 1e-5 {
		t.Errorf("length² %v, want 1", l)
	}
	if dot(cat, kitten) <= dot(cat, far) {
		t.Errorf("like texts %v, unlike texts %v", dot(cat, kitten), dot(cat, far))
	}
	if _, err := m.Embed(context.Background(), nil, engine.EmbedOptions{}); err == nil {
		t.Error("no tokens: no error")
	}
}

func TestEvalAllocatesNothing(t *testing.T) {
	m := stories(t, engine.Options{Threads: 2})
	s := session(t, m)
	if _, err := s.Eval(context.Background(), m.Encode("Once upon a time")); err != nil {
		t.Fatal(err)
	}
	token := []int32{300}
	n := testing.AllocsPerRun(50, func() {
		if _, err := s.Eval(context.Background(), token); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations a token", n)
	}
}

func TestProgress(t *testing.T) {
	var last, total int64
	stories(t, engine.Options{Progress: func(d, n int64) {
		if d < last {
			t.Errorf("progress went from %d to %d", last, d)
		}
		last, total = d, n
	}})
	if last == 0 || last != total {
		t.Errorf("progress ended at %d of %d", last, total)
	}
}

func BenchmarkToken(b *testing.B) {
	m := stories(b, engine.Options{})
	s := session(b, m)
	token := []int32{300}
	for b.Loop() {
		if len(s.Tokens()) == m.Info().Context {
			s.Truncate(0)
		}
		if _, err := s.Eval(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}
