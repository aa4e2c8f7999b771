package shaders

// SampleParams are those of top_k.
type SampleParams struct{ Rows, Width, K uint32 }

// Buffers of top_k.
const (
	SampleX      = 1 + iota
	SampleIDs    // [rows][k] int32
	SampleValues // [rows][k] float32
)

// TopK finds the k largest values of each row, the largest first, the lower column first among equals. With
// k = 1 it is the greedy choice.
func TopK(rows, width, k int) Launch {
	return Launch{
		Kernel:  Kernel{Source: "sample", Name: "top_k"},
		Params:  paramBytes(SampleParams{uint32(rows), uint32(width), uint32(k)}),
		Groups:  Size{rows, 1, 1},
		Threads: Size{min(1024, 32*ceil(width, 32)), 1, 1},
		Read:    int64(4 * rows * width),
		Written: int64(8 * rows * k),
	}
}
