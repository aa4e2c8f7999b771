package ref

import (
	"math"

	"github.com/gollm/gollm/engine/internal/program"
)

func (r *runner) route(op *program.Route) (func(), int, error) {
	x, experts, weights := r.matrix(op.X), r.matrix(op.Experts), r.matrix(op.Weights)
	bias, err := vector(op.Bias)
	k := weights.width
	gated := make([]float32, x.width)
	return func() {
		for i := range r.count(x) {
			logits, chosen, w := x.row(i), experts.indices(i), weights.row(i)
			switch op.Gating {
			case program.GateSoftmax:
				softmax(gated, logits)
			case program.GateSigmoid:
				for j, v := range logits {
					gated[j] = float32(sigmoid(float64(v)))
				}
			case program.GateSoftmaxSelected:
				copy(gated, logits)
			}
			choose(chosen, gated, bias)
			for j, e := range chosen {
				w[j] = gated[e]
			}
			if op.Gating == program.GateSoftmaxSelected {
				softmax(w, w)
			}
			if op.Normalise {
				sum := float32(0)
				for _, v := range w[:k] {
					sum += v
				}
				for j := range w {
					// The floor is what llama.cpp divides by when all weights vanish: the
					// smallest normal half.
					w[j] /= max(sum, 6.103515625e-5)
				}
			}
			if op.Scale != 0 {
				for j := range w {
					w[j] *= op.Scale
				}
			}
		}
	}, 0, err
}

// softmax writes eˣ/Σeˣ to dst, which may be x.
func softmax(dst, x []float32) {
	top := x[0]
	for _, v := range x {
		top = max(top, v)
	}
	sum := float32(0)
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v - top)))
		sum += dst[i]
	}
	for i := range dst {
		dst[i] /= sum
	}
}

// choose fills chosen with the indices of the largest values of x+bias, the
// largest first.
func choose(chosen []int32, x, bias []float32) {
	for n := range chosen {
		best, value := int32(-1), float32(0)
		for e, v := range x {
			if bias != nil {
				v += bias[e]
			}
			if (best < 0 || v > value) && !contains(chosen[:n], int32(e)) {
				best, value = int32(e), v
			}
		}
		chosen[n] = best
	}
}

func contains(s []int32, v int32) bool {
	for _, x := range s {
		if x == v {
			return true
		}
	}
	return false
}

func (r *runner) projectExperts(op *program.ProjectExperts) (func(), int, error) {
	x, experts, out := r.matrix(op.X), r.matrix(op.Experts), r.matrix(op.Out)
	w, err := newWeights(op.Linear.Weight)
	if err != nil {
		return nil, 0, err
	}
	finish, err := newFinish(op.Linear)
	k, cols := experts.width, w.Cols()
	// Goroutines share out the outputs; a row of an expert is decoded for each
	// token that uses it.
	each := func(worker, from, to int) {
		for i := range r.count(experts) {
			for j, e := range experts.indices(i) {
				src := x.row(i)
				if x.repeat == k && k > 1 {
					src = x.row(i*k + j)
				}
				dst := out.row(i*k + j)
				for o := from; o < to; o += 4 {
					rows := min(4, to-o)
					var row [4][]float32
					for n := range rows {
						row[n] = w.row(int(e)*out.width+o+n, r.row[worker][n*cols:])
					}
					y := dotRows(src, row[:rows])
					for n := range rows {
						scale, bias := finish.at(int(e), int(e)*out.width+o+n)
						dst[o+n] = y[n]*scale + bias
					}
				}
			}
		}
	}
	return func() { r.pool.each(out.width, 16, each) }, 4 * cols, err
}

func (r *runner) combineExperts(op *program.CombineExperts) func() {
	x, weights, out := r.matrix(op.X), r.matrix(op.Weights), r.matrix(op.Out)
	return func() {
		for i := range r.count(out) {
			dst := out.row(i)
			clear(dst)
			for j, w := range weights.row(i) {
				for c, v := range x.row(i*weights.width + j) {
					dst[c] += w * v
				}
			}
		}
	}
}
