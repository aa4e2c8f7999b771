package arch_test

import (
	"math"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/program"
)

// TestGemmaScale checks that the 27B models of Gemma 2 and 3, known by their 46
// and 62 layers, divide scores by √(d/H), all others by √D. Logits cannot tell: in
// that many random layers, llama.cpp's float16 GELU moves them by more than the
// bound.
func TestGemmaScale(t *testing.T) {
	for _, c := range []struct {
		name   string
		layers int
		want   float64 // d = 32, H = 4, D = 16
	}{
		{"gemma2-dense", 26, 16}, {"gemma2-dense", 46, 8}, {"gemma2-dense", 62, 16},
		{"gemma3-dense", 26, 16}, {"gemma3-dense", 46, 16}, {"gemma3-dense", 62, 8},
	} {
		f := archtest.Named(t, c.name).Deep(c.layers).Open(t, 1)
		p := archtest.Program(t, f, 0)
		seen := 0
		for _, op := range p.Ops {
			if a, ok := op.(*program.Attention); ok {
				seen++
				if scale := float64(a.Scale) * math.Sqrt(c.want); math.Abs(scale-1) > 1e-6 {
					t.Errorf("%s of %d layers scales by %v, want 1/√%v", c.name, c.layers, a.Scale, c.want)
					break
				}
			}
		}
		if seen == 0 {
			t.Errorf("%s of %d layers: no attention", c.name, c.layers)
		}
		f.Close()
	}
}
