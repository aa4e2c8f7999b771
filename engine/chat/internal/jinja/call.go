package jinja

import (
	"slices"
	"strings"
)

func newOutput() *strings.Builder { return &strings.Builder{} }

// callArgs are the values of a call's arguments; named ones keep their order.
type callArgs struct {
	pos []Value
	kw  []kwarg
}

type kwarg struct {
	name string
	v    Value
}

// builtin is a filter, test, method or function of this package. Its
// parameters are given by name; the first need ones have no default.
type builtin struct {
	need   int
	params []string
	// f gets the value it is applied to and an argument for each parameter.
	f func(r *run, x Value, a argv) Value
	// raw, where set, is called instead, with the arguments as they are.
	raw func(r *run, x Value, a callArgs) Value
}

// argv are arguments in the order of the parameters; those not given are
// absent.
type argv []Value

type absentArg struct{}

var absent Value = absentArg{}

// or returns the i-th argument, or def if it was not given.
func (a argv) or(i int, def Value) Value {
	if a[i] == absent {
		return def
	}
	return a[i]
}

func (a argv) given(i int) bool { return a[i] != absent }

// flag returns the truth of the i-th argument, false if it was not given.
func (a argv) flag(i int) bool { return truth(a.or(i, false)) }

// count returns the i-th argument as an integer.
func (a argv) count(i int, def int64) int64 {
	if !a.given(i) {
		return def
	}
	defined(a[i])
	n, ok := integer(a[i])
	if !ok {
		fail("'%s' object cannot be interpreted as an integer", typeName(a[i]))
	}
	return n
}

// text returns the i-th argument, which must be text.
func (a argv) text(i int) string {
	s, ok := text(a[i])
	if !ok {
		fail("argument %d must be str, not %s", i+1, typeName(a[i]))
	}
	return s
}

// apply calls the builtin with its arguments sorted to its parameters.
func (b *builtin) apply(r *run, name string, x Value, a callArgs) Value {
	if b.raw != nil {
		return b.raw(r, x, a)
	}
	if len(a.pos) > len(b.params) {
		fail("%s takes at most %d arguments (%d given)", name, len(b.params), len(a.pos))
	}
	var room [6]Value
	v := argv(room[:len(b.params)])
	n := copy(v, a.pos)
	for i := n; i < len(v); i++ {
		v[i] = absent
	}
	for _, k := range a.kw {
		i := slices.Index(b.params, k.name)
		if i < 0 {
			fail("%s got an unexpected keyword argument %s", name, quoteShort(k.name))
		}
		if v.given(i) {
			fail("%s got multiple values for argument %s", name, quoteShort(k.name))
		}
		v[i] = k.v
	}
	for i := range b.need {
		if !v.given(i) {
			fail("%s is missing argument %s", name, quoteShort(b.params[i]))
		}
	}
	return b.f(r, x, v)
}

type (
	// bound is a method of a value.
	bound struct {
		x    Value
		name string
		f    *builtin
	}
	// function is a function that is a value.
	function struct {
		name string
		f    func(r *run, a callArgs) Value
	}
	// object is a value with attributes or a call of its own.
	object struct {
		attr func(name string) (Value, bool)
		call func(r *run, a callArgs) Value
	}
	// macro is a macro with the variables around it.
	macro struct {
		def   *macroStmt
		scope *scope
	}
)

// call calls a value.
func (r *run) call(fn Value, a callArgs) Value {
	r.enter()
	defer r.leave()
	switch f := fn.(type) {
	case *bound:
		return f.f.apply(r, f.name+"()", f.x, a)
	case *function:
		return f.f(r, a)
	case *macro:
		return f.call(r, a)
	case *object:
		if f.call != nil {
			return f.call(r, a)
		}
	case *loop:
		if f.again == nil {
			fail("The loop must have the 'recursive' marker to be called recursively.")
		}
		if len(a.pos) != 1 || len(a.kw) > 0 {
			fail("loop() takes one argument")
		}
		return f.again(a.pos[0])
	}
	defined(fn)
	fail("'%s' object is not callable", typeName(fn))
	return nil
}

func callable(v Value) bool {
	switch x := v.(type) {
	case *bound, *function, *macro, *loop:
		return true
	case *undefined:
		return true // it has a __call__, which raises
	case *object:
		return x.call != nil
	}
	return false
}

