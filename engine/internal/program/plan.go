package program

import "sort"

// Layout places every tensor of a program in one scratch arena. Tensors that
// are never alive at the same time share memory.
type Layout struct {
	Offsets []int // by Tensor.ID, in 4-byte elements
	Size    int   // elements of the arena
}

// align keeps each tensor on its own cache lines: 64 bytes.
const align = 16

// Rows returns how many rows a tensor has at most under the limits.
func (i Info) MaxRows(l Limits) int {
	if i.Rows == PerOutput {
		return l.Outputs * i.Repeat
	}
	return l.Tokens * i.Repeat
}

// Layout computes the placement for steps within the limits: each tensor gets
// the lowest gap that is free from the op that writes it to the last op that
// reads it. An op's outputs never overlap its inputs.
func (p *Program) Layout(l Limits) Layout {
	last := p.lastReads()
	type span struct{ from, to, until int }
	var live []span // sorted by from
	out := Layout{Offsets: make([]int, len(p.Tensors))}
	for i, op := range p.Ops {
		keep := live[:0]
		for _, s := range live {
			if s.until >= i {
				keep = append(keep, s)
			}
		}
		live = keep
		for _, t := range op.Writes() {
			if t == p.Hidden {
				continue // it has memory of its own
			}
			info := p.Info(t)
			n := (info.MaxRows(l)*info.Width + align - 1) / align * align
			at := 0
			for _, s := range live {
				if at+n <= s.from {
					break
				}
				at = max(at, s.to)
			}
			out.Offsets[t.id] = at
			out.Size = max(out.Size, at+n)
			live = append(live, span{at, at + n, last[t.id]})
			sort.Slice(live, func(a, b int) bool { return live[a].from < live[b].from })
		}
	}
	return out
}
