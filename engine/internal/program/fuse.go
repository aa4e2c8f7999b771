package program

import "slices"

// Fused is ops that an executor may run as one. The tensors they pass among
// themselves, if nothing else reads them, need not be written; they have a place
// all the same, so that an executor may run the ops one by one for the steps where
// that is better.
type Fused struct {
	Rule string // its name in Fusions
	Ops  []Op   // in an order in which they can run
}

// Reads lists what the ops read that none of them writes.
func (f *Fused) Reads() (list []Tensor) {
	written := f.Writes()
	for _, op := range f.Ops {
		for _, t := range op.Reads() {
			if !slices.Contains(written, t) && !slices.Contains(list, t) {
				list = append(list, t)
			}
		}
	}
	return list
}

// Writes lists what the ops write, what they pass among themselves included.
func (f *Fused) Writes() (list []Tensor) {
	for _, op := range f.Ops {
		list = append(list, op.Writes()...)
	}
	return list
}

// Fusion is a rule of Fusions.
type Fusion struct {
	Name string
	// What says which ops become one.
	What string

	// match returns the ops that op, which is op number i, can be fused with, itself
	// among them, in order; nil if the rule does not apply. early tells that
	// the fused op takes the place of i, else that of its last op.
	match func(m *fuser, i int, op Op) []int
	early bool
}

// Fusions is the table: all that Fuse does, tried in this order at each op.
// Executors say what they can run; tests count what became of each rule.
var Fusions = []Fusion{
	{Name: "qkv", What: "two or three projections of one tensor, and the RMSNorm before them", match: (*fuser).qkv, early: true},
	{Name: "glu", What: "a GLU, the projections of gate and up, and the RMSNorm before them", match: (*fuser).glu},
	{Name: "glu_experts", What: "a GLU and the experts' projections of gate and up", match: (*fuser).gluExperts},
	{Name: "rope_store", What: "StoreKV and the RoPE of its keys", match: (*fuser).ropeStore},
	{Name: "combine_experts", What: "a CombineExperts, the experts' projection before it, and the Add after it", match: (*fuser).combineExperts},
	{Name: "project_add", What: "Add and a projection before it", match: (*fuser).projectAdd},
	{Name: "norm_project", What: "a projection and the RMSNorm before it", match: (*fuser).normProject},
}

// fuser knows who writes and who reads each tensor.
type fuser struct {
	p       *Program
	writer  []int // by Tensor.ID, the number of the op; that of the caller if no op writes it
	readers [][]int
	taken   []bool // ops that are part of a fused one; never the caller
}

// Fuse returns the program with ops fused by the table, where can agrees. The
// program itself stays as it is.
func (p *Program) Fuse(can func(*Fused) bool) *Program {
	m := &fuser{p: p, writer: make([]int, len(p.Tensors)), readers: make([][]int, len(p.Tensors)), taken: make([]bool, len(p.Ops)+1)}
	for i := range m.writer {
		m.writer[i] = len(p.Ops)
	}
	for i, op := range p.Ops {
		for _, t := range op.Writes() {
			m.writer[t.id] = i
		}
		for _, t := range op.Reads() {
			if r := m.readers[t.id]; len(r) == 0 || r[len(r)-1] != i {
				m.readers[t.id] = append(r, i)
			}
		}
	}
	for _, t := range []Tensor{p.Result, p.Hidden} {
		m.readers[t.id] = append(m.readers[t.id], len(p.Ops)) // the caller
	}
	at := make([]*Fused, len(p.Ops))
	for i, op := range p.Ops {
		for _, rule := range Fusions {
			if m.taken[i] {
				break
			}
			members := rule.match(m, i, op)
			if members == nil || slices.ContainsFunc(members, func(j int) bool { return m.taken[j] }) {
				continue
			}
			f := &Fused{Rule: rule.Name}
			for _, j := range members {
				f.Ops = append(f.Ops, p.Ops[j])
			}
			if !can(f) {
				continue
			}
			place := i
			if !rule.early {
				place = slices.Max(members)
			}
			at[place] = f
			for _, j := range members {
				m.taken[j] = true
			}
		}
	}
	out := *p
	out.Ops = nil
	for i, op := range p.Ops {
		switch {
		case at[i] != nil:
			out.Ops = append(out.Ops, at[i])
		case !m.taken[i]:
			out.Ops = append(out.Ops, op)
		}
	}
	return &out
}

// only reports whether nothing but the ops given reads t.
func (m *fuser) only(t Tensor, ops ...int) bool { return slices.Equal(m.readers[t.id], ops) }

// norm is the number of the RMSNorm of whole rows that writes t, if the ops given
// are all that read it and it has a weight and no bias; otherwise -1.
func (m *fuser) norm(t Tensor, ops ...int) int {
	i := m.writer[t.id]
	n, ok := m.at(i).(*RMSNorm)
	if ok && !m.taken[i] && n.Group == m.p.Info(t).Width && n.Norm.Weight != nil && n.Norm.Bias == nil && m.only(t, ops...) {
		return i
	}
	return -1
}

