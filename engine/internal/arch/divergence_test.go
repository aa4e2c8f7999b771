package arch_test

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/gguf"
)

// TestDivergence compares models of real, quantised weights with the oracle on
// the same weights widened to float32, so that it does not round activations:
// the mean KL divergence over the first 220 positions of a text.
func TestDivergence(t *testing.T) {
	const bound, length = 1e-5, 220
	o := oracle(t)
	dir := os.Getenv("GOLLM_MODELS")
	if dir == "" {
		t.Skip("needs real models: GOLLM_MODELS is not set (make test-oracle sets it)")
	}
	e := ref.New(0)
	t.Cleanup(func() { e.Close() })
	for _, name := range []string{"SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"} {
		t.Run(name, func(t *testing.T) {
			model, wide := filepath.Join(dir, name), filepath.Join(t.TempDir(), "f32.gguf")
			if out, err := exec.Command(filepath.Join(string(o), "tool"), "llama-quantize", "--allow-requantize", model, wide, "F32").CombinedOutput(); err != nil {
				t.Fatalf("llama-quantize: %v: %s", err, out)
			}
			out, err := exec.Command(filepath.Join(string(o), "oracle"), "tok+", model, "../../../testdata/tinystories_sample.txt").Output()
			if err != nil {
				t.Fatal(err)
			}
			var tokens []int32
			for _, s := range strings.Fields(string(out))[:length] {
				id, err := strconv.ParseInt(s, 10, 32)
				if err != nil {
					t.Fatal(err)
				}
				tokens = append(tokens, int32(id))
			}
			want, err := o.Logits(wide, tokens)
			if err != nil {
				t.Fatal(err)
			}

			f, err := gguf.Open(model)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, cache := range []gguf.Type{gguf.F32, gguf.F16} {
				s, err := archtest.NewSession(e, f, cache, length/2) // a step may have twice as many
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.Prompt(tokens)
				if err != nil {
					t.Fatal(err)
				}
				sum, largest := 0.0, 0.0
				for i := range want {
					sum += divergence(want[i], got[i])
					for j := range want[i] {
						largest = max(largest, math.Abs(float64(got[i][j]-want[i][j])))
					}
				}
				t.Logf("%s cache: mean KL divergence %.2g, largest difference of a logit %.2g", cache, sum/length, largest)
				if !(sum/length <= bound) {
					t.Errorf("%s cache: mean KL divergence %g is above %g", cache, sum/length, bound)
				}
			}
		})
	}
}

// divergence is Σ p·ln(p/q) of the softmax of two rows of logits.
func divergence(p, q []float32) (kl float64) {
	logs := func(x []float32) float64 {
		top, sum := float64(slices.Max(x)), 0.0
		for _, v := range x {
			sum += math.Exp(float64(v) - top)
		}
		return top + math.Log(sum)
	}
	a, b := logs(p), logs(q)
	for i := range p {
		lp, lq := float64(p[i])-a, float64(q[i])-b
		kl += math.Exp(lp) * (lp - lq)
	}
	return kl
}
