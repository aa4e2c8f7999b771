package shaders

// MatVecQKVParams are the params of matvec_qkv.
type MatVecQKVParams struct {
	Width               uint32
	Rows0, Rows1, Rows2 uint32 // of each matrix; Rows2 is 0 if there are two
	Eps                 float32
}

// Buffers of matvec_qkv: weights, results and biases of matrix i at QKVWeights+i and so on.
const (
	QKVWeights = 1  // [Rows_i][Width]
	QKVX       = 4  // [columns][Width]
	QKVOut     = 5  // [columns][Rows_i]
	QKVBias    = 8  // [Rows_i], with bias
	QKVNorm    = 11 // [Width], with norm
)

// mixed are the pairs of types that matvec_qkv is instantiated for beside pairs of the same.
var mixed = map[[2]Type]bool{
	{Q2_K, Q3_K}: true, {Q2_K, Q4_K}: true, {Q3_K, Q4_K}: true, {Q3_K, Q5_K}: true, {Q4_K, Q5_K}: true, {Q4_K, Q6_K}: true, {Q5_K, Q6_K}: true,
	{Q4_K, Q8_0}: true, {Q5_K, Q8_0}: true, {Q6_K, Q8_0}: true, {Q5_0, Q8_0}: true, {Q5_1, Q8_0}: true, {Q4_0, Q8_0}: true,
	{IQ4_NL, Q5_K}: true, {IQ4_XS, Q5_K}: true, {IQ4_NL, Q5_1}: true,
}

// CanMatVecQKV reports whether matrices 0 and 1 of type t and matrix 2 of type u can share a launch.
func CanMatVecQKV(t, u Type) bool { return t == u || mixed[[2]Type{t, u}] }

// MatVecQKV is two or three projections of 1 to MaxColumns rows in one launch: kernels matvec_qkv_TYPE and
// matvec_qkv_TYPE_TYPE of one row, and matvec_qkv_n_… of more, a pipeline for each number of columns. t is the type of matrices 0
// and 1, u of matrix 2; CanMatVecQKV tells which go together. All have a bias or none. Function constants: 0 to 4
// are those of Parts, 5 whether there are three, 7 the columns.
func MatVecQKV(t, u Type, p MatVecQKVParams, bias, norm bool, columns int) Launch {
	name, rowsT, rowsU := "matvec_qkv_", layouts[t].rows, layouts[u].rows
	if columns > 1 {
		name, rowsT, rowsU = "matvec_qkv_n_", columnRows, columnRows
	}
	name += layouts[t].name
	if t != u && p.Rows2 > 0 {
		name += "_" + layouts[u].name
	}
	o := Parts{Bias: bias, Norm: norm}
	c := o.columnConstants(columns)
	c[5] = p.Rows2 > 0
	width, rows := int(p.Width), int(p.Rows0+p.Rows1+p.Rows2)
	units := ceil(int(p.Rows0), rowsT) + ceil(int(p.Rows1), rowsT) + ceil(int(p.Rows2), rowsU)
	return Launch{
		Kernel:  Kernel{Source: "matvec_qkv", Name: name, Constants: c},
		Params:  paramBytes(p),
		Groups:  Size{ceil(units, matVecSimdgroups), 1, 1},
		Threads: Size{32 * matVecSimdgroups, 1, 1},
		Read: int64(p.Rows0+p.Rows1)*int64(t.RowBytes(width)) + int64(p.Rows2)*int64(u.RowBytes(width)) +
			int64(columns)*int64(width)*4 + o.bytes(width, rows, columns),
		Written: int64(columns) * int64(rows) * 4,
	}
}
