package cpu_test

import (
	"math/rand/v2"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/cpu"
	"github.com/gollm/gollm/gguf"
)

// TestFamilies holds every case of every family against what the oracle computed.
// Their weights are float32, which are multiplied as floats whether Precise or
// not; what is rounded here is the cache.
func TestFamilies(t *testing.T) {
	e := cpu.New(0, cpu.Options{})
	t.Cleanup(func() { e.Close() })
	for _, c := range archtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			seed := archtest.Seeds[0]
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
					t.Errorf("%s cache: %v", cache, err)
				}
				if cache == gguf.F16 {
					continue
				}
				// One by one, and in steps shared with another sequence over scattered
				// blocks, sums are taken in another order.
				const bound = 1e-4
				single, err := s.OneByOne(tokens)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := archtest.Difference(single, prompt, bound); err != nil {
					t.Errorf("one by one: %v", err)
				}
				shared, err := s.Shared(tokens, rand.New(rand.NewPCG(seed, 2)))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := archtest.Difference(shared, prompt, bound); err != nil {
					t.Errorf("shared steps: %v", err)
				}
			}
		})
	}
}
