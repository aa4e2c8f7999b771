package kerneltest

import (
	"fmt"
	"math"

	"github.com/gollm/gollm/gguf/quant"
	"github.com/gollm/gollm/shaders"
)

// attentionShape is a class of attentions: rows of some sequences, and what they see.
type attentionShape struct {
	name      string
	s         shaders.AttentionShape
	sequences []span
	splits    int
	tiled     bool
	spread    float64 // of the queries; 0 is 1
}

// span is the rows of one sequence: positions start to start+rows-1.
type span struct{ start, rows int }

func attentionCases() (list []Case) {
	one := func(position int) []span { return []span{{position, 1}} }
	heads := func(heads, kvHeads, key, value int) shaders.AttentionShape {
		return shaders.AttentionShape{Heads: heads, KVHeads: kvHeads, Key: key, Value: value}
	}
	with := func(s shaders.AttentionShape, f func(*shaders.AttentionShape)) shaders.AttentionShape {
		f(&s)
		return s
	}
	plain := heads(4, 2, 64, 64)
	shapes := []attentionShape{
		// Decoding: rows each for themselves.
		{name: "first_position", s: heads(1, 1, 32, 32), sequences: one(0)},
		{name: "many_heads", s: heads(12, 12, 64, 64), sequences: one(40)},
		{name: "shared_by_two", s: heads(4, 2, 64, 64), sequences: one(300)},
		{name: "shared_by_three", s: heads(9, 3, 64, 64), sequences: one(70)},
		{name: "shared_by_four", s: heads(8, 2, 64, 64), sequences: one(70)},
		{name: "shared_by_all", s: heads(16, 1, 64, 64), sequences: one(70)},
		{name: "odd_heads", s: heads(3, 3, 33, 33), sequences: one(45)},
		{name: "heads_of_128", s: heads(2, 2, 128, 128), sequences: one(45)},
		{name: "heads_of_128_shared_by_two", s: heads(4, 2, 128, 128), sequences: one(45)},
		{name: "heads_of_128_shared_by_four", s: heads(4, 1, 128, 128), sequences: one(45)},
		{name: "heads_of_128_shared_by_eight", s: heads(8, 1, 128, 128), sequences: one(45)},
		{name: "heads_of_256", s: heads(1, 1, 256, 256), sequences: one(45)},
		{name: "heads_of_256_shared_by_two", s: heads(2, 1, 256, 256), sequences: one(45)},
		{name: "heads_of_256_shared_by_four", s: heads(4, 1, 256, 256), sequences: one(45)},
		{name: "latent", s: heads(1, 1, 576, 512), sequences: one(45)},
		{name: "latent_shared_by_four", s: heads(4, 1, 576, 512), sequences: one(45)},
		{name: "keys_wider_than_values", s: heads(4, 2, 192, 128), sequences: one(45)},
		{name: "values_wider_than_keys", s: heads(4, 2, 16, 48), sequences: one(45)},
		{name: "a_page_filled", s: plain, sequences: one(31)},
		{name: "a_page_begun", s: plain, sequences: one(32)},
		{name: "three_sequences", s: plain, sequences: []span{{3, 1}, {100, 1}, {33, 2}}},
		{name: "ranges", s: plain, sequences: one(500), splits: 4},
		{name: "more_ranges_than_pages", s: plain, sequences: []span{{40, 1}, {0, 1}}, splits: 8},
		{name: "ranges_of_latent", s: heads(4, 1, 576, 512), sequences: one(130), splits: 2},
		{name: "window", s: with(plain, func(s *shaders.AttentionShape) { s.Window = 40 }), sequences: one(200)},
		{name: "window_of_one", s: with(plain, func(s *shaders.AttentionShape) { s.Window = 1 }), sequences: one(64)},
		{name: "window_not_yet_full", s: with(plain, func(s *shaders.AttentionShape) { s.Window = 100 }), sequences: one(50)},
		{name: "window_in_ranges", s: with(plain, func(s *shaders.AttentionShape) { s.Window = 170 }), sequences: one(400), splits: 2},
		{name: "chunk", s: with(plain, func(s *shaders.AttentionShape) { s.Chunk = 48 }), sequences: []span{{95, 1}, {96, 1}, {130, 1}}},
		{name: "chunk_and_window", s: with(plain, func(s *shaders.AttentionShape) { s.Chunk, s.Window = 64, 20 }), sequences: []span{{70, 1}, {120, 1}}},
		{name: "softcap", s: with(plain, func(s *shaders.AttentionShape) { s.Softcap = 2 }), sequences: one(60), spread: 3},
		{name: "sinks", s: with(heads(8, 2, 64, 64), func(s *shaders.AttentionShape) { s.Sinks = true }), sequences: one(60)},
		{name: "sinks_in_ranges", s: with(heads(8, 2, 64, 64), func(s *shaders.AttentionShape) { s.Sinks = true }), sequences: one(300), splits: 2},
		{name: "alibi", s: with(heads(8, 8, 32, 32), func(s *shaders.AttentionShape) { s.ALiBi = 8 }), sequences: one(60)},
		{name: "alibi_12_heads", s: with(heads(12, 4, 32, 32), func(s *shaders.AttentionShape) { s.ALiBi = 8 }), sequences: one(60)},
		{name: "one_score_dwarfs", s: plain, sequences: one(90), spread: 12},
		// Prompts: tiles of rows that follow one another, on simdgroup matrices.
		{name: "tile", s: plain, sequences: []span{{0, 32}}, tiled: true},
		{name: "partial_tile", s: plain, sequences: []span{{5, 19}}, tiled: true},
		{name: "many_tiles", s: plain, sequences: []span{{40, 70}}, tiled: true},
		{name: "tiles_of_two_sequences", s: plain, sequences: []span{{60, 11}, {0, 9}, {31, 34}}, tiled: true},
		{name: "tiles_not_shared", s: heads(3, 3, 64, 64), sequences: []span{{5, 40}}, tiled: true},
		{name: "tiles_shared_by_three", s: heads(9, 3, 64, 64), sequences: []span{{0, 20}}, tiled: true},
		{name: "tiles_shared_by_four", s: heads(8, 2, 64, 64), sequences: []span{{70, 35}}, tiled: true},
		{name: "tiles_shared_by_six", s: heads(6, 1, 64, 64), sequences: []span{{20, 21}}, tiled: true},
		{name: "tiles_of_16", s: heads(2, 1, 16, 16), sequences: []span{{28, 20}}, tiled: true},
		{name: "tiles_of_80", s: heads(2, 1, 80, 80), sequences: []span{{28, 20}}, tiled: true},
		{name: "tiles_of_96", s: heads(2, 1, 96, 96), sequences: []span{{28, 20}}, tiled: true},
		{name: "tiles_of_112", s: heads(2, 1, 112, 112), sequences: []span{{28, 20}}, tiled: true},
		{name: "tiles_of_128", s: heads(4, 2, 128, 128), sequences: []span{{28, 40}}, tiled: true},
		{name: "tiles_of_160", s: heads(2, 1, 160, 160), sequences: []span{{28, 20}}, tiled: true},
		{name: "tiles_of_256", s: heads(4, 2, 256, 256), sequences: []span{{60, 18}}, tiled: true},
		{name: "tiles_keys_wider_than_values", s: heads(2, 1, 192, 128), sequences: []span{{45, 19}}, tiled: true},
		{name: "tiles_values_wider_than_keys", s: heads(4, 2, 32, 96), sequences: []span{{45, 9}}, tiled: true},
		{name: "tiles_in_ranges", s: plain, sequences: []span{{250, 12}, {3, 9}}, tiled: true, splits: 4},
		{name: "tiles_of_256_in_ranges", s: heads(4, 1, 256, 256), sequences: []span{{140, 9}}, tiled: true, splits: 2},
		{name: "tiles_window", s: with(plain, func(s *shaders.AttentionShape) { s.Window = 7 }), sequences: []span{{30, 40}}, tiled: true},
		{name: "tiles_window_of_one", s: with(plain, func(s *shaders.AttentionShape) { s.Window = 1 }), sequences: []span{{60, 10}}, tiled: true},
		{name: "tiles_window_far_on", s: with(plain, func(s *shaders.AttentionShape) { s.Window = 50 }), sequences: []span{{300, 40}}, tiled: true},
		{name: "tiles_window_in_ranges", s: with(plain, func(s *shaders.AttentionShape) { s.Window = 100 }), sequences: []span{{300, 40}}, tiled: true, splits: 2},
		{name: "tiles_chunk", s: with(plain, func(s *shaders.AttentionShape) { s.Chunk = 12 }), sequences: []span{{30, 40}}, tiled: true},
		{name: "tiles_softcap", s: with(plain, func(s *shaders.AttentionShape) { s.Softcap = 2 }), sequences: []span{{30, 10}}, tiled: true, spread: 3},
		{name: "tiles_sinks", s: with(plain, func(s *shaders.AttentionShape) { s.Sinks = true }), sequences: []span{{0, 20}}, tiled: true},
		{name: "tiles_sinks_in_ranges", s: with(plain, func(s *shaders.AttentionShape) { s.Sinks = true }), sequences: []span{{100, 10}}, tiled: true, splits: 2},
		{name: "tiles_alibi_12_heads", s: with(heads(12, 4, 32, 32), func(s *shaders.AttentionShape) { s.ALiBi = 8 }), sequences: []span{{30, 20}}, tiled: true},
		{name: "tiles_every_part", s: with(heads(8, 2, 64, 64), func(s *shaders.AttentionShape) {
			s.Window, s.Softcap, s.ALiBi, s.Sinks = 33, 5, 8, true
		}), sequences: []span{{70, 9}, {0, 17}}, tiled: true},
		{name: "tiles_one_score_dwarfs", s: plain, sequences: []span{{90, 33}}, tiled: true, spread: 12},
		// The same by rows: what matrices do not take, and tiles of few rows.
		{name: "short_tiles", s: plain, sequences: []span{{60, 4}, {0, 3}, {31, 2}}, tiled: true},
		{name: "short_tiles_window", s: with(plain, func(s *shaders.AttentionShape) { s.Window = 7 }), sequences: []span{{30, 4}, {62, 4}}, tiled: true},
		{name: "short_tiles_chunk", s: with(plain, func(s *shaders.AttentionShape) { s.Chunk = 12 }), sequences: []span{{34, 4}}, tiled: true},
		{name: "short_tiles_in_ranges", s: plain, sequences: []span{{250, 4}}, tiled: true, splits: 2},
		{name: "short_tiles_of_128", s: heads(4, 2, 128, 128), sequences: []span{{28, 4}}, tiled: true},
		{name: "short_tiles_of_256", s: heads(4, 2, 256, 256), sequences: []span{{28, 4}}, tiled: true},
		{name: "short_tiles_every_part", s: with(heads(8, 2, 64, 64), func(s *shaders.AttentionShape) {
			s.Window, s.Softcap, s.ALiBi, s.Sinks = 33, 5, 8, true
		}), sequences: []span{{70, 4}, {0, 3}}, tiled: true},
		{name: "tiles_odd_heads", s: heads(3, 3, 33, 33), sequences: []span{{28, 40}}, tiled: true},
		{name: "tiles_of_512", s: heads(1, 1, 576, 512), sequences: []span{{28, 20}}, tiled: true},
	}
	for _, cache := range []shaders.Type{shaders.F16, shaders.F32, shaders.Q8_0} {
		for _, s := range shapes {
			s.s.Cache = cache
			if s.s.Key%cache.BlockSize() != 0 || s.s.Value%cache.BlockSize() != 0 {
				continue
			}
			list = append(list, Case{Op: "attention", Type: cache.String(), Name: s.name, run: func(t *trial) { t.attention(s) }})
		}
	}
	for _, cache := range []shaders.Type{shaders.F16, shaders.F32, shaders.Q8_0} {
		for i := range 16 {
			list = append(list, Case{Op: "attention", Type: cache.String(), Name: fmt.Sprintf("random_%d", i), Long: true, run: func(t *trial) { t.attention(t.someAttention(cache)) }})
		}
	}
	return list
}

