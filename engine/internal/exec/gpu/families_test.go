package gpu

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/gguf"
)

// bound is the largest relative error of logits with a cache of float16.
const bound = 5e-3

// TestFamilies holds every family's tiny model against what the oracle computed:
// as one prompt, one token at a time, or in steps shared with another sequence.
// The ways take turns over the cases, a prompt reaches into the second block of the
// cache and the others have few tokens; variants of a case before are left out. With
// GOLLM_LONG set each case goes all ways with all tokens.
func TestFamilies(t *testing.T) {
	d, _ := device(t)
	var names []string
	for i, c := range archtest.Cases() {
		variant := slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(c.Name, name+"-") })
		if names = append(names, c.Name); variant && !long || race && i%8 != 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			seed := archtest.Seeds[i%len(archtest.Seeds)]
			want, err := c.Logits(seed)
			if err != nil {
				t.Fatal(err)
			}
			f := c.Open(t, seed)
			e := New(d, f.Mappings())
			defer e.Close()
			s, err := archtest.NewSession(e, f, gguf.F16, archtest.Length)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			tokens := archtest.Tokens(seed, s.Vocab)
			few := tokens
			if !long {
				tokens, few = tokens[:41], tokens[:9]
			}
			ways := []struct {
				name string
				run  func() ([][]float32, error)
			}{
				{"prompt", func() ([][]float32, error) { return s.Prompt(tokens) }},
				{"one by one", func() ([][]float32, error) { return s.OneByOne(few) }},
				{"shared", func() ([][]float32, error) { return s.Shared(few, rand.New(rand.NewPCG(seed, 2))) }},
			}
			for j, w := range ways {
				if j != i%len(ways) && !long {
					continue
				}
				got, err := w.run()
				if err != nil {
					t.Fatalf("%s: %v", w.name, err)
				}
				var rows, wanted [][]float32
				for k, at := range archtest.Recorded {
					if at < len(got) {
						rows, wanted = append(rows, got[at]), append(wanted, want[k])
					}
				}
				if _, err := archtest.Difference(rows, wanted, bound); err != nil {
					t.Errorf("seed %d, %s: %v", seed, w.name, err)
				}
			}
		})
	}
}
