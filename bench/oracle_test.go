package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine"
)

// tool runs one of llama.cpp's programs and returns its standard output and
// its log.
func tool(t *testing.T, args ...string) (out, log string) {
	t.Helper()
	dir := os.Getenv("GOLLM_ORACLE")
	if dir == "" {
		t.Skip("needs llama.cpp: GOLLM_ORACLE is not set (make test-oracle sets it)")
	}
	cmd := exec.Command(filepath.Join(dir, "tool"), args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", args[0], err, b, errs.String())
	}
	return string(b), errs.String()
}

// number returns the number that follows name in a report.
func number(t *testing.T, report, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(name) + `\s*[:=]\s*(-?[\d.]+|nan|inf)`).FindStringSubmatch(report)
	if m == nil {
		t.Fatalf("no %q in\n%s", name, report)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func samplePath() string { return filepath.Join("..", "testdata", "tinystories_sample.txt") }

// chunk is the length of the chunks that llama-perplexity scores here.
const chunk = 128

// perplexityTool runs llama-perplexity until its output has its last line: it
// prints from a thread that it does not always wait for.
func perplexityTool(t *testing.T, last string, args ...string) (stdout, stderr string) {
	t.Helper()
	args = append([]string{"llama-perplexity"}, args...)
	args = append(args, "-m", storiesPath, "-c", strconv.Itoa(chunk), "-b", strconv.Itoa(chunk), "-t", "1")
	for range 20 {
		stdout, stderr = tool(t, args...)
		if strings.Contains(stdout+stderr, last) {
			return stdout, stderr
		}
	}
	t.Fatalf("llama-perplexity never printed %q:\n%s%s", last, stdout, stderr)
	return "", ""
}

// TestOracleBases exchanges base files with llama-perplexity: each reads what
// the other wrote, and the reports agree.
func TestOracleBases(t *testing.T) {
	const size, chunks = chunk, 4
	theirs := filepath.Join(t.TempDir(), "theirs")
	_, log := perplexityTool(t, "Final estimate:", "-f", samplePath(), "--chunks", strconv.Itoa(chunks), "--kl-divergence-base", theirs)
	ppl := number(t, log, "Final estimate: PPL")

	m := stories(t, engine.Options{Context: size})
	file, score := writeBase(t, m, newText(t, m, size, chunks))
	if math.Abs(score.PPL-ppl) > 1e-3*ppl {
		t.Errorf("perplexity %v, llama-perplexity's is %v", score.PPL, ppl)
	}
	written, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	// The same header, tokens and length; the logits differ by their rounding.
	if head := 20 + 4*size*chunks; len(written) != len(file) || !bytes.Equal(written[:head], file[:head]) {
		t.Errorf("a base of %d bytes, theirs has %d", len(file), len(written))
	}

	// Theirs, read by us.
	base, err := NewBase(bytes.NewReader(written), int64(len(written)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Diverge(context.Background(), session(t, m), base, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := d.Print(&b); err != nil {
		t.Fatal(err)
	}
	ours := b.String()

	// Ours, read by them.
	path := filepath.Join(t.TempDir(), "ours")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	report, _ := perplexityTool(t, "Same top p:", "--kl-divergence-base", path, "--kl-divergence")
	for _, line := range []struct {
		name  string
		bound float64
	}{
		{"Mean PPL(Q)", 5e-3}, {"Mean PPL(base)", 5e-3}, {"Mean ln(PPL(Q)/PPL(base))", 1e-3},
		{"Mean    KLD", 1e-4}, {"Maximum KLD", 2e-3}, {"Median  KLD", 1e-4}, {"RMS Δp    ", 0.05}, {"Same top p", 1},
	} {
		ours, theirs := number(t, ours, line.name), number(t, report, line.name)
		if !(math.Abs(ours-theirs) <= line.bound) {
			t.Errorf("%s: %v, llama-perplexity says %v", line.name, ours, theirs)
		}
	}
}

// TestOracleColumns derives the columns of llama-bench again, and compares the
// shape of the md table and the types of the JSON fields.
func TestOracleColumns(t *testing.T) {
	run := func(format string) string {
		out, _ := tool(t, "llama-bench", "-m", storiesPath, "-p", "8", "-n", "4", "-r", "2", "-t", "1", "-o", format)
		return out
	}
	theirs, _, _ := strings.Cut(run("csv"), "\n")
	if got := strings.Join(recordedColumns(t), ","); got != theirs {
		t.Errorf("llama-bench now has columns\n%s\nrecorded are\n%s", theirs, got)
	}

	m := stories(t, engine.Options{Context: 16, Threads: 1})
	var rows []*Result
	for _, test := range []Test{{Prompt: 8}, {Gen: 4}} {
		r, err := Run(context.Background(), m, test, 2, false)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	var want, got map[string]any
	if err := json.Unmarshal([]byte(strings.SplitN(run("jsonl"), "\n", 2)[0]), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(strings.SplitN(written(t, "jsonl", rows), "\n", 2)[0]), &got); err != nil {
		t.Fatal(err)
	}
	for name, v := range got {
		if w, ok := want[name]; !ok || jsonType(v) != jsonType(w) {
			t.Errorf("%s is %v, llama-bench's is %v", name, v, w)
		}
	}
	for _, same := range []string{"backends", "cpu_info", "model_size", "model_n_params", "n_threads", "type_k", "type_v", "n_prompt", "n_gen", "n_depth", "gpu_info"} {
		if got[same] != want[same] {
			t.Errorf("%s is %v, llama-bench's is %v", same, got[same], want[same])
		}
	}
	// The head of the table is theirs to the byte, but for the column we have more, the last.
	head := func(s string) string { return strings.Join(strings.SplitN(s, "\n", 3)[:2], "\n") }
	ours := strings.NewReplacer(" of memory |", "", " --------: |\n", "\n").Replace(head(written(t, "md", rows)) + "\n")
	if theirs := head(run("md")) + "\n"; ours != theirs {
		t.Errorf("md begins\n%s\nllama-bench's\n%s", ours, theirs)
	}
}

func jsonType(v any) string {
	switch v := v.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	case []any:
		return "array of " + jsonType(v[0])
	}
	return "other"
}
