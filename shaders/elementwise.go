package shaders

// ElementParams are those of elementwise.
type ElementParams struct {
	Count  uint32
	Factor float32
}

// RowScaleParams are those of mul_rows and scale_by_position.
type RowScaleParams struct {
	Rows, Width    uint32
	Period, Offset int32
	Beta           float32
}

// Buffers of elementwise.metal.
const (
	ElementA = 1 + iota
	ElementB // the second operand, a row's factors, or the positions
	ElementOut
)

// Element is a function of one value or two.
type Element uint32

// The functions of elementwise.metal.
const (
	ElementAdd Element = iota
	ElementMul
	ElementScale    // a·factor
	ElementSoftcap  // factor·tanh(a/factor)
	ElementActivate // act(a)
	ElementGLU      // act(a)·b
)

// Two reports whether the function has a second operand.
func (f Element) Two() bool { return f == ElementAdd || f == ElementMul || f == ElementGLU }

// Elementwise applies f to n values. act is an activation by its number in package program.
func Elementwise(f Element, n int, factor float32, act uint32) Launch {
	operands := 1 + count(f.Two())
	return Launch{
		Kernel:  Kernel{Source: "elementwise", Name: "elementwise", Constants: [8]any{uint32(f), act}},
		Params:  paramBytes(ElementParams{uint32(n), factor}),
		Groups:  Size{ceil(n, 4*256), 1, 1},
		Threads: Size{min(256, 32*ceil(n, 4*32)), 1, 1},
		Read:    int64(4 * n * operands),
		Written: int64(4 * n),
	}
}

// MulRows multiplies each row by its factor.
func MulRows(rows, width int) Launch {
	return rowScale("mul_rows", rows, RowScaleParams{Width: uint32(width)})
}

// ScaleByPosition multiplies each row by 1 + beta·ln(1 + ⌊(position+offset)/period⌋).
func ScaleByPosition(rows, width, period, offset int, beta float32) Launch {
	return rowScale("scale_by_position", rows, RowScaleParams{Width: uint32(width), Period: int32(period), Offset: int32(offset), Beta: beta})
}

func rowScale(name string, rows int, p RowScaleParams) Launch {
	p.Rows = uint32(rows)
	width := int(p.Width)
	threads := min(256, 32*ceil(width, 32))
	return Launch{
		Kernel:  Kernel{Source: "elementwise", Name: name},
		Params:  paramBytes(p),
		Groups:  Size{ceil(width, threads), rows, 1},
		Threads: Size{threads, 1, 1},
		Read:    int64(4*rows*width + 4*rows),
		Written: int64(4 * rows * width),
	}
}
