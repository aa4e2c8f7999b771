package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
)

// TestQuantizedPerplexity: what quantising to a type costs in perplexity is known
// from another, independent count (scored a little differently, hence the ratios).
func TestQuantizedPerplexity(t *testing.T) {
	const stories, text = "../../testdata/stories260K.gguf", "../../testdata/tinystories_sample.txt"
	perplexity := func(model string) float64 {
		t.Helper()
		var stdout, stderr bytes.Buffer
		args := []string{"gollm", "perplexity", "-m", model, "-f", text, "-c", "256"}
		if status := gollm(args, strings.NewReader(""), &stdout, &stderr); status != 0 {
			t.Fatal(stderr.String())
		}
		_, after, ok := strings.Cut(stdout.String(), "PPL = ")
		if !ok {
			t.Fatalf("no perplexity in %q", stdout.String())
		}
		ppl, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		return ppl
	}
	f32 := perplexity(stories)
	for typ, ladder := range map[string]float64{"F16": 6.866, "Q8_0": 6.892, "Q5_0": 7.003, "Q5_1": 7.075, "Q4_1": 7.137, "IQ4_NL": 7.381, "Q4_0": 7.635} {
		path := filepath.Join(t.TempDir(), typ+".gguf")
		var stdout, stderr bytes.Buffer
		if status := gollm([]string{"gollm", "quantize", stories, path, typ}, strings.NewReader(""), &stdout, &stderr); status != 0 {
			t.Fatal(stderr.String())
		}
		got, want := perplexity(path)/f32, ladder/6.866
		if !(math.Abs(got/want-1) <= 0.005) {
			t.Errorf("%s: perplexity %.4f times that of F32, want %.4f", typ, got, want)
		}
	}
}

// TestPrecise: with --precise the CPU's logits of a quantised model are those of the
// reference, to which rounded activations would not come so near.
func TestPrecise(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q8.gguf")
	run := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if status := gollm(append([]string{"gollm"}, args...), strings.NewReader(""), &stdout, &stderr); status != 0 {
			t.Fatal(stderr.String())
		}
		return stdout.String()
	}
	run("quantize", "../../testdata/stories260K.gguf", path, "Q8_0")
	logits := func(flags ...string) (values []float64) {
		t.Helper()
		for _, f := range strings.Fields(run(append([]string{"logits", "-m", path, "--ids", "1,403,407,261,378"}, flags...)...)) {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
		return values
	}
	want := logits("--device", "ref")
	apart := func(got []float64) (most float64) {
		if len(got) != len(want) {
			t.Fatalf("%d values, want %d", len(got), len(want))
		}
		for i := range want {
			most = max(most, math.Abs(got[i]-want[i]))
		}
		return most
	}
	precise, rounded := apart(logits("--device", "cpu", "--precise")), apart(logits("--device", "cpu"))
	t.Logf("from the reference: %.2g precise, %.2g without", precise, rounded)
	if !(precise <= 1e-3 && rounded <= 5e-2) {
		t.Errorf("from the reference: %.2g precise, %.2g without", precise, rounded)
	}
}

func TestQuantizeCommand(t *testing.T) {
	const stories = "../../testdata/stories260K.gguf"
	dir := t.TempDir()
	q8, q4 := filepath.Join(dir, "q8.gguf"), filepath.Join(dir, "q4.gguf")
	for _, c := range []struct {
		name   string
		args   []string
		status int
		stdout string // what it holds
		stderr string
	}{
		{"dry_run", []string{"--dry-run", stories, q8, "Q4_K_M"}, 0, "Q4_K_M: all tensors 289.7 kB, were 1.2 MB; 7.92 bits a weight\n", ""},
		{"dry_run_fallback", []string{"--dry-run", stories, q8, "q4_k_m"}, 0, "(rows of 64 do not fit Q4_K)", ""},
		{"too_few_arguments", []string{stories, q8}, 2, "", "gollm: gollm quantize takes three arguments, IN OUT TYPE, and got 2\n"},
		{"unknown_type", []string{stories, q8, "Q9"}, 2, "", `gollm: unknown type "Q9"; there are F32`},
		{"needs_matrix", []string{stories, q8, "IQ2_XS"}, 2, "", "gollm: type IQ2_XS needs an importance matrix"},
		{"no_model", []string{filepath.Join(dir, "none.gguf"), q8, "Q8_0"}, 1, "", "none.gguf: "},
		{"no_folder", []string{stories, filepath.Join(dir, "none", "q8.gguf"), "Q8_0"}, 1, "", "no such file or directory"},
		{"to_itself", []string{stories, stories, "Q8_0"}, 1, "", "is the model itself"},
		{"works", []string{"-t", "1", stories, q8, "Q8_0"}, 0, "", "q8.gguf: 364.8 kB, was 1.2 MB, 9.97 bits a weight"},
		{"requantize", []string{q8, q4, "Q4_0"}, 1, "", "(--allow-requantize does it all the same)\n"},
		{"requantize_allowed", []string{"--allow-requantize", q8, q4, "Q4_0"}, 0, "", "q4.gguf: "},
	} {
		var stdout, stderr bytes.Buffer
		status := gollm(append([]string{"gollm", "quantize"}, c.args...), strings.NewReader(""), &stdout, &stderr)
		if status != c.status || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("%s: status %d, stdout %q, stderr %q", c.name, status, stdout.String(), stderr.String())
		}
		if c.status != 0 && strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: more than a line on stderr: %q", c.name, stderr.String())
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("the folder holds %v, %v", left, err)
	}
	for path, want := range map[string]gguf.Type{q8: gguf.Q8_0, q4: gguf.Q4_0} {
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got := f.Tensor("blk.0.attn_q.weight").Type; got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}
