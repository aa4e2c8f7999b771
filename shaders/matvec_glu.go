package shaders

// MatVecGLUParams are the params of matvec_glu.
type MatVecGLUParams struct {
	Width   uint32 // of x and of the rows of the weights
	Rows    uint32 // of one expert's gate, and of its up; the width of the result
	Experts uint32 // of the weights; 1 without ids
	Repeat  uint32 // pairs that share a row of x: 1, or the experts of a token
	Eps     float32
}

// Buffers of matvec_glu. Biases, scales and norm as for MatVec, of each expert.
const (
	GLUGate      = 1  // [experts][Rows][Width] of the type
	GLUUp        = 2  // [experts][Rows][Width] of the type
	GLUX         = 3  // [pairs/Repeat][Width]
	GLUOut       = 4  // [pairs][Rows]
	GLUGateBias  = 5  // [experts][Rows], with Parts.Bias
	GLUUpBias    = 6  // [experts][Rows], with Parts.Bias
	GLUGateScale = 7  // [experts], with Parts.Scale
	GLUUpScale   = 8  // [experts], with Parts.Scale
	GLUNorm      = 9  // [Width], with Parts.Norm
	GLUIDs       = 10 // [pairs] int32, by id
)

// MatVecGLU is act(gate)·up of one row of activations, or of pairs of token and expert by id: kernels
// matvec_glu_TYPE. Gate and up are of one type and have the same parts, which cannot be a residual. activation is
// package program's number of it. Function constants: 0 to 4 are those of Parts, 5 the activation, 6 whether by id.
func MatVecGLU(t Type, p MatVecGLUParams, o Parts, activation uint32, byID bool, pairs int) Launch {
	o.Residual = false
	c := o.constants()
	c[5], c[6] = activation, byID
	width, rows := int(p.Width), int(p.Rows)
	l := Launch{
		Kernel:  Kernel{Source: "matvec_glu", Name: "matvec_glu_" + layouts[t].name, Constants: c},
		Params:  paramBytes(p),
		Groups:  Size{ceil(rows, layouts[t].rows*matVecSimdgroups), pairs, 1},
		Threads: Size{32 * matVecSimdgroups, 1, 1},
		Read:    int64(pairs)*2*int64(rows)*int64(t.RowBytes(width)) + int64(pairs)/int64(p.Repeat)*int64(width)*4 + int64(pairs)*2*o.bytes(width, rows, 1),
		Written: int64(pairs) * int64(rows) * 4,
	}
	if byID {
		l.Read += int64(pairs) * 4
	}
	return l
}
