package sample

import (
	"cmp"
	"math"
	"slices"
)

// candidate is a token that may still be picked.
type candidate struct {
	id    int32
	logit float32
	p     float64 // probability among the candidates, where a filter needs it
	key   float64 // what typical orders by
}

// candidates are the tokens left. Filters
// that need the first few in an order sort only those: with a vocabulary of 262,144 and top-p
// alone, a heap finds the handful that matters a hundred times faster than a
// sort.
type candidates struct {
	all []candidate
	buf []candidate
}

// before is the order of picking: larger logits first, lower ids first among
// equals.
func before(a, b candidate) int {
	if c := cmp.Compare(b.logit, a.logit); c != 0 {
		return c
	}
	return cmp.Compare(a.id, b.id)
}

// fill takes the k tokens of the largest logits, sorted; or all, unsorted, if
// k is 0.
func (c *candidates) fill(logits []float32, k int) {
	c.all = c.all[:0]
	if k <= 0 || k >= len(logits) {
		for i, v := range logits {
			if v > float32(math.Inf(-1)) {
				c.all = append(c.all, candidate{id: int32(i), logit: v})
			}
		}
		return
	}
	// A heap of the k best so far with the worst on top. Nearly all logits are no
	// larger than that one's: among equals the one that is there has the lower id.
	worst := func(a, b candidate) bool { return before(a, b) > 0 }
	least := float32(math.Inf(-1)) // what is not larger is out
	for i, v := range logits {
		if v <= least {
			continue
		}
		x := candidate{id: int32(i), logit: v}
		if len(c.all) < k {
			c.all = append(c.all, x)
			up(c.all, worst)
		} else {
			c.all[0] = x
			down(c.all, 0, worst)
		}
		if len(c.all) == k {
			least = c.all[0].logit
		}
	}
	slices.SortFunc(c.all, before)
}

// softmax fills in the candidates' probabilities.
func (c *candidates) softmax(temperature float64) {
	top := c.all[0].logit
	for _, x := range c.all {
		top = max(top, x.logit)
	}
	sum := 0.0
	for i := range c.all {
		x := &c.all[i]
		x.p = math.Exp(float64(x.logit-top) / temperature)
		sum += x.p
	}
	for i := range c.all {
		c.all[i].p /= sum
	}
}

// prefix keeps candidates in the given order for as long as more says so of the
// sum of the kept ones' probabilities.
func (c *candidates) prefix(first func(a, b candidate) bool, minKeep int, more func(sum float64) bool) {
	heap := c.all
	for i := len(heap)/2 - 1; i >= 0; i-- {
		down(heap, i, first)
	}
	c.buf = c.buf[:0]
	for sum := 0.0; len(heap) > 0 && (len(c.buf) < minKeep || more(sum)); {
		c.buf = append(c.buf, heap[0])
		sum += heap[0].p
		heap[0] = heap[len(heap)-1]
		heap = heap[:len(heap)-1]
		down(heap, 0, first)
	}
	c.all, c.buf = c.buf, c.all
}

// topP keeps the fewest of the most likely whose probabilities reach p.
func (c *candidates) topP(p float64, minKeep int) {
	c.softmax(1)
	c.prefix(func(a, b candidate) bool { return before(a, b) < 0 }, minKeep, func(sum float64) bool { return sum < p })
}

// minP keeps what is at least p times as likely as the most likely.
func (c *candidates) minP(p float64, minKeep int) {
	top := c.all[0].logit
	for _, x := range c.all {
		top = max(top, x.logit)
	}
	least := top + float32(math.Log(p))
	kept := 0
	for _, x := range c.all {
		if x.logit >= least {
			kept++
		}
	}
	if kept < minKeep {
		slices.SortFunc(c.all, before)
		c.all = c.all[:min(minKeep, len(c.all))]
		return
	}
	c.all = slices.DeleteFunc(c.all, func(x candidate) bool { return x.logit < least })
}

// typical keeps the fewest whose probabilities reach p, those first whose
// information is nearest to the distribution's entropy.
func (c *candidates) typical(p float64, minKeep int) {
	c.softmax(1)
	entropy := 0.0
	for _, x := range c.all {
		if x.p > 0 {
			entropy -= x.p * math.Log(x.p)
		}
	}
	for i := range c.all {
		x := &c.all[i]
		x.key = math.Abs(-math.Log(x.p) - entropy)
	}
	c.prefix(func(a, b candidate) bool {
		return a.key < b.key || a.key == b.key && before(a, b) < 0
	}, minKeep, func(sum float64) bool { return sum <= p })
}

// most returns the most likely candidate.
func (c *candidates) most() int32 {
	return slices.MinFunc(c.all, before).id
}

// draw picks a candidate at the temperature; u is uniform in [0, 1).
func (c *candidates) draw(temperature, u float64) int32 {
	c.softmax(temperature)
	for _, x := range c.all {
		if u -= x.p; u < 0 {
			return x.id
		}
	}
	return c.most() // u within rounding of 1
}

// up and down restore a binary heap with the first of an order on top, after
// its last, or its i-th element has changed.
func up(h []candidate, first func(a, b candidate) bool) {
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !first(h[i], h[parent]) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func down(h []candidate, i int, first func(a, b candidate) bool) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && first(h[child+1], h[child]) {
			child++
		}
		if !first(h[child], h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
