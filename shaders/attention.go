package shaders

import "fmt"

// AttentionParams are those of attention.metal.
type AttentionParams struct {
	Heads, KVHeads, Splits, Window, Chunk uint32
	Scale, Softcap, Alibi, Powers         float32
}

// Buffers of attention_rows.
const (
	AttentionQ = 1 + iota
	AttentionKeys
	AttentionValues
	AttentionOut       // or the ranges' parts, where there are several: AttentionParts floats
	AttentionPositions // [rows] int32
	AttentionStarts    // [rows] int32: where in the tables each row's is
	AttentionTables    // int32: block numbers
	AttentionSinks     // [heads] float32, if there are any
	AttentionTiles     // AttentionTile pairs of int32, first row and rows, with tiles
)

// AttentionTile is the most rows of a tile: rows of one sequence whose positions follow one another.
const AttentionTile = 8

// Buffers of attention_join.
const (
	JoinParts = 1 + iota
	JoinOut
	JoinSinks
)

// AttentionPage is the number of positions in a block of the cache.
const AttentionPage = 32

// MaxValueHead is the widest head of values the kernels take, MaxKeyHead the widest of keys.
const (
	MaxValueHead = 512
	MaxKeyHead   = 576
)

// AttentionShape describes an attention.
type AttentionShape struct {
	Heads, KVHeads int
	Key, Value     int  // width of a head
	Half           bool // type of the cache, else float
	Window, Chunk  int
	Scale, Softcap float32
	ALiBi          float32
	Sinks          bool
}

// tile gives the template arguments, columns of values a lane owns and pairs of row and head in a threadgroup, and how
// many heads and rows the pairs are of. The product of columns and pairs is at most 32: they are registers.
func (s AttentionShape) tile(tiled bool) (columns, pairs, heads, rows int) {
	columns = 2
	for columns*32 < s.Value {
		columns *= 2
	}
	most := min(8, 32/columns)
	share := s.Heads / s.KVHeads
	heads = 1
	for heads < share && 2*heads <= most {
		heads *= 2
	}
	if !tiled {
		return columns, heads, heads, 1
	}
	return columns, most, heads, most / heads
}

// AttentionParts is how many floats the parts of rows are in splits ranges.
func (s AttentionShape) AttentionParts(rows, splits int) int {
	return rows * s.Heads * splits * (s.Value + 2)
}

// Splits picks into how many ranges each row's positions are cut, when up to pages pages are seen: as many as keep the
// GPU busy, a power of two, and no fewer than four pages each (one a simdgroup).
func (s AttentionShape) Splits(rows, pages int) int {
	const busy = 128 // threadgroups
	_, _, heads, _ := s.tile(false)
	if s.Window > 0 {
		pages = min(pages, s.Window/AttentionPage+2)
	}
	groups := rows * s.KVHeads * ceil(s.Heads/s.KVHeads, heads)
	splits := 1
	for splits < 32 && 4*splits < pages && groups*splits < busy {
		splits *= 2
	}
	return splits
}

// Attention attends from rows rows, each for itself, or if tiles is not 0 from that many tiles of rows. With several
// splits it is followed by AttentionJoin.
func Attention(rows, tiles, splits int, s AttentionShape) Launch {
	columns, pairs, heads, tokens := s.tile(tiles > 0)
	deep := rows
	if tokens > 1 {
		deep = tiles * (AttentionTile / tokens)
	}
	name := "f32"
	if s.Half {
		name = "f16"
	}
	const simds = 4
	floats := max(pairs*s.Key+simds*pairs*AttentionPage, simds*pairs*(2+s.Value))
	constants := s.constants(splits)
	constants[6] = uint32(tokens)
	return Launch{
		Kernel:  Kernel{Source: "attention", Name: fmt.Sprintf("attention_%s_%d_%d", name, columns, pairs), Constants: constants},
		Params:  paramBytes(s.params(splits)),
		Groups:  Size{splits, s.KVHeads * ceil(s.Heads/s.KVHeads, heads), deep},
		Threads: Size{32 * simds, 1, 1},
		Shared:  16 * ceil(4*floats, 16),
		Read:    int64(4 * rows * s.Heads * s.Key), // and of the cache what the rows see
		Written: int64(4 * rows * s.Heads * s.Value),
	}
}

// Tiled reports whether Attention takes several rows of a tile at once.
func (s AttentionShape) Tiled() bool {
	_, _, _, rows := s.tile(true)
	return rows > 1
}

// AttentionJoin adds up the parts of Attention.
func AttentionJoin(rows, splits int, s AttentionShape) Launch {
	return Launch{
		Kernel:  Kernel{Source: "attention", Name: "attention_join", Constants: s.constants(splits)},
		Params:  paramBytes(s.params(splits)),
		Groups:  Size{s.Heads, rows, 1},
		Threads: Size{32, 1, 1},
		Read:    int64(4 * s.AttentionParts(rows, splits)),
		Written: int64(4 * rows * s.Heads * s.Value),
	}
}

func (s AttentionShape) constants(splits int) [8]any {
	return [8]any{uint32(s.Key), uint32(s.Value), s.Sinks, s.Softcap > 0, s.ALiBi > 0, splits > 1, uint32(1)}
}

func (s AttentionShape) params(splits int) AttentionParams {
	powers := 1
	for powers*2 <= s.Heads {
		powers *= 2
	}
	return AttentionParams{
		Heads: uint32(s.Heads), KVHeads: uint32(s.KVHeads), Splits: uint32(splits),
		Window: uint32(s.Window), Chunk: uint32(s.Chunk),
		Scale: s.Scale, Softcap: s.Softcap, Alibi: s.ALiBi, Powers: float32(powers),
	}
}

// MaxParts is the most floats that the parts of up to rows rows take, whatever Splits picks.
func (s AttentionShape) MaxParts(rows int) (most int) {
	for n := 1; n <= rows; n++ {
		splits := s.Splits(n, 1<<20)
		if splits == 1 {
			break
		}
		most = max(most, s.AttentionParts(n, splits))
	}
	return most
}
