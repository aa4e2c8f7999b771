package tokenizer

import (
	"fmt"
	"os"
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
