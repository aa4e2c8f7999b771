package engine_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/engine/chat"
)

// The two real models of the tests; testdata/fetch-models.sh gets them.
const (
	smolLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
	gemma3  = "gemma-3-270m-q4_k_m.gguf"
)

// realModel returns the path of a real model, or skips the test.
func realModel(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("GOLLM_MODELS")
	if dir == "" {
		t.Skip("needs a real model: GOLLM_MODELS is not set (make test-models sets it)")
	}
	return filepath.Join(dir, name)
}

func loadReal(t *testing.T, name string, o engine.Options) *engine.Model {
	t.Helper()
	m, err := engine.Load(context.Background(), realModel(t, name), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// greedyText is what the oracle says after a prompt at temperature 0, with the
// model's weights widened to float32, so that its activations are float32 too.
type greedyText struct {
	Model  string  `json:"model"`
	Prompt string  `json:"prompt"`
	Text   string  `json:"text"`
	IDs    []int32 `json:"ids"`
	// Gaps are the distances between the two best logits where each of IDs was
	// picked, and after them where the model ended.
	Gaps  []float64 `json:"gaps"`
	Ended bool      `json:"ended"` // the model ended before greedyTokens
}

// greedyTokens is the length of the texts, unless the model ends before.
const greedyTokens = 64

// tie is the gap below which two tokens are equally good: the oracle's own
// versions differ by more.
const tie = 0.02

// recordedGreedy is the file TestOracleGreedy writes with -update.
const recordedGreedy = "testdata/greedy.json"

func readGreedy(t *testing.T) []greedyText {
	t.Helper()
	b, err := os.ReadFile(recordedGreedy)
	if err != nil {
		t.Fatal(err)
	}
	var texts []greedyText
	if err := json.Unmarshal(b, &texts); err != nil {
		t.Fatal(err)
	}
	if len(texts) != 6 {
		t.Fatalf("%s has %d texts, want 6", recordedGreedy, len(texts))
	}
	return texts
}

// TestRealModelsGreedy holds the greedy texts against the oracle's. Where one
// first differs, the oracle's two best tokens must have been a tie.
func TestRealModelsGreedy(t *testing.T) {
	for _, name := range []string{smolLM2, gemma3} {
		m := loadReal(t, name, engine.Options{Context: 128})
		for _, want := range readGreedy(t) {
			if want.Model != name {
				continue
			}
			t.Run(name+"/"+want.Prompt, func(t *testing.T) {
				got, ended := greedy(t, m, want.Prompt)
				n := 0
				for n < len(got) && n < len(want.IDs) && got[n] == want.IDs[n] {
					n++
				}
				switch {
				case n == len(got) && n == len(want.IDs) && ended == want.Ended:
				case n < len(want.Gaps) && want.Gaps[n] < tie:
					t.Logf("differs at token %d, where the oracle's best two are %.3f apart: %q", n, want.Gaps[n], m.Decode(got))
				default:
					t.Errorf("differs at token %d (%v):\ngot  %q\nwant %q", n, want.Gaps, m.Decode(got), want.Text)
				}
			})
		}
	}
}

// greedy generates and returns the tokens without the end token.
func greedy(t *testing.T, m *engine.Model, prompt string) (ids []int32, ended bool) {
	t.Helper()
	s := session(t, m)
	for token, err := range s.Generate(context.Background(), m.Encode(prompt), engine.GenerateOptions{MaxTokens: greedyTokens}) {
		if err != nil {
			t.Fatal(err)
		}
		if token.Finish == engine.FinishEnd {
			return ids, true
		}
		ids = append(ids, token.ID)
	}
	return ids, false
}

// TestRealModelsChat asks a question twice in one conversation. The second time
// only what is new is read.
func TestRealModelsChat(t *testing.T) {
	m := loadReal(t, smolLM2, engine.Options{Context: 512})
	s := session(t, m)
	var messages []chat.Message
	for turn := range 2 {
		messages = append(messages, chat.User("What is the capital of France?"))
		prompt, err := m.ChatPrompt(messages, chat.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.ResetStats()
		var answer strings.Builder
		finish := engine.NotFinished
		for token, err := range s.Generate(context.Background(), prompt, engine.GenerateOptions{MaxTokens: 64}) {
			if err != nil {
				t.Fatal(err)
			}
			answer.WriteString(token.Text)
			finish = token.Finish
		}
		if !strings.Contains(answer.String(), "Paris") || finish != engine.FinishEnd {
			t.Errorf("turn %d: %q, ended by %q", turn, answer.String(), finish)
		}
		if read := s.Stats().PromptTokens; turn > 0 && read > 24 {
			t.Errorf("turn %d read %d tokens of a prompt of %d", turn, read, len(prompt))
		}
		messages = append(messages, chat.Assistant(answer.String()))
	}
}

// However the prompt is cut into steps, real weights give the same logits. Of floats,
// cached as floats: sums in another order round to another half, or to another of the
// 15 bits that activations have otherwise, and move logits by 5e-3.
func TestRealModelsBatchesAgree(t *testing.T) {
	var want []float32
	for _, batch := range []int{512, 5} {
		m := loadReal(t, smolLM2, engine.Options{Context: 64, Batch: batch, Precise: true, KVType: "f32"})
		got, err := session(t, m).Eval(context.Background(), m.Encode("The capital of France is Paris, and the capital of Spain is"))
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = slices.Clone(got)
		}
		for i := range want {
			if !(math.Abs(float64(got[i]-want[i])) <= 1e-3) {
				t.Fatalf("batch %d: logit %d is %v, want %v", batch, i, got[i], want[i])
			}
		}
	}
}
