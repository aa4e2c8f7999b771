package shaders

// EmbedParams are the params of embed: out[i] = table[ids[i]].
type EmbedParams struct {
	Width uint32 // of a row, a whole number of blocks
	Rows  uint32 // of the table; an id beyond is taken for the last
	Count uint32 // of ids
}

// Buffers of embed.
const (
	EmbedTable = 1 // [Rows][Width] of the type
	EmbedIDs   = 2 // [Count] int32
	EmbedOut   = 3 // [Count][Width]
)

// Embed looks rows of a table up: kernels embed_TYPE.
func Embed(t Type, p EmbedParams) Launch {
	// A thread for each slice, and one more for the tail of plain types.
	slices := int(p.Width)/layouts[t].slice + 1
	threads := min(slices, 128)
	return Launch{
		Kernel:  Kernel{Source: "embed", Name: "embed_" + layouts[t].name},
		Params:  paramBytes(p),
		Groups:  Size{ceil(slices, threads), int(p.Count), 1},
		Threads: Size{threads, 1, 1},
		Read:    int64(p.Count) * int64(t.RowBytes(int(p.Width))+4),
		Written: int64(p.Count) * int64(p.Width) * 4,
	}
}
