package shaders

import "testing"

// TestAttentionShared holds the threadgroup memory of attentions, of every width of heads that models have, against
// what other kernels of the same encoder leave.
func TestAttentionShared(t *testing.T) {
	for _, width := range [][2]int{{16, 16}, {32, 32}, {33, 33}, {40, 40}, {64, 64}, {80, 80}, {96, 96}, {112, 112}, {128, 128}, {160, 160}, {192, 128}, {192, 192}, {256, 256}, {512, 512}, {576, 512}} {
		for _, cache := range []Type{F16, F32, Q8_0} {
			for _, heads := range []int{1, 2, 3, 4, 5, 8, 16} {
				for _, rows := range []int{1, 4, 32} {
					s := AttentionShape{Heads: heads, KVHeads: 1, Key: width[0], Value: width[1], Cache: cache}
					for tiles := range 2 {
						if l := Attention(rows, tiles, 1, s); l.Shared > attentionRoom {
							t.Errorf("%s of %d rows, %d heads of %v: %d bytes of threadgroup memory, more than %d", l.Kernel.Name, rows, heads, width, l.Shared, attentionRoom)
						}
					}
				}
			}
		}
	}
}