// someAttention is any attention there can be, but for its size.
func (t *trial) someAttention(cache shaders.Type) attentionShape {
	some := func() bool { return t.rng.IntN(3) == 0 }
	width := func() int {
		if cache == shaders.Q8_0 {
			return 32 * (1 + t.rng.IntN(8))
		} else if some() {
			return 1 + t.rng.IntN(300)
		}
		return 16 * (1 + t.rng.IntN(16))
	}
	c := attentionShape{tiled: !some(), splits: 1 << t.rng.IntN(3), s: shaders.AttentionShape{KVHeads: 1 + t.rng.IntN(2), Key: width(), Cache: cache, Sinks: some()}}
	c.s.Heads, c.s.Value = c.s.KVHeads*(1+t.rng.IntN(6)), c.s.Key
	if some() {
		c.s.Value = width()
	}
	for _, v := range []struct {
		to   *int
		most int
	}{{&c.s.Window, 150}, {&c.s.Chunk, 150}} {
		if some() {
			*v.to = 1 + t.rng.IntN(v.most)
		}
	}
	if some() {
		c.s.Softcap, c.spread = 5, 3
	}
	if some() {
		c.s.ALiBi = 8
	}
	for range 1 + t.rng.IntN(3) {
		c.sequences = append(c.sequences, span{t.rng.IntN(200), 1 + t.rng.IntN(50)})
	}
	return c
}

