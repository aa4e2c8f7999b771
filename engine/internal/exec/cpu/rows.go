package cpu

import "github.com/gollm/gollm/engine/internal/program"

// tokens is the number of tokens, for steps with an item a token.
func (r *runner) tokens() int { return r.n }

func (r *runner) embed(op *program.Embed) error {
	w, err := newTable(op.Table)
	out := r.matrix(op.Out)
	r.addRows(func(_ *worker, i int) { r.floats(w, out.row(i), int(r.step.Tokens[i]), 0) }, out)
	return err
}

func (r *runner) embedPosition(op *program.EmbedPosition) error {
	w, err := newTable(op.Table)
	out := r.matrix(op.Out)
	r.addRows(func(_ *worker, i int) {
		// Beyond the learned positions there is nothing to look up; the engine
		// bounds the context by the model's.
		r.floats(w, out.row(i), min(int(r.step.Positions[i]), w.Rows()-1), 0)
	}, out)
	return err
}

func (r *runner) split(op *program.Split) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	r.addRows(func(_ *worker, i int) { copy(out.row(i), x.row(i)[op.From:]) }, out, x)
}

func (r *runner) selectOutputs(op *program.SelectOutputs) {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	r.add(r.counter(out), func(_ *worker, i int) { copy(out.row(i), x.row(int(r.step.Outputs[i]))) })
}
