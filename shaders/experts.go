package shaders

// MatVecIDParams are the params of matvec_id.
type MatVecIDParams struct {
	Width   uint32 // of x and of the rows of the weights: a whole number of blocks
	Rows    uint32 // of one expert's weights, the width of the result
	Experts uint32 // of the weights
	Repeat  uint32 // pairs that share a row of x: 1, or the experts of a token
	Eps     float32
}

// MatMulIDParams are the params of matmul_id, as MatVecIDParams.
type MatMulIDParams struct {
	Width, Rows, Repeat uint32
	Eps                 float32
}

// Buffers of matvec_id and matmul_id beside those of MatVec: weights are [experts][Rows][Width], a bias
// [experts][Rows], a scale [experts], the result [pairs][Rows].
const (
	LinearIDs   = 8 // matvec_id: [pairs] int32
	LinearOrder = 8 // matmul_id: GroupOrder
	LinearTiles = 9 // matmul_id: GroupTiles
)

// MatVecID projects tokens by their experts, each pair for itself: kernels matvec_id_TYPE.
func MatVecID(t Type, p MatVecIDParams, o Parts, pairs int) Launch {
	width, rows := int(p.Width), int(p.Rows)
	return Launch{
		Kernel:  Kernel{Source: "matvec_id", Name: "matvec_id_" + layouts[t].name, Constants: o.constants()},
		Params:  paramBytes(p),
		Groups:  Size{ceil(rows, layouts[t].rows*matVecSimdgroups), pairs, 1},
		Threads: Size{32 * matVecSimdgroups, 1, 1},
		Read:    int64(pairs)*(int64(rows)*int64(t.RowBytes(width))+o.bytes(width, rows, 1)) + int64(pairs)/int64(p.Repeat)*int64(width)*4,
		Written: int64(pairs) * int64(rows) * 4,
	}
}

// MatMulID projects tokens by their experts, pairs grouped by GroupExpertsByPair: kernels matmul_id_TYPE. Read
// counts the weights of as many of the experts as there are pairs.
func MatMulID(t Type, p MatMulIDParams, o Parts, experts, pairs int) Launch {
	width, rows := int(p.Width), int(p.Rows)
	return Launch{
		Kernel:  Kernel{Source: "matmul_id", Name: "matmul_id_" + layouts[t].name, Constants: o.constants()},
		Params:  paramBytes(p),
		Groups:  Size{TileCount(experts, pairs), ceil(rows, tileRows), 1},
		Threads: Size{tileThreads, 1, 1},
		Read: int64(min(pairs, experts))*(int64(rows)*int64(t.RowBytes(width))+o.bytes(width, rows, 0)) +
			int64(pairs)/int64(p.Repeat)*int64(width)*4,
		Written: int64(pairs) * int64(rows) * 4,
	}
}

// MatVecCombineParams are the params of matvec_combine.
type MatVecCombineParams struct {
	Width   uint32 // of x and of the rows of the weights
	Rows    uint32 // of one expert's weights, the width of the result
	Experts uint32 // of the weights
	Used    uint32 // experts of a token
}

// Buffers of matvec_combine beside those of MatVecID: x is [tokens·Used][Width], the result and a residual are
// [tokens][Rows].
const LinearExpertWeights = 7 // [tokens][Used]

// MatVecCombine is MatVecID and Combine in one, for a few tokens: kernels matvec_combine_TYPE. o cannot have a norm.
func MatVecCombine(t Type, p MatVecCombineParams, o Parts, tokens int) Launch {
	o.Norm = false
	width, rows, pairs := int(p.Width), int(p.Rows), tokens*int(p.Used)
	l := Launch{
		Kernel:  Kernel{Source: "matvec_combine", Name: "matvec_combine_" + layouts[t].name, Constants: o.constants()},
		Params:  paramBytes(p),
		Groups:  Size{ceil(rows, layouts[t].rows*matVecSimdgroups), tokens, 1},
		Threads: Size{32 * matVecSimdgroups, 1, 1},
		Written: int64(tokens) * int64(rows) * 4,
	}
	if o.Residual {
		l.Read = l.Written
		o.Residual = false
	}
	l.Read += int64(pairs) * (int64(rows)*int64(t.RowBytes(width)) + int64(width)*4 + 8 + o.bytes(width, rows, 1))
	return l
}

// CombineParams are the params of combine.
type CombineParams struct {
	Width uint32
	Used  uint32 // experts of a token
	Count uint32 // of tokens
}

// Buffers of combine.
const (
	CombineX        = 1 // [Count·Used][Width]
	CombineWeights  = 2 // [Count][Used]
	CombineOut      = 3 // [Count][Width]
	CombineResidual = 4 // [Count][Width], with a residual; may be the output itself
)

// Combine sums each token's experts by weight: kernel combine. Function constant 0: whether a residual is
// added.
func Combine(p CombineParams, residual bool) Launch {
	out := int64(p.Count) * int64(p.Width) * 4
	l := Launch{
		Kernel:  Kernel{Source: "combine", Name: "combine", Constants: [8]any{residual}},
		Params:  paramBytes(p),
		Groups:  Size{ceil(int(p.Width), 128), int(p.Count), 1},
		Threads: Size{128, 1, 1},
		Read:    out*int64(p.Used) + int64(p.Count)*int64(p.Used)*4,
		Written: out,
	}
	if residual {
		l.Read += out
	}
	return l
}
