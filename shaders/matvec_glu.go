package shaders

// MatVecGLUParams are the params of matvec_glu.
type MatVecGLUParams struct {
	Width   uint32 // of x and of the rows of the weights
	Rows    uint32 // of one expert's gate, and of its up; the width of the result
	Experts uint32 // of the weights; 1 without ids
	Repeat  uint32 // pairs of token and expert that share a row of x: 1, or the experts of a token
	Eps     float32
}

// Buffers of matvec_glu. Biases, scales and norm as for MatVec, of each expert.
const (
	GLUGate      = 1  // [experts][Rows][Width] of the type
	GLUUp        = 2  // [experts][Rows][Width] of the type
	GLUX         = 3  // [rows/Repeat][Width]
	GLUOut       = 4  // [rows][Rows]
	GLUGateBias  = 5  // [experts][Rows], with Parts.Bias
	GLUUpBias    = 6  // [experts][Rows], with Parts.Bias
	GLUGateScale = 7  // [experts], with Parts.Scale
	GLUUpScale   = 8  // [experts], with Parts.Scale
	GLUNorm      = 9  // [Width], with Parts.Norm
	GLUIDs       = 10 // [pairs] int32, by id
)

// MatVecGLU is act(gate)·up. By id, rows are pairs of token and expert: kernels matvec_glu_TYPE. Otherwise they are 1 to
// MaxColumns rows of activations, which share the weights: kernels matvec_glu_TYPE of one, and matvec_glu_n_TYPE of more, a pipeline
// for each number. Gate and up are of one type and have the same parts, which cannot be a residual. activation is package
// program's number of it. Function constants: 0 to 4 are those of Parts, 5 the activation, 6 whether by id, 7 the columns.
func MatVecGLU(t Type, p MatVecGLUParams, o Parts, activation uint32, byID bool, rows int) Launch {
	o.Residual = false
	name, each, pairs, columns := "matvec_glu_", layouts[t].rows, rows, 1
	if !byID && rows > 1 {
		name, each, pairs, columns = "matvec_glu_n_", columnRows/2, 1, rows
	}
	c := o.columnConstants(columns)
	c[5], c[6] = activation, byID
	width, height := int(p.Width), int(p.Rows)
	l := Launch{
		Kernel:  Kernel{Source: "matvec_glu", Name: name + layouts[t].name, Constants: c},
		Params:  paramBytes(p),
		Groups:  Size{ceil(height, each*matVecSimdgroups), pairs, 1},
		Threads: Size{32 * matVecSimdgroups, 1, 1},
		Read:    int64(pairs)*2*(int64(height)*int64(t.RowBytes(width))+o.bytes(width, height, 1)) + int64(rows)/int64(p.Repeat)*int64(width)*4,
		Written: int64(rows) * int64(height) * 4,
	}
	if byID {
		l.Read += int64(pairs) * 4
	}
	return l
}
