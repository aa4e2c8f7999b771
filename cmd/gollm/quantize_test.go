package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
)

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
