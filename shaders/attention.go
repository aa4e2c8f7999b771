package shaders

import "fmt"

// AttentionParams are those of attention.metal.
type AttentionParams struct {
	Heads, KVHeads, Splits, Window, Chunk uint32
	Scale, Softcap, Alibi, Powers         float32
}

// Buffers of attention_rows and attention_tiles.
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
const AttentionTile = 32

// Buffers of attention_join.
const (
	JoinParts = 1 + iota
	JoinOut
	JoinSinks
)

// attentionRoom is the most threadgroup memory of an attention. An encoder keeps what was set for [[threadgroup(0)]]
// while other kernels run: with matmul's own 14592 bytes that makes the 32 KiB there are.
const attentionRoom = 32768 - 14592

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
	Cache          Type // of keys and values: F32, F16, or Q8_0 where all heads together are whole blocks
	Window, Chunk  int
	Scale, Softcap float32
	ALiBi          float32
	Sinks          bool
}

// matrices reports whether rows in tiles are attended from by attention_tiles, on simdgroup matrices; else
// attention_rows does it. It takes heads of common widths, and pays from a few rows a tile on.
func (s AttentionShape) matrices(rows, tiles int) bool {
	return tiles > 0 && rows > 4*tiles && s.Key%16 == 0 && s.Value%16 == 0 && max(s.Key, s.Value) <= 256
}

// grid says how an attention of rows, in tiles if that is not 0, is cut into threadgroups: rows, query heads that share
// a KV head, and pairs of them a threadgroup takes; columns of values that a lane of attention_rows owns.
func (s AttentionShape) grid(rows, tiles int) (tokens, heads, pairs, columns int) {
	share := s.Heads / s.KVHeads
	if s.matrices(rows, tiles) {
		heads = 1
		for heads < 4 && share%(2*heads) == 0 {
			heads *= 2
		}
		return AttentionTile / heads, heads, AttentionTile, 0
	}
	columns = 2
	for columns*32 < s.Value {
		columns *= 2
	}
	most := min(8, 32/columns) // columns by pairs are registers
	heads = 1
	for heads < share && 2*heads <= most {
		heads *= 2
	}
	if tiles == 0 {
		return 1, heads, heads, columns
	}
	return most / heads, heads, most, columns
}

// Tiled reports whether Attention takes several rows of a tile at once, and so reads AttentionTiles.
func (s AttentionShape) Tiled(rows, tiles int) bool {
	tokens, _, _, _ := s.grid(rows, tiles)
	return tokens > 1
}

// AttentionParts is how many floats the parts of rows are in splits ranges.
func (s AttentionShape) AttentionParts(rows, splits int) int {
	return rows * s.Heads * splits * (s.Value + 2)
}

// Splits picks into how many ranges each row's positions are cut, when up to pages pages are seen: as many as keep the
// GPU busy, a power of two, and no fewer than four pages each (one a simdgroup).
func (s AttentionShape) Splits(rows, tiles, pages int) int {
	const busy = 128 // threadgroups
	tokens, heads, _, _ := s.grid(rows, tiles)
	if !s.matrices(rows, tiles) {
		tokens = 1
	}
	if s.Window > 0 {
		pages = min(pages, s.Window/AttentionPage+2)
	}
	groups := ceil(rows, tokens) * s.KVHeads * ceil(s.Heads/s.KVHeads, heads)
	splits := 1
	for splits < 32 && 4*splits < pages && groups*splits < busy {
		splits *= 2
	}
	return splits
}

// MaxParts is the most floats that the parts of up to rows rows take, whatever Splits picks.
func (s AttentionShape) MaxParts(rows int) (most int) {
	for n := 1; n <= rows; n++ {
		if splits := max(s.Splits(n, 0, 1<<20), s.Splits(n, ceil(n, AttentionTile), 1<<20)); splits > 1 {
			most = max(most, s.AttentionParts(n, splits))
		}
	}
	return most
}

// Attention attends from rows rows, each for itself, or if tiles is not 0 from that many tiles of rows. With several
// splits it is followed by AttentionJoin.
func Attention(rows, tiles, splits int, s AttentionShape) Launch {
	tokens, heads, pairs, columns := s.grid(rows, tiles)
	const simds = 4
	deep := rows
	if tokens > 1 {
		deep = tiles * (AttentionTile / tokens)
	}
	k := Kernel{Source: "attention", Name: fmt.Sprintf("attention_%s_%d_%d", layouts[s.Cache].name, columns, pairs), Constants: s.constants(splits)}
	k.Constants[6] = uint32(tokens)
	threads, shared := 32*simds, 4*max(pairs*s.Key+simds*pairs*AttentionPage, simds*pairs*(2+s.Value))
	if s.matrices(rows, tiles) {
		k.Source, k.Name = "attention_tiles", "attention_tiles_"+layouts[s.Cache].name
		k.Constants[6] = uint32(heads)
		stride, size := max(s.Key, s.Value)+8, 4 // of what is staged
		if s.Cache == F16 {
			size = 2
		}
		if stride-8 > 128 { // two stretches
			threads *= 2
		}
		for shared = 32 * (stride*size + threads); shared > attentionRoom; { // 32 keys and their scores
			shared /= 2
		}
	}
	return Launch{
		Kernel:  k,
		Params:  paramBytes(s.params(splits)),
		Groups:  Size{splits, s.KVHeads * ceil(s.Heads/s.KVHeads, heads), deep},
		Threads: Size{threads, 1, 1},
		Shared:  16 * ceil(shared, 16),
		Read:    int64(4 * rows * s.Heads * s.Key), // and of the cache what the rows see
		Written: int64(4 * rows * s.Heads * s.Value),
	}
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
