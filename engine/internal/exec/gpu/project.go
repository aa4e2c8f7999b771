package gpu

import (
	"fmt"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/shaders"
)

// typeOf is a weight's type as the kernels know it.
func typeOf(t *gguf.Tensor) (shaders.Type, error) {
	typ, ok := shaders.TypeNamed(t.Type.String())
	if !ok {
		return 0, fmt.Errorf("tensor %q has type %s, which the GPU's kernels do not read", t.Name, t.Type)
	}
	return typ, nil
}

// weight binds a tensor as it is in the file.
func (l *lowering) weight(index int, t *gguf.Tensor) binding {
	return binding{index, l.e.weights.tensor(t), constant}
}

func (l *lowering) embed(table *gguf.Tensor, ids binding, out program.Tensor) error {
	typ, err := typeOf(table)
	if err != nil {
		return err
	}
	s := shaders.Embed(typ, shaders.EmbedParams{Width: uint32(table.Cols()), Rows: uint32(table.Rows()), Count: uint32(l.tokens)})
	l.emitTyped(typ, typ, s, l.weight(shaders.EmbedTable, table), ids, l.out(shaders.EmbedOut, out))
	return nil
}

// projectWith lowers a projection, with what is fused with it: the norm before
// it, or a residual added.
func (l *lowering) projectWith(op *program.Project, norm *program.RMSNorm, residual, out program.Tensor) error {
	w := op.Linear.Weight
	typ, err := typeOf(w)
	if err != nil {
		return err
	}
	list, err := l.vectors([]binding{l.weight(shaders.LinearWeights, w), l.out(shaders.LinearOut, out)}, shaders.LinearBias, op.Linear.Bias, op.Linear.Scale)
	if err != nil {
		return err
	}
	list, eps, err := l.normed(list, shaders.LinearX, op.X, shaders.LinearNorm, norm)
	if err != nil {
		return err
	}
	if !residual.None() {
		list = append(list, l.in(shaders.LinearResidual, residual))
	}
	parts := shaders.Parts{Bias: op.Linear.Bias != nil, Scale: op.Linear.Scale != nil, ScaleBias: op.Linear.ScaleBias, Residual: !residual.None(), Norm: norm != nil}
	l.emitTyped(typ, typ, linear(typ, w.Cols(), w.Rows(), l.rows(op.X), eps, parts), list...)
	return nil
}

// linear picks a projection's kernel by the number of rows of activations.
func linear(typ shaders.Type, width, rows, columns int, eps float32, parts shaders.Parts) shaders.Launch {
	p := shaders.MatVecParams{Width: uint32(width), Rows: uint32(rows), Eps: eps}
	switch {
	case columns == 1:
		return shaders.MatVec(typ, p, parts)
	case columns <= shaders.MaxColumns:
		return shaders.MatVecN(typ, p, parts, columns)
	}
	return shaders.MatMul(typ, shaders.MatMulParams{Width: p.Width, Rows: p.Rows, Columns: uint32(columns), Eps: eps}, parts)
}
