//go:build unix

package main

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// realModel returns the path of one of the two real models, or skips the test.
func realModel(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("GOLLM_MODELS")
	if dir == "" {
		t.Skip("needs a real model: GOLLM_MODELS is not set (make test-models sets it)")
	}
	return filepath.Join(dir, name)
}

const (
	smolLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
	gemma3  = "gemma-3-270m-q4_k_m.gguf"
)

// TestRealModelsPerplexity wants the perplexities of llama.cpp with float
// activations: oracle ppl MODEL-f32.gguf tinystories_sample.txt 512 1.
func TestRealModelsPerplexity(t *testing.T) {
	for name, want := range map[string]float64{smolLM2: 5.9458, gemma3: 7.0332} {
		t.Run(name, func(t *testing.T) {
			r := do("", "perplexity", "-m", realModel(t, name), "-f", "../../testdata/tinystories_sample.txt", "-c", "512", "--chunks", "1")
			m := regexp.MustCompile(`(?m)^Final estimate: PPL = ([\d.]+) \+/- [\d.]+$`).FindStringSubmatch(r.stdout)
			if r.status != 0 || m == nil {
				t.Fatalf("%+v", r)
			}
			got, err := strconv.ParseFloat(m[1], 64)
			if err != nil || !(math.Abs(got-want) <= 1e-3*want) {
				t.Errorf("perplexity %v, want %v", m[1], want)
			}
		})
	}
}

// TestRealModelsAnswer asks once, from a pipe: the answer and nothing else.
func TestRealModelsAnswer(t *testing.T) {
	r := do("What is the capital of France?\n", "run", "-m", realModel(t, smolLM2), "--temp", "0", "-c", "256")
	if r.status != 0 || r.stdout != "The capital of France is Paris." || !timings.MatchString(r.stderr) {
		t.Errorf("%+v", r)
	}
}

// TestRealModelsConverse asks twice on a terminal, and stops an answer.
func TestRealModelsConverse(t *testing.T) {
	c := onTerminal(t, "run", "-m", realModel(t, smolLM2), "--temp", "0", "-c", "1024")
	c.prompted()
	var tokens [2]int
	for i := range tokens {
		c.send("What is the capital of France?\r")
		c.expect(`capital of France is Paris\.`)
		tokens[i] = c.promptTokens()
		c.prompted()
	}
	// The template's system message is not read again.
	if tokens[1] >= tokens[0] {
		t.Errorf("the turns read %d tokens", tokens)
	}
	c.send("Tell me a very long story.\r")
	c.expect(`\r\n[^\r]{10}`)
	c.send("\x03")
	c.expect(`\(stopped\)`)
	c.prompted()
	c.send("/bye\r")
	c.end(0)
}

// TestRealModelsBench measures a little, for the description of the model.
func TestRealModelsBench(t *testing.T) {
	for name, want := range map[string]string{smolLM2: "| llama 135M Q4_1 ", gemma3: "| gemma3 268M Q4_K - Medium "} {
		r := do("", "bench", "-m", realModel(t, name), "-p", "4", "-n", "2", "-r", "1", "--no-warmup")
		if r.status != 0 || strings.Count(r.stdout, want) != 2 {
			t.Errorf("%+v", r)
		}
	}
}
