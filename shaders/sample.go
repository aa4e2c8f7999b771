package shaders

// SampleParams are those of sample.metal.
type SampleParams struct{ Rows, Width, K uint32 }

// Buffers of sample.metal.
const (
	SampleX      = 1 + iota
	SampleIDs    // [rows][k] int32
	SampleValues // [rows][k] float32, of TopK; [rows], of LogSumExp
)

// TopK finds the k largest values of each row, the largest first, the lower column first among equals.
// Values that are no numbers are left out.
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

// ArgMax finds the largest value of each row, that of the lowest column among equals: the greedy choice. It is -1
// in a row that has a value which is no number, or none that is finite and the largest.
func ArgMax(rows, width int) Launch {
	return Launch{
		Kernel:  Kernel{Source: "sample", Name: "argmax"},
		Params:  paramBytes(SampleParams{uint32(rows), uint32(width), 1}),
		Groups:  Size{rows, 1, 1},
		Threads: Size{min(1024, 32*ceil(width, 128)), 1, 1},
		Read:    int64(4 * rows * width),
		Written: int64(4 * rows),
	}
}

// LogSumExp finds log Σ exp of each row, which with TopK gives the likeliest tokens' probabilities, and no other
// value leaves the GPU. Values that are no numbers are left out; a row without any is −∞.
func LogSumExp(rows, width int) Launch {
	return Launch{
		Kernel:  Kernel{Source: "sample", Name: "logsumexp"},
		Params:  paramBytes(SampleParams{uint32(rows), uint32(width), 1}),
		Groups:  Size{rows, 1, 1},
		Threads: Size{min(1024, 32*ceil(width, 32)), 1, 1},
		Read:    int64(4 * rows * width),
		Written: int64(4 * rows),
	}
}
