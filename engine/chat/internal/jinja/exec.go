package jinja

func (r *run) exec(body []stmt, s *scope) flow {
	r.enter()
	for _, st := range body {
		r.step(1)
		if f := st.exec(r, s); f != flowNext {
			r.leave()
			return f
		}
	}
	r.leave()
	return flowNext
}

func (st *textStmt) exec(r *run, _ *scope) flow {
	r.write(st.s)
	return flowNext
}

func (st *printStmt) exec(r *run, s *scope) flow {
	r.line = st.line
	r.write(r.str(r.eval(st.x, s)))
	return flowNext
}

func (st *ifStmt) exec(r *run, s *scope) flow {
	r.line = st.line
	for i, body := range st.bodies {
		if i == len(st.conds) || truth(r.eval(st.conds[i], s)) {
			return r.exec(body, s)
		}
	}
	return flowNext
}

func (st *setStmt) exec(r *run, s *scope) flow {
	r.line = st.line
	st.to.assign(r, s, r.eval(st.x, s))
	return flowNext
}

func (st *setBlockStmt) exec(r *run, s *scope) flow {
	v, f := r.filtered(st.filters, st.body, s, st.line)
	if f == flowNext {
		st.to.assign(r, s, v)
	}
	return f
}

func (st *filterStmt) exec(r *run, s *scope) flow {
	v, f := r.filtered(st.filters, st.body, s, st.line)
	if f == flowNext {
		r.writeText(v)
	}
	return f
}

// filtered gives what filters make of the text of a body. A body that breaks
// out of a loop has no text.
func (r *run) filtered(filters []*filterExpr, body []stmt, s *scope, line int) (Value, flow) {
	in := &scope{parent: s}
	text, flow := r.capture(body, in)
	if flow != flowNext {
		return nil, flow
	}
	r.line = line
	v := Value(text)
	for _, f := range filters {
		v = f.apply(r, in, v)
	}
	return v, flowNext
}

// writeText writes a value that jinja2 takes for text unseen.
func (r *run) writeText(v Value) {
	s, ok := text(v)
	if !ok {
		fail("sequence item 0: expected str instance, %s found", typeName(v))
	}
	r.write(s)
}

func (st *withStmt) exec(r *run, s *scope) flow {
	r.line = st.line
	in := &scope{parent: s}
	for i, x := range st.vals {
		st.vars[i].assign(r, in, r.eval(x, s))
	}
	return r.exec(st.body, in)
}

func (st *scopeStmt) exec(r *run, s *scope) flow { return r.exec(st.body, &scope{parent: s}) }

func (breakStmt) exec(*run, *scope) flow    { return flowBreak }
func (continueStmt) exec(*run, *scope) flow { return flowContinue }

func (st *macroStmt) exec(r *run, s *scope) flow {
	s.set(r, st.name, &macro{st, s})
	return flowNext
}

func (st *callStmt) exec(r *run, s *scope) flow {
	r.line = st.line
	fn, a := st.call.prepare(r, s)
	for _, k := range a.kw {
		if k.name == "caller" {
			fail("got multiple values for keyword argument 'caller'")
		}
	}
	a.kw = append(a.kw, kwarg{"caller", &macro{st.macro, s}})
	r.writeText(r.call(fn, a))
	return flowNext
}

func (t *nameTarget) assign(r *run, s *scope, v Value) { s.set(r, t.id, v) }

func (t *attrTarget) assign(r *run, s *scope, v Value) {
	ns, ok := t.ns.eval(r, s).(*namespace)
	if !ok {
		fail("cannot assign attribute on non-namespace object")
	}
	r.slots(4)
	ns.attrs.Set(t.name, v)
}

func (t *tupleTarget) assign(r *run, s *scope, v Value) {
	items := r.items(v)
	if _, ok := v.(*undefined); ok && len(t.items) > 0 {
		fail("not enough values to unpack (expected %d, got 0)", len(t.items))
	}
	switch {
	case len(items) < len(t.items):
		fail("not enough values to unpack (expected %d, got %d)", len(t.items), len(items))
	case len(items) > len(t.items):
		fail("too many values to unpack (expected %d)", len(t.items))
	}
	for i, to := range t.items {
		to.assign(r, s, items[i])
	}
}

func (st *forStmt) exec(r *run, s *scope) flow {
	r.line = st.line
	return st.run(r, s, r.eval(st.iter, s), 0)
}

// run does the loop over the items of v. What is set in the body is gone with
// the round. The else part runs, as in jinja2, if no round came to its end; a
// break in it is one of the loop around.
func (st *forStmt) run(r *run, s *scope, v Value, depth int) flow {
	items := r.items(v)
	if st.cond != nil {
		items = st.filter(r, s, items)
	}
	if st.rounds(r, s, items, depth) {
		return flowNext
	}
	return r.exec(st.els, &scope{parent: s})
}

// rounds runs the body for every item and tells whether it once came to its
// end.
func (st *forStmt) rounds(r *run, s *scope, items []Value, depth int) (complete bool) {
	l := &loop{items: items, depth: depth}
	if st.recursive {
		l.again = func(v Value) Value {
			old := r.out
			r.out = newOutput()
			st.run(r, s, v, depth+1)
			out := r.out.String()
			r.out = old
			return out
		}
	}
	for i, e := range items {
		r.step(1)
		r.slots(8)
		l.i = i
		in := &scope{parent: s, ids: make([]int, 0, 4), vals: make([]Value, 0, 4)}
		st.vars.assign(r, in, e)
		in.set(r, st.loop, l)
		switch r.exec(st.body, in) {
		case flowBreak:
			return complete
		case flowNext:
			complete = true
		}
	}
	return complete
}

// filter keeps the items for which the loop's own condition holds.
func (st *forStmt) filter(r *run, s *scope, items []Value) []Value {
	var keep []Value
	for _, e := range items {
		r.step(1)
		r.slots(6)
		in := &scope{parent: s}
		st.vars.assign(r, in, e)
		if truth(r.eval(st.cond, in)) {
			keep = append(keep, e)
		}
	}
	return keep
}

// loop is the variable of that name.
type loop struct {
	items []Value
	i     int
	depth int
	again func(Value) Value // renders a recursive loop for other items
	last  Value             // what changed() was last given
}

func (l *loop) attr(r *run, name string) (Value, bool) {
	n, i := int64(len(l.items)), int64(l.i)
	switch name {
	case "index":
		return i + 1, true
	case "index0":
		return i, true
	case "revindex":
		return n - i, true
	case "revindex0":
		return n - i - 1, true
	case "first":
		return i == 0, true
	case "last":
		return i == n-1, true
	case "length":
		return n, true
	case "depth":
		return int64(l.depth + 1), true
	case "depth0":
		return int64(l.depth), true
	case "previtem":
		if i == 0 {
			return &undefined{hint: "there is no previous item"}, true
		}
		return l.items[i-1], true
	case "nextitem":
		if i == n-1 {
			return &undefined{hint: "there is no next item"}, true
		}
		return l.items[i+1], true
	case "cycle":
		return &function{name, func(r *run, a callArgs) Value {
			if len(a.pos) == 0 {
				fail("no items for cycling given")
			}
			return a.pos[l.i%len(a.pos)]
		}}, true
	case "changed":
		return &function{name, func(r *run, a callArgs) Value {
			now := &Tuple{Items: a.pos}
			if l.last != nil && r.equal(l.last, now) {
				return false
			}
			l.last = now
			return true
		}}, true
	}
	return nil, false
}
