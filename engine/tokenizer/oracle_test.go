package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
)

// oracleDir returns the folder of the installed oracle.
func oracleDir(t testing.TB) string {
	dir := os.Getenv("GOLLM_ORACLE")
	if dir == "" {
		t.Skip("GOLLM_ORACLE is not set: it names the folder of the installed oracle (make test-oracle)")
	}
	return dir
}

func openVocab(t testing.TB, path string) *Tokenizer {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tok, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

const caseSeparator = "\n__ggml_vocab_test__\n"

// TestFixtures encodes llama.cpp's own fixtures: VOCAB.gguf.inp holds texts,
// VOCAB.gguf.out their ids, a line each.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(oracleDir(t), "vocab", "*.gguf.inp"))
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures:", err)
	}
	total := 0
	for _, inp := range files {
		vocab := strings.TrimSuffix(inp, ".inp")
		t.Run(filepath.Base(vocab), func(t *testing.T) {
			tok := openVocab(t, vocab)
			texts, err := os.ReadFile(inp)
			if err != nil {
				t.Fatal(err)
			}
			out, err := os.ReadFile(vocab + ".out")
			if err != nil {
				t.Fatal(err)
			}
			cases := strings.Split(string(texts), caseSeparator)
			lines := strings.Split(string(out), "\n")
			for i, text := range cases[:len(cases)-1] {
				want, err := parseIDs(lines[i])
				if err != nil {
					t.Fatal(err)
				}
				if got := tok.Encode(text, Options{}); !slices.Equal(got, want) {
					t.Errorf("%q:\n got %v\nwant %v", text, got, want)
				}
				total++
			}
		})
	}
	t.Logf("%d cases", total)
}

func parseIDs(line string) ([]int32, error) {
	var ids []int32
	for _, w := range strings.Fields(line) {
		id, err := strconv.ParseInt(w, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("ids %q: %w", line, err)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

// TestAgainstOracle encodes random texts with every vocabulary of the oracle
// and asks it for the ids.
func TestAgainstOracle(t *testing.T) {
	dir := oracleDir(t)
	everyVocab(t, dir, func(t *testing.T, path string, tok *Tokenizer) {
		n := 0
		compare(t, dir, path, tok, fresh(t, 3000, func(r *rand.Rand) string {
			n++
			return randomText(r, 1+n%40, tok, n%3 == 0)
		}))
	})
}

// compare holds the ids of texts against the oracle's.
func compare(t *testing.T, dir, vocab string, tok *Tokenizer, texts []string) {
	t.Helper()
	compareWith(t, dir, vocab, tok, texts, Options{})
}

func compareWith(t *testing.T, dir, vocab string, tok *Tokenizer, texts []string, opt Options) {
	t.Helper()
	plus := ""
	if opt.ParseSpecial {
		plus = "+"
	}
	// "oracle tokset" reads a fixture and counts the cases that differ: it loads
	// the vocabulary once.
	base := filepath.Join(t.TempDir(), "vocab.gguf")
	abs, err := filepath.Abs(vocab)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(abs, base); err != nil {
		t.Fatal(err)
	}
	var inp, out strings.Builder
	var kept []string
	for _, text := range texts {
		ids := tok.Encode(text, opt)
		if len(ids) > 1000 || strings.Contains(text, "__ggml_vocab_test__") {
			continue
		}
		kept = append(kept, text)
		inp.WriteString(text + caseSeparator)
		out.WriteString(formatIDs(ids) + "\n")
	}
	for ext, s := range map[string]string{".inp": inp.String(), ".out": out.String()} {
		if err := os.WriteFile(base+ext, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	report, err := exec.Command(filepath.Join(dir, "oracle"), "tokset"+plus, base).CombinedOutput()
	if err == nil && string(report) == fmt.Sprintf("%d cases, 0 differ\n", len(kept)) {
		return
	}
	t.Errorf("oracle: %s", report)
	shown := 0
	for _, text := range kept {
		want := askOracle(t, dir, base, "tok"+plus, text)
		if got := tok.Encode(text, opt); !slices.Equal(got, want) {
			t.Errorf("%q:\n got %v\nwant %v", text, got, want)
			if shown++; shown == 5 {
				return
			}
		}
	}
}

// askOracle returns the oracle's ids of a text: "tok", or "tok+" to add and
// parse special tokens.
func askOracle(t *testing.T, dir, vocab, how, text string) []int32 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	line, err := exec.Command(filepath.Join(dir, "oracle"), how, vocab, file).Output()
	if err != nil {
		t.Fatalf("oracle %s: %v", how, err)
	}
	ids, err := parseIDs(string(line))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func formatIDs(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, "%d ", id)
	}
	return b.String()
}
