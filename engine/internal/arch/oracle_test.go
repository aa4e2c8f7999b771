package arch_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch"
	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/gguf"
)

// oracle returns the oracle's folder, or skips the test.
func oracle(t *testing.T) archtest.Oracle {
	dir := os.Getenv("GOLLM_ORACLE")
	if dir == "" {
		t.Skip("needs llama.cpp: GOLLM_ORACLE is not set (make test-oracle sets it)")
	}
	return archtest.Oracle(dir)
}

// TestFreshSeed compares every family with the oracle on models that
// llama.cpp makes itself, from a seed that is new each time.
func TestFreshSeed(t *testing.T) {
	o := oracle(t)
	seed := rand.Uint64N(1 << 32)
	t.Logf("seed %d", seed)
	paths, err := o.Models(t.TempDir(), seed, arch.Names())
	if err != nil {
		t.Fatal(err)
	}
	e := ref.New(0)
	t.Cleanup(func() { e.Close() })
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".gguf"), func(t *testing.T) {
			f, err := gguf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s, err := archtest.NewSession(e, f, gguf.F16, archtest.Length)
			if err != nil {
				t.Fatal(err)
			}
			tokens := archtest.Tokens(seed, s.Vocab)
			want, err := o.Logits(path, tokens)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Prompt(tokens)
			if err != nil {
				t.Fatal(err)
			}
			d, err := archtest.Difference(got, want, archtest.Bound)
			t.Logf("error %.2g", d)
			if err != nil {
				t.Error(err)
			}
		})
	}
}
