package cpu

import (
	"math"
	"slices"

	"github.com/gollm/gollm/engine/internal/program"
)

func (r *runner) route(op *program.Route) error {
	x, experts, weights := r.matrix(op.X), r.matrix(op.Experts), r.matrix(op.Weights)
	bias, err := vector(op.Bias)
	r.need.row = max(r.need.row, x.width)
	r.add(r.counter(x), func(wk *worker, i int) {
		logits, chosen, w := x.row(i), experts.indices(i), weights.row(i)
		gated := wk.row[:len(logits)]
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
			for _, v := range w {
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
	})
	return err
}

// softmax writes eˣ/Σeˣ to dst, which may be x.
func softmax(dst, x []float32) {
	top, sum := slices.Max(x), float32(0)
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v - top)))
		sum += dst[i]
	}
	for i := range dst {
		dst[i] /= sum
	}
}

// choose fills chosen with the indices of the largest values of x+bias, the
// largest first, the lower index among equals.
func choose(chosen []int32, x, bias []float32) {
	for n := range chosen {
		best, value := int32(-1), float32(0)
		for e, v := range x {
			if bias != nil {
				v += bias[e]
			}
			if (best < 0 || v > value) && !slices.Contains(chosen[:n], int32(e)) {
				best, value = int32(e), v
			}
		}
		chosen[n] = best
	}
}

// projectExperts adds the steps of a projection by experts. Where experts have
// tokens enough an item is some rows of one expert, for all of those; otherwise for
// one token.
func (r *runner) projectExperts(op *program.ProjectExperts) error {
	x, experts, out := r.matrix(op.X), r.matrix(op.Experts), r.matrix(op.Out)
	w, err := r.newWeights(op.Linear.Weight)
	if err != nil {
		return err
	}
	finish, err := newFinish(op.Linear)
	if err != nil {
		return err
	}
	g := r.groupsOf(op.Experts, w.Rows()/out.width)
	if w.integer {
		r.roundRows(op.X, r.maxRows(op.X), func() bool { return !g.many(r) })
		r.packPanels(op.X, g)
	} else {
		r.packFloats(op.X, g)
		r.need.row = max(r.need.row, w.Cols())
	}
	r.need.columns = max(r.need.columns, r.padded(r.maxRows(op.Experts)))
	k := experts.width
	chunk := r.chunkRows(w, k*out.width)
	parts := (out.width + chunk - 1) / chunk
	span := r.rowsOfItem(out.width)
	spans := (out.width + span - 1) / span
	items := func() int {
		if g.many(r) {
			return g.experts * spans
		}
		return r.count(experts) * k * parts
	}
	r.add(items, func(wk *worker, item int) {
		if g.many(r) {
			if b := g.of(item / spans); b.n > 0 {
				from := item % spans * span
				r.product(wk, w, finish, b, out, item/spans, from, min(span, out.width-from))
			}
			return
		}
		pair, from := item/parts, item%parts*chunk
		token, to := pair/k, min(from+chunk, out.width)
		e := int(experts.indices(token)[pair%k])
		src := token
		if x.repeat == k && k > 1 {
			src = pair
		}
		y := out.row(pair)[from:to]
		r.rowsTimes(wk, w, y, e*out.width+from, x, src)
		finish.apply(y, e, e*out.width+from)
	})
	return nil
}

func (r *runner) combineExperts(op *program.CombineExperts) {
	x, weights, out := r.matrix(op.X), r.matrix(op.Weights), r.matrix(op.Out)
	r.add(r.counter(out), func(_ *worker, i int) {
		dst := out.row(i)
		clear(dst)
		for j, w := range weights.row(i) {
			for c, v := range x.row(i*weights.width + j) {
				dst[c] += w * v
			}
		}
	})
}