func (x *callExpr) eval(r *run, s *scope) Value {
	if at, ok := x.fn.(*attrExpr); ok {
		// A method call needs no bound method in between.
		v := r.eval(at.x, s)
		if f := r.method(v, at.name); f != nil {
			r.enter()
			defer r.leave()
			return f.apply(r, at.name+"()", v, x.args.eval(r, s))
		}
		return r.call(r.attr(v, at.name), x.args.eval(r, s))
	}
	return r.call(x.prepare(r, s))
}

func (x *callExpr) prepare(r *run, s *scope) (Value, callArgs) {
	return r.eval(x.fn, s), x.args.eval(r, s)
}

func (a *args) eval(r *run, s *scope) (v callArgs) {
	if len(a.pos) > 0 {
		v.pos = r.evalAll(a.pos, s)
	}
	if a.star != nil {
		v.pos = r.appended(v.pos, r.items(r.eval(a.star, s)))
	}
	for _, k := range a.kw {
		v.kw = append(v.kw, kwarg{k.name, r.eval(k.x, s)})
	}
	if a.dstars != nil {
		d, ok := r.eval(a.dstars, s).(*Dict)
		if !ok {
			fail("argument after ** must be a mapping")
		}
		for i, k := range d.keys {
			r.step(1 + len(v.kw)>>4)
			name, ok := text(k)
			if !ok {
				fail("keywords must be strings")
			}
			if slices.ContainsFunc(v.kw, func(k kwarg) bool { return k.name == name }) {
				fail("got multiple values for keyword argument %s", quoteShort(name))
			}
			v.kw = append(v.kw, kwarg{name, d.vals[i]})
		}
	}
	return v
}

func (x *filterExpr) eval(r *run, s *scope) Value { return x.apply(r, s, r.eval(x.x, s)) }

func (x *filterExpr) apply(r *run, s *scope, v Value) Value {
	if x.f == nil {
		fail("No filter named %s found.", quoteShort(x.name))
	}
	return x.f.apply(r, x.name, v, x.args.eval(r, s))
}

func (x *testExpr) eval(r *run, s *scope) Value {
	v := r.eval(x.x, s)
	if x.f == nil {
		fail("No test named %s found.", quoteShort(x.name))
	}
	return x.f.apply(r, x.name, v, x.args.eval(r, s))
}

// call runs a macro and returns its text.
func (m *macro) call(r *run, a callArgs) Value {
	def := m.def
	r.slots(8 + 2*len(def.params))
	in := &scope{parent: m.scope}
	kw := a.kw
	take := func(name string) (Value, bool) {
		for i, k := range kw {
			if k.name == name {
				kw = append(kw[:i:i], kw[i+1:]...)
				return k.v, true
			}
		}
		return nil, false
	}
	var unset []param
	for i, p := range def.params {
		v, ok := Value(nil), i < len(a.pos)
		if ok {
			v = a.pos[i]
		} else if v, ok = take(p.name); !ok {
			v = &undefined{hint: "parameter " + quoteShort(p.name) + " was not provided", name: p.name}
			unset = append(unset, p)
		}
		in.set(r, p.id, v)
	}
	if def.caller.used {
		c, ok := take("caller")
		if !ok {
			c = &undefined{hint: "No caller defined", name: "caller"}
		}
		in.set(r, def.caller.id, c)
	}
	m.rest(r, in, a.pos, kw)
	for _, p := range unset {
		if p.def != nil {
			in.set(r, p.id, r.eval(p.def, in))
		}
	}
	text, _ := r.capture(def.body, in)
	return text
}

// rest hands over the arguments that no parameter takes, if the body asks for
// them.
func (m *macro) rest(r *run, in *scope, pos []Value, kw []kwarg) {
	def := m.def
	if def.kwargs.used {
		d := &Dict{}
		for _, k := range kw {
			d.Set(k.name, k.v)
		}
		in.set(r, def.kwargs.id, d)
	} else if len(kw) > 0 {
		if kw[0].name == "caller" {
			fail("macro %s was invoked with two values for the special caller argument. This is most likely a bug.", quoteShort(def.title))
		}
		fail("macro %s takes no keyword argument %s", quoteShort(def.title), quoteShort(kw[0].name))
	}
	more := pos[min(len(pos), len(def.params)):]
	if def.varargs.used {
		in.set(r, def.varargs.id, &Tuple{Items: more})
	} else if len(more) > 0 {
		fail("macro %s takes not more than %d argument(s)", quoteShort(def.title), len(def.params))
	}
}
