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
	s := shaders.Embed(typ, shaders.EmbedParams{Width: uint32(table.Cols()), Rows: uint32(table.Rows()), Count: uint32(l.tokens), Scale: 1})
	l.emitTyped(typ, s, l.weight(shaders.EmbedTable, table), ids, l.out(shaders.EmbedOut, out))
	return nil
}

func (l *lowering) project(op *program.Project) error {
	w := op.Linear.Weight
	typ, err := typeOf(w)
	if err != nil {
		return err
	}
	parts := shaders.Parts{Bias: op.Linear.Bias != nil, Scale: op.Linear.Scale != nil, ScaleBias: op.Linear.ScaleBias}
	list, err := l.vectors([]binding{l.weight(shaders.LinearWeights, w), l.in(shaders.LinearX, op.X), l.out(shaders.LinearOut, op.Out)},
		shaders.LinearBias, op.Linear.Bias, op.Linear.Scale)
	if err != nil {
		return err
	}
	l.emitTyped(typ, linear(typ, w.Cols(), w.Rows(), l.rows(op.X), parts), list...)
	return nil
}

// linear picks a projection's kernel by the number of rows of activations.
func linear(typ shaders.Type, width, rows, columns int, parts shaders.Parts) shaders.Launch {
	p := shaders.MatVecParams{Width: uint32(width), Rows: uint32(rows)}
	switch {
	case columns == 1:
		return shaders.MatVec(typ, p, parts)
	case columns <= shaders.MaxColumns:
		return shaders.MatVecN(typ, p, parts, columns)
	}
	return shaders.MatMul(typ, shaders.MatMulParams{Width: p.Width, Rows: p.Rows, Columns: uint32(columns)}, parts)
}