// before puts a norm, if there is one, before the ops that read it.
func before(norm int, ops ...int) []int {
	if norm < 0 {
		return ops
	}
	return append([]int{norm}, ops...)
}

func (m *fuser) qkv(i int, op Op) []int {
	first, ok := op.(*Project)
	if !ok {
		return nil
	}
	var list []int
	for _, j := range m.readers[first.X.id] {
		if p, ok := m.at(j).(*Project); ok && j >= i && !m.taken[j] && !m.feedsGLU(p) {
			list = append(list, j)
		}
	}
	if len(list) < 2 || len(list) > 3 || list[0] != i {
		return nil
	}
	return before(m.norm(first.X, list...), list...)
}

// at is op number j, nil for the caller.
func (m *fuser) at(j int) Op {
	if j == len(m.p.Ops) {
		return nil
	}
	return m.p.Ops[j]
}

// feedsGLU reports whether a GLU alone reads the projection.
func (m *fuser) feedsGLU(p *Project) bool {
	r := m.readers[p.Out.id]
	if len(r) != 1 {
		return false
	}
	_, ok := m.at(r[0]).(*GLU)
	return ok
}

func (m *fuser) glu(i int, op Op) []int {
	o, ok := op.(*GLU)
	if !ok || o.Gate == o.Up || !m.only(o.Gate, i) || !m.only(o.Up, i) {
		return nil
	}
	g, u := m.writer[o.Gate.id], m.writer[o.Up.id]
	gate, ok := m.at(g).(*Project)
	up, ok2 := m.at(u).(*Project)
	if !ok || !ok2 || gate.X != up.X {
		return nil
	}
	return before(m.norm(gate.X, min(g, u), max(g, u)), g, u, i)
}

func (m *fuser) gluExperts(i int, op Op) []int {
	o, ok := op.(*GLU)
	if !ok || o.Gate == o.Up || !m.only(o.Gate, i) || !m.only(o.Up, i) {
		return nil
	}
	g, u := m.writer[o.Gate.id], m.writer[o.Up.id]
	gate, ok := m.at(g).(*ProjectExperts)
	up, ok2 := m.at(u).(*ProjectExperts)
	if !ok || !ok2 || gate.X != up.X || gate.Experts != up.Experts {
		return nil
	}
	return []int{g, u, i}
}

func (m *fuser) ropeStore(i int, op Op) []int {
	s, ok := op.(*StoreKV)
	if !ok || !m.only(s.K, i) {
		return nil
	}
	r := m.writer[s.K.id]
	if _, ok := m.at(r).(*RoPE); !ok {
		return nil
	}
	return []int{r, i}
}

func (m *fuser) projectAdd(i int, op Op) []int {
	a, ok := op.(*Add)
	if !ok || a.A == a.B {
		return nil
	}
	for _, t := range []Tensor{a.B, a.A} {
		p := m.writer[t.id]
		if _, ok := m.at(p).(*Project); ok && !m.taken[p] && m.only(t, i) {
			return []int{p, i}
		}
	}
	return nil
}

func (m *fuser) combineExperts(i int, op Op) []int {
	switch op := op.(type) {
	case *CombineExperts:
		if p := m.writer[op.X.id]; !m.feedsAdd(op.Out) && m.projectsExperts(p, op.X, i) {
			return []int{p, i}
		}
	case *Add:
		if op.A == op.B {
			return nil
		}
		for _, t := range []Tensor{op.B, op.A} {
			c := m.writer[t.id]
			o, ok := m.at(c).(*CombineExperts)
			if ok && !m.taken[c] && m.only(t, i) && m.projectsExperts(m.writer[o.X.id], o.X, c) {
				return []int{m.writer[o.X.id], c, i}
			}
		}
	}
	return nil
}

// projectsExperts reports whether op p is an experts' projection of a row for each
// token and expert, whose result t only op reader reads.
func (m *fuser) projectsExperts(p int, t Tensor, reader int) bool {
	o, ok := m.at(p).(*ProjectExperts)
	return ok && !m.taken[p] && m.p.Info(o.X).Repeat == m.p.Info(t).Repeat && m.only(t, reader)
}

func (m *fuser) normProject(i int, op Op) []int {
	p, ok := op.(*Project)
	if !ok || m.feedsAdd(p.Out) {
		return nil
	}
	n := m.norm(p.X, i)
	if n < 0 {
		return nil
	}
	return []int{n, i}
}

// feedsAdd reports whether an Add alone reads t: it will want the op that writes it.
func (m *fuser) feedsAdd(t Tensor) bool {
	r := m.readers[t.id]
	if len(r) != 1 {
		return false
	}
	_, ok := m.at(r[0]).(*Add)
	return ok
}
