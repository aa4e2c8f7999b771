package jinja

import (
	"slices"
	"strings"
)

// equal is Python's ==.
func (r *run) equal(a, b Value) bool {
	r.step(1)
	if isNumber(a) {
		sign, ok := compareNumbers(a, b)
		return ok && sign == 0
	}
	if s, ok := text(a); ok {
		t, ok := text(b)
		if ok && len(s) == len(t) {
			r.scan(len(s))
			return s == t
		}
		return false
	}
	r.enter()
	defer r.leave()
	switch x := a.(type) {
	case nil:
		return b == nil
	case *undefined:
		_, ok := b.(*undefined)
		return ok
	case *List:
		y, ok := b.(*List)
		return ok && r.equalAll(x.Items, y.Items)
	case *Tuple:
		y, ok := b.(*Tuple)
		return ok && r.equalAll(x.Items, y.Items)
	case *Dict:
		y, ok := b.(*Dict)
		if !ok || x.Len() != y.Len() {
			return false
		}
		for i, k := range x.keys {
			j := y.find(r.hash(k))
			if j < 0 || !r.equal(x.vals[i], y.vals[j]) {
				return false
			}
		}
		return true
	case *span:
		y, ok := b.(*span)
		return ok && x.n == y.n && (x.n == 0 || x.start == y.start && (x.n == 1 || x.step == y.step))
	case *view:
		y, ok := b.(*view)
		if !ok || x.part == viewValues || y.part == viewValues {
			return ok && x == y
		}
		if x.d.Len() != y.d.Len() {
			return false
		}
		for _, e := range r.items(x) {
			if !r.in(e, y) {
				return false
			}
		}
		return true
	}
	return same(a, b)
}

func (r *run) equalAll(a, b []Value) bool {
	return slices.EqualFunc(a, b, r.equal)
}

// same is Python's "is" for values that have an identity here; small values
// are the same if they are equal and of one type.
func same(a, b Value) bool {
	if typeName(a) != typeName(b) {
		return false
	}
	return a == b // every kind is comparable: pointers, or plain values
}

// hash is hashKey under the limits.
func (r *run) hash(k Value) any {
	switch x := k.(type) {
	case string:
		r.scan(len(x))
	case Markup:
		r.scan(len(x))
	case *Tuple:
		r.step(64)
	}
	return hashKey(k)
}

// less is Python's <.
func (r *run) less(op string, a, b Value) bool {
	r.step(1)
	defined(a)
	defined(b)
	if isNumber(a) && isNumber(b) {
		sign, ok := compareNumbers(a, b)
		return ok && sign < 0
	}
	if s, ok := text(a); ok {
		if t, ok := text(b); ok {
			r.scan(min(len(s), len(t)))
			return s < t // the order of UTF-8 is that of code points
		}
	}
	var x, y []Value
	switch l := a.(type) {
	case *List:
		if m, ok := b.(*List); ok {
			x, y = l.Items, m.Items
			return r.lessAll(op, x, y)
		}
	case *Tuple:
		if m, ok := b.(*Tuple); ok {
			x, y = l.Items, m.Items
			return r.lessAll(op, x, y)
		}
	}
	fail("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
	return false
}

func (r *run) lessAll(op string, x, y []Value) bool {
	r.enter()
	defer r.leave()
	for i := range min(len(x), len(y)) {
		if !r.equal(x[i], y[i]) {
			return r.less(op, x[i], y[i])
		}
	}
	return len(x) < len(y)
}

// compare does one operator of a comparison.
func (r *run) compare(op string, a, b Value) bool {
	switch op {
	case "==":
		return r.equal(a, b)
	case "!=":
		return !r.equal(a, b)
	case "in":
		return r.in(a, b)
	case "not in":
		return !r.in(a, b)
	}
	defined(a)
	defined(b)
	switch op {
	case "<":
		return r.less(op, a, b)
	case ">":
		return r.less(op, b, a)
	}
	// a <= b is not the same as not b < a where a NaN is about.
	if x, ok := a.(float64); ok && x != x {
		return false
	}
	if x, ok := b.(float64); ok && x != x {
		return false
	}
	if op == "<=" {
		return !r.less(op, b, a)
	}
	return !r.less(op, a, b)
}

// in is Python's "in".
func (r *run) in(a, b Value) bool {
	switch x := b.(type) {
	case string, Markup:
		s, ok := text(a)
		if !ok {
			fail("'in <string>' requires string as left operand, not %s", typeName(a))
		}
		t, _ := text(x)
		r.scan(len(t))
		return strings.Contains(t, s)
	case *Dict:
		return x.find(r.hash(a)) >= 0
	case *view:
		if x.part == viewKeys {
			return x.d.find(r.hash(a)) >= 0
		}
	}
	next := r.iter(b)
	for e, ok := next(); ok; e, ok = next() {
		if r.equal(a, e) {
			return true
		}
	}
	return false
}

// sort orders l by key, keeping the order of equals, as Python's sorted does;
// reverse too keeps it.
func (r *run) sort(l []int, reverse bool, key func(int) Value) {
	slices.SortStableFunc(l, func(i, j int) int {
		a, b := key(i), key(j)
		switch {
		case r.less("<", a, b):
			if reverse {
				return 1
			}
			return -1
		case r.less("<", b, a):
			if reverse {
				return -1
			}
			return 1
		}
		return 0
	})
}
