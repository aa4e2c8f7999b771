package shaders

// NormParams are those of norm.metal.
type NormParams struct {
	Rows, Width, Group, Weights uint32
	Eps                         float32
}

// Buffers of norm.metal.
const (
	NormX = 1 + iota
	NormOut
	NormWeight // [weights] float32, if there is one
	NormBias   // [weights] float32, if there is one
)

// NormOptions are the variants of Norm.
type NormOptions struct {
	Centred      bool // layer normalisation, else RMS
	Weight, Bias bool
	Weights      int // values of weight and bias: group or width
	Eps          float32
}

// Norm normalises groups of columns of [rows][width].
func Norm(rows, width, group int, o NormOptions) Launch {
	k := Kernel{Source: "norm", Name: "norm_rows", Constants: [8]any{o.Centred, o.Weight, o.Bias}}
	groups, threads := rows, min(1024, 32*ceil(width, 128))
	if group < width {
		k.Name = "norm_heads"
		threads = 128
		groups = ceil(rows*(width/group), threads/32)
	}
	return Launch{
		Kernel:  k,
		Params:  paramBytes(NormParams{uint32(rows), uint32(width), uint32(group), uint32(o.Weights), o.Eps}),
		Groups:  Size{groups, 1, 1},
		Threads: Size{threads, 1, 1},
		Read:    int64(4*rows*width + 4*o.Weights*(count(o.Weight)+count(o.Bias))),
		Written: int64(4 * rows * width),
	}
}

// count is 1 for true.
func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
