package ref

import "github.com/gollm/gollm/engine/internal/program"

func (r *runner) embed(op *program.Embed) (func(), int, error) {
	table, err := newWeights(op.Table)
	out := r.matrix(op.Out)
	return func() {
		for i, t := range r.step.Tokens {
			copy(out.row(i), table.row(int(t), r.row[0]))
		}
	}, table.Tensor.Cols(), err
}

func (r *runner) embedPosition(op *program.EmbedPosition) (func(), int, error) {
	table, err := newWeights(op.Table)
	out := r.matrix(op.Out)
	return func() {
		for i, p := range r.step.Positions {
			// Beyond the learned positions there is nothing to look up; the engine
			// bounds the context by the model's.
			p = min(p, int32(table.Rows()-1))
			copy(out.row(i), table.row(int(p), r.row[0]))
		}
	}, table.Tensor.Cols(), err
}
