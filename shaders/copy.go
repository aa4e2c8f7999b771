package shaders

// CopyParams are those of copy.metal.
type CopyParams struct{ Rows, Width, Stride, From uint32 }

// Buffers of copy.metal.
const (
	CopyX = 1 + iota
	CopyOut
	CopyRowNumbers // [rows] int32, of CopyRows
)

// CopyColumns keeps width columns of [rows][stride] from a column on.
func CopyColumns(rows, stride, from, width int) Launch {
	return copyLaunch("copy_columns", rows, width, CopyParams{Stride: uint32(stride), From: uint32(from)})
}

// CopyRows gathers rows of [·][width] by number.
func CopyRows(rows, width int) Launch {
	return copyLaunch("copy_rows", rows, width, CopyParams{Stride: uint32(width)})
}

func copyLaunch(name string, rows, width int, p CopyParams) Launch {
	p.Rows, p.Width = uint32(rows), uint32(width)
	threads := min(256, 32*ceil(width, 32))
	return Launch{
		Kernel:  Kernel{Source: "copy", Name: name},
		Params:  paramBytes(p),
		Groups:  Size{ceil(width, threads), rows, 1},
		Threads: Size{threads, 1, 1},
		Read:    int64(4 * rows * width),
		Written: int64(4 * rows * width),
	}
}
