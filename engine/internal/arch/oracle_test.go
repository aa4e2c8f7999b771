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
	"github.com/gollm/gollm/engine/internal/program"
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
			compare(t, o, e, f, seed, gguf.F32, gguf.F16)
		})
	}
}

// TestCasesFreshSeed compares every case, the variants that llama.cpp does not
// make among them, from a seed that is new each time.
func TestCasesFreshSeed(t *testing.T) {
	o := oracle(t)
	seed := rand.Uint64N(1 << 32)
	t.Logf("seed %d", seed)
	e := ref.New(0)
	t.Cleanup(func() { e.Close() })
	for _, c := range archtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			// With a float16 cache some seed would, by rounding, send a token to
			// another expert, and all its logits with it.
			compare(t, o, e, c.Open(t, seed), seed, gguf.F32)
		})
	}
}

// compare checks the model against the oracle with the given types of cache.
func compare(t *testing.T, o archtest.Oracle, e program.Executor, f *gguf.File, seed uint64, caches ...gguf.Type) {
	bound := freshBound(t, f)
	var want [][]float32
	for _, cache := range caches {
		s, err := archtest.NewSession(e, f, cache, archtest.Length)
		if err != nil {
			t.Fatal(err)
		}
		tokens := archtest.Tokens(seed, s.Vocab)
		if want == nil {
			if want, err = o.Logits(f.Name(), tokens); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Prompt(tokens)
		if err != nil {
			t.Fatal(err)
		}
		d, err := archtest.Difference(got, want, bound)
		t.Logf("%s cache: error %.2g", cache, d)
		if err != nil {
			t.Errorf("%s cache: %v", cache, err)
		}
	}
}

// freshBound is archtest.Bound, but for models with GELU: llama.cpp reads that
// from a table of float16, which moves the logits of one seed in some dozens by
// more: 1.2e-3 was seen.
func freshBound(t *testing.T, f *gguf.File) float64 {
	for _, op := range archtest.Program(t, f, archtest.Length).Ops {
		switch op := op.(type) {
		case *program.Activate:
			if op.Act == program.GELU {
				return 3 * archtest.Bound
			}
		case *program.GLU:
			if op.Act == program.GELU {
				return 3 * archtest.Bound
			}
		}
	}
	return archtest.Bound
}

// TestRecordedLogits derives again what TestFamilies reads.
func TestRecordedLogits(t *testing.T) {
	o := oracle(t)
	for _, c := range archtest.Cases() {
		for _, seed := range archtest.Seeds {
			want, err := c.Logits(seed)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := o.Logits(c.Open(t, seed).Name(), archtest.Tokens(seed, len(want[0])))
			if err != nil {
				t.Fatal(err)
			}
			// Other processors round sums otherwise.
			if _, err := archtest.Difference(archtest.Pick(rows), want, 1e-4); err != nil {
				t.Errorf("%s, seed %d: the oracle now differs from what is recorded: %v", c.Name, seed, err)
			}
		}
	}
}
