package cpu

import (
	"slices"

	"github.com/gollm/gollm/engine/internal/program"
)

// groups is the pairs of a token and an expert that it chose, by expert: an
// expert's weights are then multiplied with all its tokens at once.
type groups struct {
	chosen        matrix // [tokens] of experts
	each, experts int    // experts a token chooses, and that there are
	order         []int32
	start, panel  []int32 // [experts+1]: of each expert its first in order, and its first panel
}

// groupsOf returns the groups by a Route's choice; the first time it adds the step
// that makes them.
func (r *runner) groupsOf(t program.Tensor, experts int) *groups {
	if g := r.groups[t]; g != nil {
		return g
	}
	x := r.matrix(t)
	g := &groups{
		chosen: x, each: x.width, experts: experts,
		order: make([]int32, r.maxRows(t)*x.width), start: make([]int32, experts+1), panel: make([]int32, experts+1),
	}
	r.groups[t] = g
	r.add(func() int {
		if g.many(r) {
			return 1
		}
		return 0
	}, func(*worker, int) { g.sort(r) })
	return g
}

// many tells that experts have more tokens, one with another, than are multiplied one
// by one.
func (g *groups) many(r *runner) bool { return r.count(g.chosen)*g.each > few*g.experts }

func (g *groups) sort(r *runner) {
	n := r.count(g.chosen)
	clear(g.start)
	for i := range n {
		for _, e := range g.chosen.indices(i) {
			g.start[e+1]++
		}
	}
	columns := int32(r.Columns)
	for e := range g.experts {
		g.panel[e+1] = g.panel[e] + (g.start[e+1]+columns-1)/columns
		g.start[e+1] += g.start[e]
	}
	for i := n - 1; i >= 0; i-- {
		for j, e := range g.chosen.indices(i) {
			g.start[e+1]--
			g.order[g.start[e+1]] = int32(i*g.each + j)
		}
	}
	// Each end has become its expert's beginning.
	copy(g.start, g.start[1:])
	g.start[g.experts] = int32(n * g.each)
}

// panels is the number of panels in this step.
func (g *groups) panels(r *runner) int {
	if !g.many(r) {
		return 0
	}
	return int(g.panel[g.experts])
}

// rowsOfPanel returns the rows of x, which has one for each pair or for each token.
func (g *groups) rowsOfPanel(x matrix, columns, p int) rows {
	e, found := slices.BinarySearch(g.panel, int32(p))
	if !found {
		e--
	} else {
		for g.panel[e+1] == int32(p) { // those without tokens come before
			e++
		}
	}
	first := int(g.start[e]) + (p-int(g.panel[e]))*columns
	per := g.each
	if x.repeat == g.each {
		per = 1
	}
	return rows{first, min(columns, int(g.start[e+1])-first), g.order, per}
}

// of returns what a product with an expert's weights takes.
func (g *groups) of(e int) batch {
	return batch{panel: int(g.panel[e]), n: int(g.start[e+1] - g.start[e]), order: g.order[g.start[e]:g.start[e+1]]}
}
