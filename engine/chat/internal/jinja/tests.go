package jinja

// tests are what may stand after "is".
var tests = map[string]*builtin{
	"defined":   check(func(_ *run, x Value) bool { _, ok := x.(*undefined); return !ok }),
	"undefined": check(func(_ *run, x Value) bool { _, ok := x.(*undefined); return ok }),
	"none":      check(func(_ *run, x Value) bool { return x == nil }),
	"boolean":   check(func(_ *run, x Value) bool { _, ok := x.(bool); return ok }),
	"true":      check(func(_ *run, x Value) bool { b, ok := x.(bool); return ok && b }),
	"false":     check(func(_ *run, x Value) bool { b, ok := x.(bool); return ok && !b }),
	"integer": check(func(_ *run, x Value) bool {
		_, isFloat := x.(float64)
		_, isBool := x.(bool)
		return isNumber(x) && !isFloat && !isBool
	}),
	"float":   check(func(_ *run, x Value) bool { _, ok := x.(float64); return ok }),
	"number":  check(func(_ *run, x Value) bool { return isNumber(x) }),
	"string":  check(func(_ *run, x Value) bool { _, ok := text(x); return ok }),
	"mapping": check(func(_ *run, x Value) bool { _, ok := x.(*Dict); return ok }),
	"sequence": check(func(_ *run, x Value) bool {
		switch x.(type) {
		case string, Markup, *List, *Tuple, *Dict, *span, *undefined:
			return true
		}
		return false
	}),
	"iterable": check(func(_ *run, x Value) bool {
		switch x.(type) {
		case string, Markup, *List, *Tuple, *Dict, *span, *view, *iter, *loop, *undefined:
			return true
		}
		return false
	}),
	"callable": check(func(_ *run, x Value) bool { return callable(x) }),
	"escaped":  check(func(_ *run, x Value) bool { _, ok := x.(Markup); return ok }),
	"upper":    check(func(r *run, x Value) bool { return truth(r.lib.str["isupper"].f(r, r.str(x), nil)) }),
	"lower":    check(func(r *run, x Value) bool { return truth(r.lib.str["islower"].f(r, r.str(x), nil)) }),
	"filter":   check(func(r *run, x Value) bool { return r.lib.filters[r.str(x)] != nil }),
	"test":     check(func(r *run, x Value) bool { return r.lib.tests[r.str(x)] != nil }),
	"odd":      check(func(r *run, x Value) bool { return r.equal(r.arith("%", x, int64(2)), int64(1)) }),
	"even":     check(func(r *run, x Value) bool { return r.equal(r.arith("%", x, int64(2)), int64(0)) }),
	"divisibleby": {need: 1, params: []string{"num"}, f: func(r *run, x Value, a argv) Value {
		return r.equal(r.arith("%", x, a[0]), int64(0))
	}},
	"sameas": {need: 1, params: []string{"other"}, f: func(_ *run, x Value, a argv) Value { return same(x, a[0]) }},

	"==": comparison("=="), "eq": comparison("=="), "equalto": comparison("=="),
	"!=": comparison("!="), "ne": comparison("!="),
	"<": comparison("<"), "lt": comparison("<"), "lessthan": comparison("<"),
	">": comparison(">"), "gt": comparison(">"), "greaterthan": comparison(">"),
	"<=": comparison("<="), "le": comparison("<="),
	">=": comparison(">="), "ge": comparison(">="),
	"in": comparison("in"),
}

func check(f func(r *run, x Value) bool) *builtin {
	return &builtin{f: func(r *run, x Value, _ argv) Value { return f(r, x) }}
}

func comparison(op string) *builtin {
	return &builtin{need: 1, params: []string{"other"}, f: func(r *run, x Value, a argv) Value {
		return r.compare(op, x, a[0])
	}}
}