func (t *trial) attention(c attentionShape) {
	const page = shaders.AttentionPage
	s := c.s
	s.Scale = float32(1 / math.Sqrt(float64(s.Key)))
	splits := max(1, c.splits)

	// Each sequence has a table of pages in random order, one page of the cache belongs to nobody, and what no position
	// has written is NaN.
	var positions, starts, tables, tiles []int32
	var owner []int // of each row
	pages := 1
	for i, q := range c.sequences {
		for n := 0; c.tiled && n < q.rows; n += shaders.AttentionTile {
			tiles = append(tiles, int32(len(positions)+n), int32(min(shaders.AttentionTile, q.rows-n)))
		}
		for n := range q.rows {
			positions, starts, owner = append(positions, int32(q.start+n)), append(starts, int32(pages-1)), append(owner, i)
		}
		pages += (q.start+q.rows-1)/page + 1
	}
	for _, p := range t.rng.Perm(pages)[1:] {
		tables = append(tables, int32(p))
	}
	rows := len(positions)
	cache := fileType(s.Cache)
	keys, values := t.alloc(pages*page*cache.RowBytes(s.KVHeads*s.Key)), t.alloc(pages*page*cache.RowBytes(s.KVHeads*s.Value))
	// fill writes a random row at a position of a sequence and returns it as it was stored.
	fill := func(m memory, first, position, width int) []float64 {
		slot, n := int(tables[first+position/page])*page+position%page, cache.RowBytes(width)
		data, row := m.data()[slot*n:(slot+1)*n], t.normal(width)
		t.must(quant.Encode(cache, data, row))
		t.must(quant.Decode(cache, row, data))
		stored := make([]float64, width)
		for i, v := range row {
			stored[i] = float64(v)
		}
		return stored
	}
	type cached struct{ k, v [][]float64 }
	caches := make([]cached, len(c.sequences))
	first := 0
	for i, q := range c.sequences {
		for p := range q.start + q.rows {
			caches[i].k = append(caches[i].k, fill(keys, first, p, s.KVHeads*s.Key))
			caches[i].v = append(caches[i].v, fill(values, first, p, s.KVHeads*s.Value))
		}
		first += (q.start+q.rows-1)/page + 1
	}
	q, sinks := t.normal(rows*s.Heads*s.Key), t.normal(s.Heads)
	if c.spread > 0 {
		for i := range q {
			q[i] *= float32(c.spread)
		}
	}
	out := t.alloc(4 * rows * s.Heads * s.Value)
	buffers := map[int]memory{shaders.AttentionQ: t.floats(q), shaders.AttentionKeys: keys, shaders.AttentionValues: values, shaders.AttentionOut: out,
		shaders.AttentionPositions: t.ints(positions), shaders.AttentionStarts: t.ints(starts), shaders.AttentionTables: t.ints(tables)}
	join := map[int]memory{shaders.JoinOut: out}
	if s.Sinks {
		buffers[shaders.AttentionSinks] = t.floats(sinks)
		join[shaders.JoinSinks] = buffers[shaders.AttentionSinks]
	}
	n := len(tiles) / 2
	if s.Tiled(rows, n) {
		buffers[shaders.AttentionTiles] = t.ints(tiles)
	}
	steps := []step{{shaders.Attention(rows, n, splits, s), buffers}}
	if splits > 1 {
		parts := t.alloc(4 * s.AttentionParts(rows, splits))
		buffers[shaders.AttentionOut], join[shaders.JoinParts] = parts, parts
		steps = append(steps, step{shaders.AttentionJoin(rows, splits, s), join})
	}
	t.launch(steps...)

	var want []float64
	for row, position := range positions {
		for h := range s.Heads {
			cache := caches[owner[row]]
			want = append(want, attend(s, h, q[(row*s.Heads+h)*s.Key:][:s.Key], cache.k, cache.v, int(position), float64(sinks[h]))...)
		}
	}
	// Scores have the error of their sums, which the exponential makes that of the weights: it grows with their size.
	t.check(out.floats(), want, s.Heads*s.Value, 0, 4e-6*max(1, c.spread))
}

