package shaders

// MatMulParams are the params of matmul.
type MatMulParams struct {
	Width   uint32 // of x and of the rows of the weights: a whole number of blocks
	Rows    uint32 // of the weights, the width of the result
	Columns uint32 // rows of x
	Eps     float32
}

// A tile of matmul and matmul_id, and the threads that compute it: matmul.h.
const (
	tileRows    = 64
	tileColumns = 32
	tileThreads = 128
)

// MatMul projects many rows of activations: kernels matmul_TYPE, with the buffers of MatVec.
func MatMul(t Type, p MatMulParams, o Parts) Launch {
	width, rows, columns := int(p.Width), int(p.Rows), int(p.Columns)
	return Launch{
		Kernel:  Kernel{Source: "matmul", Name: "matmul_" + layouts[t].name, Constants: o.constants()},
		Params:  paramBytes(p),
		Groups:  Size{ceil(columns, tileColumns), ceil(rows, tileRows), 1},
		Threads: Size{tileThreads, 1, 1},
		Read:    int64(rows)*int64(t.RowBytes(width)) + int64(columns)*int64(width)*4 + o.bytes(width, rows, columns),
		Written: int64(columns) * int64(rows) * 4,
	}
}
