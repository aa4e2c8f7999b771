package gpu

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/shaders"
)

// canFuse reports whether there is a kernel for fused ops, with these types and
// optional parts. That it is not always used (some take up to MaxColumns rows) is
// decided when a shape is lowered.
func canFuse(f *program.Fused) bool {
	ops := f.Ops
	if _, ok := ops[0].(*program.RMSNorm); ok {
		ops = ops[1:]
	}
	switch f.Rule {
	case "qkv":
		_, ok := qkvOrder(ops)
		return ok
	case "glu", "glu_experts":
		gate, up := linearOf(ops[0]), linearOf(ops[1])
		return gate.Weight.Type == up.Weight.Type && gate.Weight.Rows() == up.Weight.Rows() && (gate.Bias == nil) == (up.Bias == nil) &&
			(gate.Scale == nil) == (up.Scale == nil) && gate.ScaleBias == up.ScaleBias
	}
	return true
}

// linearOf is a projection's weights.
func linearOf(op program.Op) program.Linear {
	if p, ok := op.(*program.ProjectExperts); ok {
		return p.Linear
	}
	return op.(*program.Project).Linear
}

// qkvOrder puts two or three projections in the order in which a kernel has
// them, the one of another type last.
func qkvOrder(ops []program.Op) (list []*program.Project, ok bool) {
	for _, op := range ops {
		list = append(list, op.(*program.Project))
	}
	typ := func(i int) gguf.Type { return list[i].Linear.Weight.Type }
	last := len(list) - 1
	if last == 2 && typ(0) != typ(1) {
		odd := 0 // the first two are of one type; if the third is of neither, no order will do
		if typ(0) == typ(2) {
			odd = 1
		}
		list[odd], list[2] = list[2], list[odd]
	}
	for _, p := range list {
		if p.Linear.Scale != nil || (p.Linear.Bias == nil) != (list[0].Linear.Bias == nil) {
			return nil, false
		}
	}
	t, err := typeOf(list[0].Linear.Weight)
	u, err2 := typeOf(list[last].Linear.Weight)
	return list, err == nil && err2 == nil && typ(0) == typ(1) && (last == 2 || t == u) && shaders.CanMatVecQKV(t, u)
}

// fused lowers fused ops: as one launch if there is a kernel for this many rows,
// else one by one.
func (l *lowering) fused(f *program.Fused) error {
	ops := f.Ops
	norm, _ := ops[0].(*program.RMSNorm)
	if norm != nil {
		ops = ops[1:]
	}
	l.op, l.rule = ops[0], f.Rule
	switch f.Rule {
	case "qkv":
		if list, _ := qkvOrder(ops); l.rows(list[0].X) <= shaders.MaxColumns {
			return l.qkv(norm, list)
		}
	case "glu":
		gate, up := ops[0].(*program.Project), ops[1].(*program.Project)
		if l.rows(gate.X) <= shaders.MaxColumns {
			return l.gluProject(norm, gate.X, gate.Linear, up.Linear, program.Tensor{}, ops[2].(*program.GLU))
		}
	case "glu_experts":
		gate, up := ops[0].(*program.ProjectExperts), ops[1].(*program.ProjectExperts)
		if l.rows(gate.Experts) < groupTokens {
			return l.gluProject(nil, gate.X, gate.Linear, up.Linear, gate.Experts, ops[2].(*program.GLU))
		}
	case "rope_store":
		return l.ropeStore(ops[0].(*program.RoPE), ops[1].(*program.StoreKV))
	case "project_add":
		p, add := ops[0].(*program.Project), ops[1].(*program.Add)
		return l.projectWith(p, nil, other(add, p.Out), add.Out)
	case "combine_experts":
		return l.combineExperts(f)
	case "norm_project":
		if p := ops[0].(*program.Project); l.rows(p.X) <= shaders.MaxColumns {
			return l.projectWith(p, norm, program.Tensor{}, p.Out)
		}
	}
	l.rule = ""
	for _, op := range f.Ops {
		l.op = op
		if err := l.lower(); err != nil {
			return err
		}
	}
	return nil
}

