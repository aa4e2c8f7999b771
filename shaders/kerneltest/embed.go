package kerneltest

import "github.com/gollm/gollm/shaders"

func embedCases() []Case {
	return eachType("embed", func(typ shaders.Type, add func(string, bool, func(*trial))) {
		shapes := []shape{{name: "one_block", width: 256, rows: 3}, {name: "wide", width: 4608, rows: 5}}
		if typ.BlockSize() == 1 {
			shapes = append(shapes, shape{name: "odd_tail", width: 333, rows: 6}, shape{name: "narrow", width: 3, rows: 4})
		}
		for _, s := range shapes {
			add(s.name, false, func(t *trial) {
				table := t.matrix(typ, s.width, s.rows)
				ids := []int32{int32(s.rows - 1), 0, int32(t.rng.IntN(s.rows)), 1}
				p := shaders.EmbedParams{Width: uint32(s.width), Rows: uint32(s.rows), Count: uint32(len(ids))}
				out := t.alloc(4 * len(ids) * s.width)
				t.launch(step{shaders.Embed(typ, p), map[int]memory{shaders.EmbedTable: t.bytes(table.data), shaders.EmbedIDs: t.ints(ids), shaders.EmbedOut: out}})
				var want []float64
				for _, id := range ids {
					for _, v := range table.row(int(id)) {
						want = append(want, float64(v))
					}
				}
				t.check(out.floats(), want, s.width, 0, 3e-7)
			})
		}
	})
}
