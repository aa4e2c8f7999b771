package engine

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/gollm/gollm/metal/emu"
)

// TestRealModelsOnCPUAndGPU holds greedy texts against the oracle's, as
// TestRealModelsGreedy does, with the last 5 layers and the output on an emulated
// GPU. It is slow: few tokens of the larger model, unless GOLLM_LONG is set.
func TestRealModelsOnCPUAndGPU(t *testing.T) {
	dir := os.Getenv("GOLLM_MODELS")
	if dir == "" {
		t.Skip("needs a real model: GOLLM_MODELS is not set (make test-models sets it)")
	}
	needsEmulator(t)
	b, err := os.ReadFile("testdata/greedy.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts []struct {
		Model, Prompt, Text string
		IDs                 []int32
		Gaps                []float64
	}
	if err := json.Unmarshal(b, &texts); err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, c := range []struct {
		model  string
		tokens int
	}{{"SmolLM2-135M-Instruct.Q4_1.gguf", 32}, {"gemma-3-270m-q4_k_m.gguf", 8}} {
		for _, want := range texts {
			if want.Model != c.model || want.Prompt != "Once upon a time" {
				continue
			}
			done++
			t.Run(c.model, func(t *testing.T) {
				n := c.tokens
				if os.Getenv("GOLLM_LONG") != "" {
					n = 32
				}
				m, err := open(t, filepath.Join(dir, c.model), Options{Context: 64, GPULayers: 5}, emu.Chip{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				s, err := m.NewSession()
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				var got []int32
				for token, err := range s.Generate(context.Background(), m.Encode(want.Prompt), GenerateOptions{MaxTokens: n}) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, token.ID)
				}
				for i, id := range got {
					if id == want.IDs[i] {
						continue
					}
					// Where the oracle's best two are as good, either will do.
					if want.Gaps[i] >= 0.02 {
						t.Errorf("differs at token %d, by %.3f: %q", i, want.Gaps[i], m.Decode(got))
					}
					break
				}
			})
		}
	}
	if done != 2 {
		t.Errorf("%d of 2 texts", done)
	}
}
