package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const sampleText = "../../testdata/tinystories_sample.txt"

// finalPPL returns the perplexity a run ends with.
func finalPPL(t *testing.T, stdout string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^Final estimate: PPL = (\d+\.\d{4}) \+/- \d+\.\d{5}\n\z`).FindStringSubmatch(stdout)
	if m == nil {
		t.Fatalf("no final estimate in %q", stdout)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPerplexityCommand(t *testing.T) {
	text, err := os.ReadFile(sampleText)
	if err != nil {
		t.Fatal(err)
	}
	r := do("", "perplexity", "-m", stories, "-f", sampleText, "-c", "256")
	if r.status != 0 || r.stderr != "" || !strings.HasPrefix(r.stdout, "[1]") {
		t.Fatalf("%+v", r)
	}
	if ppl := finalPPL(t, r.stdout); !(math.Abs(ppl-6.898) <= 0.002) {
		t.Errorf("perplexity %v, want 6.898", ppl)
	}
	if again := do(string(text), "perplexity", "-m", stories, "-f", "-", "-c", "256", "-b", "50", "-t", "1"); again.status != 0 || math.Abs(finalPPL(t, again.stdout)-6.898) > 0.002 {
		t.Errorf("from a pipe, in steps of 50: %+v", again)
	}
	two := do("", "perplexity", "-m", stories, "-f", sampleText, "-c", "256", "--chunks", "2")
	if first, _, _ := strings.Cut(r.stdout, ",[3]"); !strings.HasPrefix(two.stdout, first+",\n") {
		t.Errorf("two chunks: %q, want to begin with %q", two.stdout, first)
	}
}

// TestDivergenceCommand writes a base, and compares the model and a worse one
// with it.
func TestDivergenceCommand(t *testing.T) {
	dir := t.TempDir()
	base, q4 := filepath.Join(dir, "base"), filepath.Join(dir, "q4.gguf")
	r := do("", "perplexity", "-m", stories, "-f", sampleText, "-c", "256", "--chunks", "2", "--kl-divergence-base", base)
	if r.status != 0 {
		t.Fatalf("%+v", r)
	}
	ppl := finalPPL(t, r.stdout)
	if r := do("", "quantize", stories, q4, "Q4_0"); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	value := func(report, name string) float64 {
		m := regexp.MustCompile(regexp.QuoteMeta(name) + ` *: *(-?[\d.]+)`).FindStringSubmatch(report)
		if m == nil {
			t.Fatalf("no %s in\n%s", name, report)
		}
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	itself := do("", "perplexity", "-m", stories, "--kl-divergence", "--kl-divergence-base", base)
	worse := do("", "perplexity", "-m", q4, "--kl-divergence", "--kl-divergence-base", base)
	if itself.status != 0 || worse.status != 0 {
		t.Fatalf("%+v\n%+v", itself, worse)
	}
	if got := value(itself.stdout, "Mean PPL(Q)"); math.Abs(got-ppl) > 1e-3 {
		t.Errorf("perplexity %v, was %v", got, ppl)
	}
	if kld := value(itself.stdout, "Mean    KLD"); math.Abs(kld) > 1e-4 {
		t.Errorf("divergence of the model from itself: %v", kld)
	}
	if kld := value(worse.stdout, "Mean    KLD"); !(kld > 0.01 && kld < 1) {
		t.Errorf("divergence of Q4_0: %v", kld)
	}
	if same := value(worse.stdout, "Same top p"); !(same > 50 && same < 100) {
		t.Errorf("same most likely token with Q4_0: %v %%", same)
	}
	if rows := regexp.MustCompile(`(?m)^ +[12] +\d+\.\d{4} ±`).FindAllString(worse.stdout, -1); len(rows) != 2 {
		t.Errorf("%d rows of chunks in\n%s", len(rows), worse.stdout)
	}
}

func TestLogitsCommand(t *testing.T) {
	r := do("", "logits", "-m", stories, "--ids", "1 403,407 261, 378")
	lines := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	if r.status != 0 || len(lines) != 5 {
		t.Fatalf("status %d, %d lines: %s", r.status, len(lines), r.stderr)
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) != 513 {
			t.Fatalf("%d fields, want the argmax and 512 logits", len(fields))
		}
		best, logits := 0, make([]float64, 512)
		for i := range logits {
			var err error
			if logits[i], err = strconv.ParseFloat(fields[1+i], 64); err != nil {
				t.Fatal(err)
			}
			if logits[i] > logits[best] {
				best = i
			}
		}
		if fields[0] != strconv.Itoa(best) {
			t.Errorf("argmax %s, want %d", fields[0], best)
		}
	}
	one := do("", "logits", "-m", stories, "--ids", "1 403,407 261, 378", "-b", "1", "-t", "1")
	if a, b := strings.Fields(one.stdout), strings.Fields(r.stdout); len(a) != len(b) || a[0] != b[0] {
		t.Error("one by one, the logits are others")
	}
}

// TestOracleLogits holds the logits against the oracle's.
func TestOracleLogits(t *testing.T) {
	dir := os.Getenv("GOLLM_ORACLE")
	if dir == "" {
		t.Skip("needs llama.cpp: GOLLM_ORACLE is not set (make test-oracle sets it)")
	}
	ids := "1 403 407 261 378 432 383 286 261 376"
	out, err := exec.Command(filepath.Join(dir, "oracle"), "logits32", stories, ids).Output()
	if err != nil {
		t.Fatal(err)
	}
	r := do("", "logits", "-m", stories, "--ids", ids)
	ours, theirs := strings.Fields(r.stdout), strings.Fields(string(out))
	if len(ours) != len(theirs) || len(ours) != 10*513 {
		t.Fatalf("%d numbers, the oracle's are %d", len(ours), len(theirs))
	}
	for i := range ours {
		a, err1 := strconv.ParseFloat(ours[i], 64)
		b, err2 := strconv.ParseFloat(theirs[i], 64)
		// The cache is float16 here, float32 there.
		if err1 != nil || err2 != nil || !(math.Abs(a-b) <= 0.02) {
			t.Fatalf("number %d of line %d: %s, the oracle's is %s", i%513, i/513+1, ours[i], theirs[i])
		}
	}
}

// TestBenchCommand measures with several values of everything.
func TestBenchCommand(t *testing.T) {
	tests := func(args ...string) []string {
		r := do("", append([]string{"bench", "-r", "1", "--no-warmup", "-o", "jsonl"}, args...)...)
		if r.status != 0 {
			t.Fatalf("%q: %+v", args, r)
		}
		var names []string
		for line := range strings.Lines(r.stdout) {
			var row struct {
				Model    string  `json:"model_filename"`
				Prompt   int     `json:"n_prompt"`
				Gen      int     `json:"n_gen"`
				Depth    int     `json:"n_depth"`
				Sessions int     `json:"n_sessions"`
				Batch    int     `json:"n_batch"`
				Threads  int     `json:"n_threads"`
				Speed    float64 `json:"avg_ts"`
			}
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatal(err)
			}
			if !(row.Speed > 0) {
				t.Errorf("%q: %v t/s", args, row.Speed)
			}
			name := fmt.Sprint(row.Prompt, row.Gen, row.Depth, row.Batch, row.Threads)
			if row.Sessions > 0 {
				name += fmt.Sprint(" x", row.Sessions)
			}
			names = append(names, name)
		}
		return names
	}
	m := []string{"-m", stories, "-t", "1"}
	for _, test := range []struct {
		args []string
		want []string // prompt, gen, depth, batch, threads, sessions if several
	}{
		{append(m, "-p", "4", "-n", "2"), []string{"4 0 0 512 1", "0 2 0 512 1"}},
		{append(m, "-p", "4,8", "-n", "0"), []string{"4 0 0 512 1", "8 0 0 512 1"}},
		{append(m, "-p", "4", "-p", "8", "-n", "0"), []string{"4 0 0 512 1", "8 0 0 512 1"}},
		{append(m, "-p", "2-6+2", "-n", "0"), []string{"2 0 0 512 1", "4 0 0 512 1", "6 0 0 512 1"}},
		{append(m, "-p", "0", "-n", "1-8*2"), []string{"0 1 0 512 1", "0 2 0 512 1", "0 4 0 512 1", "0 8 0 512 1"}},
		{append(m, "-p", "0", "-n", "0", "-pg", "4,2", "-pg", "3,1"), []string{"4 2 0 512 1", "3 1 0 512 1"}},
		{append(m, "-p", "0", "-n", "4", "-np", "1,3"), []string{"0 4 0 512 1", "0 4 0 512 1 x3"}},
		{append(m, "-p", "4", "-n", "0", "-d", "0,7"), []string{"4 0 0 512 1", "4 0 7 512 1"}},
		{append(m, "-p", "4", "-n", "0", "-b", "2,512"), []string{"4 0 0 2 1", "4 0 0 512 1"}},
		{[]string{"-m", stories, "-p", "4", "-n", "0", "-t", "1,2"}, []string{"4 0 0 512 1", "4 0 0 512 2"}},
		{[]string{"-m", stories, "-m", stories, "-t", "1", "-p", "4", "-n", "0"}, []string{"4 0 0 512 1", "4 0 0 512 1"}},
	} {
		if got := tests(test.args...); !slices.Equal(got, test.want) {
			t.Errorf("%q measures %q, want %q", test.args, got, test.want)
		}
	}
}

// TestBenchFormats prints a table of each kind on standard output, and nothing
// else.
func TestBenchFormats(t *testing.T) {
	print := func(format string) string {
		r := do("", "bench", "-m", stories, "-p", "4", "-n", "2", "-r", "2", "-t", "1", "-o", format)
		if r.status != 0 || r.stderr != "" {
			t.Fatalf("%s: %+v", format, r)
		}
		return r.stdout
	}
	if md := print("md"); !regexp.MustCompile(`^\| model .*\n\| -+ \|.*\n\| llama 293K F32 .* pp4 \|.*\n\| llama 293K F32 .* tg2 \|.*\n\nbuild: gollm .*\n$`).MatchString(md) {
		t.Errorf("md: %s", md)
	}
	if rows, err := csv.NewReader(strings.NewReader(print("csv"))).ReadAll(); err != nil || len(rows) != 3 {
		t.Errorf("csv: %v, %v", rows, err)
	}
	var array []map[string]any
	if err := json.Unmarshal([]byte(print("json")), &array); err != nil || len(array) != 2 || len(array[0]["samples_ns"].([]any)) != 2 {
		t.Errorf("json: %v, %v", array, err)
	}
	if sql := print("sql"); !strings.HasPrefix(sql, "CREATE TABLE IF NOT EXISTS llama_bench (") || strings.Count(sql, "INSERT INTO llama_bench (") != 2 {
		t.Errorf("sql: %s", sql)
	}
}
