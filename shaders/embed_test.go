package shaders_test

import (
	"testing"

	"github.com/gollm/gollm/shaders"
)

func TestEmbed(t *testing.T) {
	eachType(t, func(r *rig, typ shaders.Type) {
		shapes := []shape{{"one_block", 256, 3}, {"wide", 4608, 5}}
		if typ.BlockSize() == 1 {
			shapes = append(shapes, shape{"odd_tail", 333, 6}, shape{"narrow", 3, 4})
		}
		for _, s := range shapes {
			table := r.matrix(typ, s.width, s.rows)
			ids := []int32{int32(s.rows - 1), 0, int32(r.rng.IntN(s.rows)), 1}
			p := shaders.EmbedParams{Width: uint32(s.width), Rows: uint32(s.rows), Count: uint32(len(ids)), Scale: 1.5}
			out := r.alloc(4 * len(ids) * s.width)
			r.run(step{shaders.Embed(typ, p), map[int]memory{shaders.EmbedTable: r.bytes(table.data), shaders.EmbedIDs: r.ints(ids), shaders.EmbedOut: out}})
			var want []float64
			for _, id := range ids {
				for _, v := range table.row(int(id)) {
					want = append(want, 1.5*float64(v))
				}
			}
			r.check(s.name, out.floats(), want, s.width, 0, 3e-7)
		}
	})
}
