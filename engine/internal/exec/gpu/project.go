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
	l.emitTyped(pipelineKey{typ: typ, typed: true}, s, l.weight(shaders.EmbedTable, table), ids, l.out(shaders.EmbedOut, out))
	return nil
}

func (l *lowering) project(op *program.Project) error {
	w := op.Linear.Weight
	typ, err := typeOf(w)
	if err != nil {
		return err
	}
	parts := shaders.Parts{Bias: op.Linear.Bias != nil, Scale: op.Linear.Scale != nil, ScaleBias: op.Linear.ScaleBias}
	optional, err := l.vectors(nil, shaders.LinearBias, op.Linear.Bias, op.Linear.Scale)
	if err != nil {
		return err
	}
	p := shaders.MatVecParams{Width: uint32(w.Cols()), Rows: uint32(w.Rows())}
	rows := l.rows(op.X)
	for at := 0; at < rows; at += shaders.MaxColumns {
		n := min(rows-at, shaders.MaxColumns)
		s := shaders.MatVecN(typ, p, parts, n)
		if n == 1 {
			s = shaders.MatVec(typ, p, parts)
		}
		list := append([]binding{l.weight(shaders.LinearWeights, w), l.slice(l.in(shaders.LinearX, op.X), op.X, at, n),
			l.slice(l.out(shaders.LinearOut, op.Out), op.Out, at, n)}, optional...)
		l.emitTyped(pipelineKey{typ: typ, typed: true}, s, list...)
	}
	return nil
}
