package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine"
)

var update = flag.Bool("update", false, "record the oracle's answers anew")

// oracle returns the folder llama.cpp is installed in, or skips the test.
func oracle(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GOLLM_ORACLE")
	if dir == "" {
		t.Skip("needs llama.cpp: GOLLM_ORACLE is not set (make test-oracle sets it)")
	}
	return dir
}

// widened returns the path of a real model with its weights widened to
// float32: a file beside it, or one made for this test.
func widened(t *testing.T, name string) string {
	t.Helper()
	model := realModel(t, name)
	name = strings.TrimSuffix(name, ".gguf") + "-f32.gguf"
	if path := filepath.Join(filepath.Dir(model), name); exists(path) {
		return path
	}
	path := filepath.Join(t.TempDir(), name)
	out, err := exec.Command(filepath.Join(oracle(t), "tool"), "llama-quantize", "--allow-requantize", model, path, "F32").CombinedOutput()
	if err != nil {
		t.Fatalf("llama-quantize: %v\n%s", err, out)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// oracleLogits calls f with the oracle's logits after each token.
func oracleLogits(t *testing.T, model string, tokens []int32, f func(i int, logits []float32)) {
	t.Helper()
	cmd := exec.Command(filepath.Join(oracle(t), "oracle"), "logits", model, words(tokens))
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	r := bufio.NewReaderSize(pipe, 16<<20) // a line of 262,144 logits is 3 MB
	var row []float32
	for i := range tokens {
		line, err := r.ReadSlice('\n')
		if err != nil {
			t.Fatalf("oracle logits: position %d: %v", i, err)
		}
		row = row[:0]
		_, line, _ = bytes.Cut(line, []byte(" ")) // the argmax
		for field := range bytes.FieldsSeq(line) {
			v, err := strconv.ParseFloat(string(field), 32)
			if err != nil {
				t.Fatalf("oracle logits: position %d: %v", i, err)
			}
			row = append(row, float32(v))
		}
		f(i, row)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("oracle logits: %v", err)
	}
}

func words(tokens []int32) string {
	return strings.Trim(fmt.Sprint(tokens), "[]")
}

// TestOracleGreedy derives the greedy texts again. With -update it records
// them: GOLLM_ORACLE=… GOLLM_MODELS=… go test ./engine -run TestOracleGreedy -update
func TestOracleGreedy(t *testing.T) {
	dir := oracle(t)
	var texts []greedyText
	for _, name := range []string{smolLM2, gemma3} {
		model := widened(t, name)
		m := loadReal(t, name, engine.Options{})
		for _, prompt := range []string{"The capital of France is", "Once upon a time", "def fibonacci(n):"} {
			out, err := exec.Command(filepath.Join(dir, "oracle"), "greedy", model, strconv.Itoa(greedyTokens), prompt).Output()
			if err != nil {
				t.Fatalf("oracle greedy: %v", err)
			}
			ids, text, ok := strings.Cut(string(out), "\n")
			if !ok {
				t.Fatalf("oracle greedy: %q", out)
			}
			g := greedyText{Model: name, Prompt: prompt, Text: strings.TrimSuffix(text, "\n")}
			for _, f := range strings.Fields(ids) {
				id, err := strconv.ParseInt(f, 10, 32)
				if err != nil {
					t.Fatalf("oracle greedy: %v", err)
				}
				g.IDs = append(g.IDs, int32(id))
			}
			g.Ended = len(g.IDs) < greedyTokens
			tokens := m.Encode(prompt)
			before := len(tokens)
			tokens = append(tokens, g.IDs...)
			if !g.Ended {
				tokens = tokens[:len(tokens)-1]
			}
			oracleLogits(t, model, tokens, func(i int, logits []float32) {
				if i < before-1 {
					return
				}
				best, second := math.Inf(-1), math.Inf(-1)
				for _, v := range logits {
					switch l := float64(v); {
					case l > best:
						best, second = l, best
					case l > second:
						second = l
					}
				}
				g.Gaps = append(g.Gaps, math.Round(1e4*(best-second))/1e4)
			})
			texts = append(texts, g)
		}
	}
	if *update {
		var b bytes.Buffer
		for i, g := range texts {
			line, err := json.Marshal(g)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s%s", map[bool]string{true: "[\n", false: ",\n"}[i == 0], line)
		}
		b.WriteString("\n]\n")
		if err := os.WriteFile(recordedGreedy, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	recorded := readGreedy(t)
	for i, g := range texts {
		want := recorded[i]
		n := 0
		for n < len(g.IDs) && n < len(want.IDs) && g.IDs[n] == want.IDs[n] {
			n++
		}
		// Other processors round sums otherwise, which a tie makes visible.
		if same := slices.Equal(g.IDs, want.IDs) && g.Ended == want.Ended; !same && !(n < len(want.Gaps) && want.Gaps[n] < tie) {
			t.Errorf("%s after %q: the oracle now says %q, recorded is %q", g.Model, g.Prompt, g.Text, want.Text)
		}
	}
}

// TestOracleDivergence bounds how far the predictions are from the oracle's with
// the same weights and float activations.
func TestOracleDivergence(t *testing.T) {
	oracle(t)
	const positions, bound = 200, 1e-5
	text, err := os.ReadFile(filepath.Join("..", "testdata", "tinystories_sample.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{smolLM2, gemma3} {
		t.Run(name, func(t *testing.T) {
			model := widened(t, name)
			m := loadReal(t, name, engine.Options{Context: 256})
			tokens := m.Encode(string(text))[:positions]
			// Our logits wait in memory, as float32: 210 MB for the larger vocabulary.
			var ours [][]float32
			err := session(t, m).EvalEach(context.Background(), tokens, 0, func(_ int, logits []float32) error {
				ours = append(ours, slices.Clone(logits))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			sum, largest, same := 0.0, 0.0, 0
			oracleLogits(t, model, tokens, func(i int, base []float32) {
				if len(base) != len(ours[i]) {
					t.Fatalf("%d logits, the oracle has %d", len(ours[i]), len(base))
				}
				sum += divergence(base, ours[i])
				for j, v := range base {
					largest = max(largest, math.Abs(float64(v-ours[i][j])))
				}
				if argmax(base) == argmax(ours[i]) {
					same++
				}
			})
			mean := sum / positions
			t.Logf("mean KL %.2g, largest logit difference %.3g, same argmax %d of %d", mean, largest, same, positions)
			if !(mean <= bound) {
				t.Errorf("mean KL divergence %g, want at most %g", mean, bound)
			}
		})
	}
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

// divergence is the Kullback-Leibler divergence of the prediction of logits q
// from that of p, in nats.
func divergence(p, q []float32) float64 {
	logSum := func(x []float32) float64 {
		top, sum := float64(slices.Max(x)), 0.0
		for _, v := range x {
			sum += math.Exp(float64(v) - top)
		}
		return top + math.Log(sum)
	}
	zp, zq, d := logSum(p), logSum(q), 0.0
	for i := range p {
		lp := float64(p[i]) - zp
		d += math.Exp(lp) * (lp - (float64(q[i]) - zq))
	}
	return d
}
