package shaders

// MatVecParams are the params of matvec and matvec_n.
type MatVecParams struct {
	Width uint32 // of x and of the rows of the weights: a whole number of blocks
	Rows  uint32 // of the weights, the width of the result
	Eps   float32
}

// Buffers of matvec, matvec_n and matmul. Bias, scale and norm weights are float32.
const (
	LinearWeights  = 1 // [Rows][Width] of the type
	LinearX        = 2 // [columns][Width]
	LinearOut      = 3 // [columns][Rows]
	LinearBias     = 4 // [Rows], with Parts.Bias
	LinearScale    = 5 // [1], with Parts.Scale
	LinearResidual = 6 // [columns][Rows], with Parts.Residual; may be the output itself
	LinearNorm     = 7 // [Width], with Parts.Norm
)

// Parts are the optional parts of a projection: function constants 0 to 4 of its kernels. The result is
// Scale·(W·x) + Bias, or Scale·(W·x + Bias) with ScaleBias, then + Residual; with Norm, x is
// first divided by its root mean square and multiplied by the norm's weights.
type Parts struct {
	Bias, Scale, ScaleBias, Residual, Norm bool
}

func (o Parts) constants() [8]any {
	return [8]any{o.Bias, o.Scale, o.ScaleBias, o.Residual, o.Norm}
}

// bytes are what the optional parts read.
func (o Parts) bytes(width, rows, columns int) (n int64) {
	for _, part := range []struct {
		has    bool
		floats int
	}{{o.Bias, rows}, {o.Scale, 1}, {o.Residual, rows * columns}, {o.Norm, width}} {
		if part.has {
			n += 4 * int64(part.floats)
		}
	}
	return n
}

// MaxColumns is the most columns of MatVecN; from there on MatMul takes over.
const MaxColumns = 8

// simdgroups in a threadgroup of matvec and matvec_n.
const matVecSimdgroups = 2

// MatVec projects one row of activations: kernels matvec_TYPE.
func MatVec(t Type, p MatVecParams, o Parts) Launch {
	return matVec("matvec", t, p, o, o.constants(), 1, layouts[t].rows)
}

// MatVecN projects 2 to MaxColumns rows of activations, with the weights read once: kernels
// matvec_n_TYPE, a pipeline for each number of columns. It takes 1 too.
func MatVecN(t Type, p MatVecParams, o Parts, columns int) Launch {
	return matVec("matvec_n", t, p, o, o.columnConstants(columns), columns, columnRows)
}

// columnRows is how many rows a simdgroup of columns.h takes.
const columnRows = 4

// columnConstants are those of a kernel that takes several columns.
func (o Parts) columnConstants(columns int) [8]any {
	c := o.constants()
	c[7] = uint32(columns)
	return c
}

func matVec(source string, t Type, p MatVecParams, o Parts, constants [8]any, columns, rows int) Launch {
	width, n := int(p.Width), int(p.Rows)
	return Launch{
		Kernel:  Kernel{Source: source, Name: source + "_" + layouts[t].name, Constants: constants},
		Params:  paramBytes(p),
		Groups:  Size{ceil(n, rows*matVecSimdgroups), 1, 1},
		Threads: Size{32 * matVecSimdgroups, 1, 1},
		Read:    int64(n)*int64(t.RowBytes(width)) + int64(columns)*int64(width)*4 + o.bytes(width, n, columns),
		Written: int64(columns) * int64(n) * 4,
	}
}