// attend is the attention of one head of the row at a position, in double precision.
func attend(s shaders.AttentionShape, head int, q []float32, keys, values [][]float64, own int, sink float64) []float64 {
	group := head * s.KVHeads / s.Heads
	var scores []float64
	var seen []int
	top := math.Inf(-1)
	if s.Sinks {
		top = sink
	}
	for p := range own + 1 {
		if s.Window > 0 && own-p >= s.Window || s.Chunk > 0 && p/s.Chunk != own/s.Chunk {
			continue
		}
		score := dot(q, keys[p][group*s.Key:]) * float64(s.Scale)
		if s.Softcap > 0 {
			score = float64(s.Softcap) * math.Tanh(score/float64(s.Softcap))
		}
		if s.ALiBi > 0 {
			score -= slope(head, s.Heads, float64(s.ALiBi)) * float64(own-p)
		}
		scores, seen, top = append(scores, score), append(seen, p), max(top, score)
	}
	total := 0.0
	if s.Sinks {
		total = math.Exp(sink - top)
	}
	y := make([]float64, s.Value)
	for i, p := range seen {
		w := math.Exp(scores[i] - top)
		total += w
		for c := range y {
			y[c] += w * values[p][group*s.Value+c]
		}
	}
	for c := range y {
		y[c] /= total
	}
	return y
}

// slope is ALiBi's of a head: for 8 heads and a bias of 8, 1/2, 1/4, … 1/256; heads beyond a power of two take every
// second slope of twice as many heads.
func slope(head, heads int, bias float64) float64 {
	power := 1
	for 2*power <= heads {
		power *= 2
	}
	if head < power {
		return math.Exp2(-bias * float64(head+1) / float64(power))
	}
	return math.Exp2(-bias * float64(2*(head-power)+1) / float64(2*power))
}