// other is what a sum adds to t.
func other(a *program.Add, t program.Tensor) program.Tensor {
	if a.A == t {
		return a.B
	}
	return a.A
}

// normed binds the input of a projection: x, or what norm reads with its
// weights.
func (l *lowering) normed(list []binding, index int, x program.Tensor, weights int, norm *program.RMSNorm) ([]binding, float32, error) {
	if norm == nil {
		return append(list, l.in(index, x)), 0, nil
	}
	list, err := l.vectors(append(list, l.in(index, norm.X)), weights, norm.Norm.Weight)
	return list, norm.Norm.Eps, err
}

func (l *lowering) qkv(norm *program.RMSNorm, list []*program.Project) error {
	var p shaders.MatVecQKVParams
	var types [3]shaders.Type
	var b []binding
	for i, m := range list {
		typ, err := typeOf(m.Linear.Weight)
		if err != nil {
			return err
		}
		types[i] = typ
		b = append(b, l.weight(shaders.QKVWeights+i, m.Linear.Weight), l.out(shaders.QKVOut+i, m.Out))
		if b, err = l.vectors(b, shaders.QKVBias+i, m.Linear.Bias); err != nil {
			return err
		}
		*[]*uint32{&p.Rows0, &p.Rows1, &p.Rows2}[i] = uint32(m.Linear.Weight.Rows())
	}
	if len(list) == 2 {
		types[2] = types[0]
	}
	b, eps, err := l.normed(b, shaders.QKVX, list[0].X, shaders.QKVNorm, norm)
	p.Width, p.Eps = uint32(list[0].Linear.Weight.Cols()), eps
	l.emitTyped(types[0], types[2], shaders.MatVecQKV(types[0], types[2], p, list[0].Linear.Bias != nil, norm != nil, l.rows(list[0].X)), b...)
	return err
}

// gluProject lowers act(gate·x)·(up·x): of some rows, or of each token and expert.
func (l *lowering) gluProject(norm *program.RMSNorm, x program.Tensor, gate, up program.Linear, experts program.Tensor, glu *program.GLU) error {
	w := gate.Weight
	typ, err := typeOf(w)
	if err != nil {
		return err
	}
	b := []binding{l.weight(shaders.GLUGate, w), l.weight(shaders.GLUUp, up.Weight), l.out(shaders.GLUOut, glu.Out)}
	b, err = l.vectors(b, shaders.GLUGateBias, gate.Bias, up.Bias, gate.Scale, up.Scale)
	if err != nil {
		return err
	}
	b, eps, err := l.normed(b, shaders.GLUX, x, shaders.GLUNorm, norm)
	rows, byID := l.rows(glu.Out), !experts.None()
	p := shaders.MatVecGLUParams{Width: uint32(w.Dims[0]), Rows: uint32(w.Dims[1]), Experts: 1, Repeat: uint32(rows / l.rows(x)), Eps: eps}
	if byID {
		b = append(b, l.in(shaders.GLUIDs, experts))
		p.Experts = uint32(w.Dims[2])
	}
	parts := shaders.Parts{Bias: gate.Bias != nil, Scale: gate.Scale != nil, ScaleBias: gate.ScaleBias, Norm: norm != nil}
	l.emitTyped(typ, typ, shaders.MatVecGLU(typ, p, parts, uint32(glu.Act), byID, rows), b...)
	return err
}

func (l *lowering) ropeStore(r *program.RoPE, s *program.StoreKV) error {
	rotation, table, err := l.rotation(r.Rope, r.Head)
	c := l.caches[s.Layer]
	l.emit(shaders.StoreKV(l.tokens, l.width(s.K), l.width(s.V), cacheType(l.kv.Type), &rotation),
		l.in(shaders.StoreK, r.X), l.in(shaders.StoreV, s.V), binding{shaders.StoreKeys, c.keys, writes}, binding{shaders.StoreValues, c.values, writes},
		l.stepped(shaders.StoreSlots, l.step.slots), binding{shaders.StoreFrequencies, table, constant}, l.stepped(shaders.StorePositions, l.step.positions))
	return err
}
