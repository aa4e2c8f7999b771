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
	return sampleRows("top_k", rows, width, k, 1, 8*k)
}

// ArgMax finds the largest value of each row, that of the lowest column among equals: the greedy choice. It is -1
// in a row that has a value which is no number, or none that is finite and the largest.
func ArgMax(rows, width int) Launch {
	return sampleRows("argmax", rows, width, 1, 4, 4)
}

// LogSumExp finds log Σ exp of each row, which with TopK gives the likeliest tokens' probabilities, and no other
// value leaves the GPU. Values that are no numbers are left out; a row without any is −∞.
func LogSumExp(rows, width int) Launch {
	return sampleRows("logsumexp", rows, width, 1, 1, 4)
}

// sampleRows has a threadgroup for each row, whose threads load so many values at a time and which writes so many bytes.
func sampleRows(kernel string, rows, width, k, values, written int) Launch {
	return Launch{
		Kernel:  Kernel{Source: "sample", Name: kernel},
		Params:  paramBytes(SampleParams{uint32(rows), uint32(width), uint32(k)}),
		Groups:  Size{rows, 1, 1},
		Threads: Size{min(1024, 32*ceil(width, 32*values)), 1, 1},
		Read:    int64(4 * rows * width),
		Written: int64(written * rows),
	}
}
