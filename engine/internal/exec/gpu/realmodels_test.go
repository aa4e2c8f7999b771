package gpu

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/engine/tokenizer"
	"github.com/gollm/gollm/gguf"
)

// eachRealModel runs f with each of the two real models and the tokens of a story.
func eachRealModel(t *testing.T, f func(t *testing.T, model *gguf.File, story []int32)) {
	dir := os.Getenv("GOLLM_MODELS")
	if dir == "" {
		t.Skip("needs a real model: GOLLM_MODELS is not set (make test-models sets it)")
	}
	text, err := os.ReadFile("../../../../testdata/tinystories_sample.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"} {
		t.Run(name, func(t *testing.T) {
			model, err := gguf.Open(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			tok, err := tokenizer.New(model)
			if err != nil {
				t.Fatal(err)
			}
			f(t, model, tok.Encode(string(text), tokenizer.Options{AddSpecial: true}))
		})
	}
}

// TestRealModelsGreedy continues the beginning of a story at temperature 0 and
// wants the reference executor's 32 tokens.
func TestRealModelsGreedy(t *testing.T) {
	eachRealModel(t, func(t *testing.T, model *gguf.File, story []int32) {
		p := archtest.Program(t, model, 128)
		r := ref.New(0)
		defer r.Close()
		want, err := archtest.NewStoryteller(t, r, p).Tell(story[:12], 32)
		if err != nil {
			t.Fatal(err)
		}
		d, _ := device(t)
		e := New(d, model.Mappings())
		defer e.Close()
		got, err := archtest.NewStoryteller(t, e, p).Tell(story[:12], 32)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("told %v, the reference %v", got, want)
		}
	})
}

// TestRealModelsDivergence measures the mean Kullback-Leibler divergence of the next
// token's distribution from the reference executor's over 200 positions of a story, both
// with keys and values in float16. The emulator takes a second or two for each token.
func TestRealModelsDivergence(t *testing.T) {
	if os.Getenv("GOLLM_LONG") == "" {
		t.Skip("takes half an hour on the emulator: GOLLM_LONG is not set (make test-gpu sets it)")
	}
	const positions = 200
	eachRealModel(t, func(t *testing.T, model *gguf.File, story []int32) {
		logits := func(t *testing.T, e program.Executor, run func(*archtest.Session, []int32) ([][]float32, error)) [][]float32 {
			defer e.Close()
			s, err := archtest.NewSession(e, model, gguf.F16, positions)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			rows, err := run(s, story[:positions])
			if err != nil {
				t.Fatal(err)
			}
			return rows
		}
		want := logits(t, ref.New(0), (*archtest.Session).Prompt)
		for _, c := range []struct {
			name  string
			run   func(*archtest.Session, []int32) ([][]float32, error)
			bound float64
		}{
			{"prompt", (*archtest.Session).Prompt, 1e-4},
			{"one by one", (*archtest.Session).OneByOne, 1e-5},
		} {
			t.Run(c.name, func(t *testing.T) {
				d, _ := device(t)
				kl, same, most := archtest.Divergence(logits(t, New(d, model.Mappings()), c.run), want)
				t.Logf("mean KL divergence %.3g, same likeliest token %d of %d, largest difference of a logit %.3g", kl, same, positions, most)
				if !(kl <= c.bound) {
					t.Errorf("mean KL divergence %.3g is above %g", kl, c.bound)
				}
			})
		}
	})
}
