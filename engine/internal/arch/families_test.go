package arch_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch"
	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/gguf"
)

// TestFamilies compares every case with what the oracle computed, with both
// types of cache, and each way of feeding the tokens with the others.
func TestFamilies(t *testing.T) {
	e := ref.New(0)
	t.Cleanup(func() { e.Close() })
	for i, c := range archtest.Cases() {
		if race && i%8 != 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for _, seed := range archtest.Seeds {
				if race && seed != archtest.Seeds[0] {
					continue
				}
				want, err := c.Logits(seed)
				if err != nil {
					t.Fatal(err)
				}
				f := c.Open(t, seed)
				for _, cache := range []gguf.Type{gguf.F32, gguf.F16} {
					s, err := archtest.NewSession(e, f, cache, archtest.Length)
					if err != nil {
						t.Fatal(err)
					}
					tokens := archtest.Tokens(seed, s.Vocab)
					prompt, err := s.Prompt(tokens)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := archtest.Difference(archtest.Pick(prompt), want, archtest.BoundOf(cache)); err != nil {
						t.Errorf("seed %d, %s cache: %v", seed, cache, err)
					}
					if cache == gguf.F32 && seed == archtest.Seeds[0] {
						sameEitherWay(t, s, tokens, prompt, seed)
					}
				}
				f.Close()
			}
		})
	}
}

// sameEitherWay checks that tokens one by one, and in steps shared with another
// sequence over scattered blocks, give what they give as one prompt.
func sameEitherWay(t *testing.T, s *archtest.Session, tokens []int32, prompt [][]float32, seed uint64) {
	// Sums may be taken in another order.
	const bound = 1e-5
	single, err := s.OneByOne(tokens)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archtest.Difference(single, prompt, bound); err != nil {
		t.Errorf("seed %d, one by one: %v", seed, err)
	}
	shared, err := s.Shared(tokens, rand.New(rand.NewPCG(seed, 2)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archtest.Difference(shared, prompt, bound); err != nil {
		t.Errorf("seed %d, shared steps: %v", seed, err)
	}
}

func TestEveryFamilyHasCases(t *testing.T) {
	var have []string
	for _, c := range archtest.Cases() {
		d, err := c.Describe()
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, d.Metadata[0].Value.(string))
	}
	for _, name := range arch.Names() {
		if !slices.Contains(have, name) {
			t.Errorf("no case of architecture %q", name)
		}
	}
}
