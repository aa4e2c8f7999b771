package ref

import "github.com/gollm/gollm/engine/internal/program"

func (r *runner) split(op *program.Split) func() {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	return func() {
		for i := range r.count(out) {
			copy(out.row(i), x.row(i)[op.From:])
		}
	}
}

func (r *runner) selectOutputs(op *program.SelectOutputs) func() {
	x, out := r.matrix(op.X), r.matrix(op.Out)
	return func() {
		for i, o := range r.step.Outputs {
			copy(out.row(i), x.row(int(o)))
		}
	}
}
