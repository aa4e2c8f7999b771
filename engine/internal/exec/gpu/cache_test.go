package gpu

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/gguf"
)

// TestCacheQ8_0 holds families' tiny models whose heads are whole blocks against
// the reference executor, both with caches of Q8_0: prompts and single tokens in
// turn, of every third model; with GOLLM_LONG set, both of all. Where a key is
// about as near to one step of its block as to the next, what the order of a sum
// makes of it decides, and the step is 1/127 of the largest.
func TestCacheQ8_0(t *testing.T) {
	const bound, alike = 2e-2, 1e-4
	d, _ := device(t)
	r := ref.New(0)
	t.Cleanup(func() { r.Close() })
	seed := rand.Uint64N(1000)
	count, same := 0, 0
	for i, c := range archtest.Cases() {
		if !long && (i+int(seed))%3 > 0 || race && (i+int(seed))%12 > 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			seed := seed
			if strings.Contains(c.Name, "-moe") {
				seed = 1 // without experts in so near a tie that a key's rounding swaps them
			}
			f := c.Open(t, seed)
			reference, err := archtest.NewSession(r, f, gguf.Q8_0, archtest.Length)
			if err != nil {
				return // heads of other sizes
			}
			defer reference.Close()
			e := New(d, f.Mappings())
			defer e.Close()
			s, err := archtest.NewSession(e, f, gguf.Q8_0, archtest.Length)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			tokens := archtest.Tokens(seed, s.Vocab)
			for j, run := range []func(*archtest.Session, []int32) ([][]float32, error){(*archtest.Session).Prompt, (*archtest.Session).OneByOne} {
				if j != i/3%2 && !long {
					continue
				}
				few := tokens
				if j == 1 && !long {
					few = tokens[:9]
				}
				want, err := run(reference, few)
				if err != nil {
					t.Fatal(err)
				}
				got, err := run(s, few)
				if err != nil {
					t.Fatal(err)
				}
				worst, err := archtest.Difference(got, want, bound)
				if err != nil {
					t.Errorf("seed %d, %d tokens: %v", seed, len(few), err)
				}
				count++
				if worst < alike {
					same++
				}
			}
		})
	}
	if count < 10 && !race || same < count/4 {
		t.Errorf("seed %d: %d of %d results are within %g", seed, same, count, alike)
	}
}
