package jinja

import (
	"slices"
	"strings"
)

// sequenceFilters are the filters on what can be iterated.
var sequenceFilters = map[string]*builtin{
	"list": {f: func(r *run, x Value, _ argv) Value { return &List{r.appended(r.items(x), nil)} }},
	"items": {f: func(r *run, x Value, _ argv) Value {
		if _, ok := x.(*undefined); ok {
			return r.generator(nil)
		}
		d, ok := x.(*Dict)
		if !ok {
			// A generator: it fails when it is first asked.
			return &iter{"generator", func() (Value, bool) {
				fail("Can only get item pairs from a mapping.")
				return nil, false
			}}
		}
		return r.generator(r.viewItems(&view{d, viewItems}))
	}},
	"join":    {params: []string{"d", "attribute"}, f: join},
	"first":   {f: first},
	"last":    {f: last},
	"reverse": {f: reverse},
	"sort":    {params: []string{"reverse", "case_sensitive", "attribute"}, f: sortFilter},
	"dictsort": {params: []string{"case_sensitive", "by", "reverse"}, f: func(r *run, x Value, a argv) Value {
		defined(x)
		d, ok := x.(*Dict)
		if !ok {
			fail("'%s' object has no attribute 'items'", typeName(x))
		}
		at := 0
		switch a.or(1, "key") {
		case "key":
		case "value":
			at = 1
		default:
			fail(`You can only sort by either "key" or "value"`)
		}
		return &List{r.sorted(r.viewItems(&view{d, viewItems}), a.flag(2), func(v Value) Value {
			return r.folded(v.(*Tuple).Items[at], a.flag(0))
		})}
	}},
	"unique":  {params: []string{"case_sensitive", "attribute"}, f: unique},
	"min":     {params: []string{"case_sensitive", "attribute"}, f: func(r *run, x Value, a argv) Value { return extreme(r, x, a, false) }},
	"max":     {params: []string{"case_sensitive", "attribute"}, f: func(r *run, x Value, a argv) Value { return extreme(r, x, a, true) }},
	"sum":     {params: []string{"attribute", "start"}, f: sum},
	"groupby": {need: 1, params: []string{"attribute", "default", "case_sensitive"}, f: groupBy},
	"batch":   {need: 1, params: []string{"linecount", "fill_with"}, f: batch},
	"slice":   {need: 1, params: []string{"slices", "fill_with"}, f: slices_},

	"map":        {raw: mapFilter},
	"select":     {raw: func(r *run, x Value, a callArgs) Value { return r.pick(x, a, false, true) }},
	"reject":     {raw: func(r *run, x Value, a callArgs) Value { return r.pick(x, a, false, false) }},
	"selectattr": {raw: func(r *run, x Value, a callArgs) Value { return r.pick(x, a, true, true) }},
	"rejectattr": {raw: func(r *run, x Value, a callArgs) Value { return r.pick(x, a, true, false) }},
}

// generator gives items once.
func (r *run) generator(items []Value) *iter {
	return &iter{"generator", func() (Value, bool) {
		if len(items) == 0 {
			return nil, false
		}
		v := items[0]
		items = items[1:]
		return v, true
	}}
}

// path reads an attribute like "a.0.b" off a value: items by name or number.
// def replaces what is undefined, if it is not nil.
func (r *run) path(x, attribute, def Value) Value {
	one := func(key Value) {
		x = r.item(x, key)
		if _, ok := x.(*undefined); ok && def != nil {
			x = def
		}
	}
	s, ok := text(attribute)
	switch {
	case attribute == nil:
	case !ok:
		one(attribute)
	default:
		r.scan(len(s))
		for part := range strings.SplitSeq(s, ".") {
			if i, ok := parseInt(part, 10); ok && isDigit(part[0]) && !strings.Contains(part, "_") {
				one(i)
			} else {
				one(part)
			}
		}
	}
	return x
}

// folded is the sort key of a value: text in lower case, unless case counts.
func (r *run) folded(v Value, caseSensitive bool) Value {
	if _, ok := text(v); ok && !caseSensitive {
		return r.convert(v, lower)
	}
	return v
}

// sorted returns a sorted copy. The keys are made once.
func (r *run) sorted(items []Value, reverse bool, key func(Value) Value) []Value {
	r.slots(4 * len(items))
	order, keys := make([]int, len(items)), make([]Value, len(items))
	for i, v := range items {
		order[i], keys[i] = i, key(v)
	}
	r.sort(order, reverse, func(i int) Value { return keys[i] })
	out := make([]Value, len(items))
	for i, j := range order {
		out[i] = items[j]
	}
	return out
}

func join(r *run, x Value, a argv) Value {
	var parts []string
	next := r.iter(x)
	for v, ok := next(); ok; v, ok = next() {
		if a.or(1, nil) != nil {
			v = r.path(v, a[1], nil)
		}
		r.slots(2)
		parts = append(parts, r.str(v))
	}
	return r.concat(parts, r.str(a.or(0, "")))
}

func first(r *run, x Value, _ argv) Value {
	if v, ok := r.iter(x)(); ok {
		return v
	}
	return &undefined{hint: "No first item, sequence was empty."}
}

func last(r *run, x Value, _ argv) Value {
	if _, ok := x.(*iter); ok {
		fail("'%s' object is not reversible", typeName(x))
	}
	if l := r.items(x); len(l) > 0 {
		return l[len(l)-1]
	}
	return &undefined{hint: "No last item, sequence was empty."}
}

func reverse(r *run, x Value, _ argv) Value {
	if s, ok := text(x); ok {
		return like(x, r.sliceText(s, nil, nil, int64(-1)))
	}
	items := r.appended(r.items(x), nil)
	slices.Reverse(items)
	if _, ok := x.(*iter); ok {
		return &List{items}
	}
	g := r.generator(items)
	switch x := x.(type) {
	case *List:
		g.name = "list_reverseiterator"
	case *Dict:
		g.name = "dict_reversekeyiterator"
	case *view:
		g.name = "dict_reverse" + strings.TrimSuffix(x.part.String(), "s") + "iterator"
	case *span:
		g.name = "range_iterator"
	default:
		g.name = "reversed"
	}
	return g
}

func sortFilter(r *run, x Value, a argv) Value {
	return &List{r.sorted(r.items(x), a.flag(0), func(v Value) Value {
		// jinja2 sorts by a list of attributes, parted by commas.
		attrs := []Value{a.or(2, nil)}
		if s, ok := text(attrs[0]); ok {
			if strings.Count(s, ",") > 16 {
				fail("sort: too many attributes")
			}
			attrs = likeAll("", strings.Split(s, ","))
		}
		for i, at := range attrs {
			attrs[i] = r.folded(r.path(v, at, nil), a.flag(1))
		}
		return &List{attrs}
	})}
}

func unique(r *run, x Value, a argv) Value {
	next, seen := r.iter(x), map[any]bool{}
	return &iter{"generator", func() (Value, bool) {
		for v, ok := next(); ok; v, ok = next() {
			k := r.hash(r.folded(r.path(v, a.or(1, nil), nil), a.flag(0)))
			if !seen[k] {
				r.slots(4)
				seen[k] = true
				return v, true
			}
		}
		return nil, false
	}}
}

func extreme(r *run, x Value, a argv, most bool) Value {
	next := r.iter(x)
	best, ok := next()
	if !ok {
		return &undefined{hint: "No aggregated item, sequence was empty."}
	}
	key := func(v Value) Value { return r.folded(r.path(v, a.or(1, nil), nil), a.flag(0)) }
	bestKey := key(best)
	for v, ok := next(); ok; v, ok = next() {
		k := key(v)
		defined(k)
		if most && r.less(">", bestKey, k) || !most && r.less("<", k, bestKey) {
			best, bestKey = v, k
		}
	}
	return best
}

func sum(r *run, x Value, a argv) Value {
	total := a.or(1, int64(0))
	if _, ok := text(total); ok {
		fail("sum() can't sum strings [use ''.join(seq) instead]")
	}
	next := r.iter(x)
	for v, ok := next(); ok; v, ok = next() {
		if a.or(0, nil) != nil {
			v = r.path(v, a[0], nil)
		}
		total = r.arith("+", total, v)
	}
	return total
}

func groupBy(r *run, x Value, a argv) Value {
	key := func(v Value) Value { return r.path(v, a[0], a.or(1, nil)) }
	var groups []Value
	var last Value
	for _, v := range r.sorted(r.items(x), false, func(v Value) Value { return r.folded(key(v), a.flag(2)) }) {
		k := r.folded(key(v), a.flag(2))
		if n := len(groups); n > 0 && r.equal(last, k) {
			l := groups[n-1].(*Tuple).Items[1].(*List)
			r.slots(2)
			l.Items = append(l.Items, v)
			continue
		}
		r.slots(8)
		last = k
		groups = append(groups, &Tuple{Items: []Value{key(v), &List{[]Value{v}}}, group: true})
	}
	return &List{groups}
}

func batch(r *run, x Value, a argv) Value {
	n, next := int(min(a.count(0, 0), 1<<40)), r.iter(x)
	var row []Value
	return &iter{"generator", func() (Value, bool) {
		for v, ok := next(); ok; v, ok = next() {
			r.slots(2)
			if len(row) == n {
				full := row
				row = []Value{v}
				return &List{full}, true
			}
			row = append(row, v)
		}
		if len(row) == 0 {
			return nil, false
		}
		last := row
		row = nil
		if fill := a.or(1, nil); fill != nil && len(last) < n {
			r.slots(n - len(last))
			for len(last) < n {
				last = append(last, fill)
			}
		}
		return &List{last}, true
	}}
}

// slices_ is the slice filter: n lists of about the same length.
func slices_(r *run, x Value, a argv) Value {
	items, n := r.items(x), a.count(0, 0)
	if n == 0 {
		fail("integer division or modulo by zero")
	}
	r.slots(4 * int(max(0, min(n, 1<<40))))
	var out []Value
	size, longer, at := int64(len(items))/n, int64(len(items))%n, int64(0)
	for i := range n {
		to := at + size
		if i < longer {
			to++
		}
		part := items[at:to:to]
		if fill := a.or(1, nil); fill != nil && i >= longer {
			part = r.appended(part, []Value{fill})
		}
		out = append(out, &List{part})
		at = to
	}
	return r.generator(out)
}

// mapFilter applies a filter to every item, or reads an attribute off it.
func mapFilter(r *run, x Value, a callArgs) Value {
	var one func(Value) Value
	prepare := func() {
		if len(a.pos) > 0 {
			name := r.str(a.pos[0])
			f := r.lib.filters[name]
			if f == nil {
				fail("No filter named %s.", quoteShort(name))
			}
			rest := callArgs{a.pos[1:], a.kw}
			one = func(v Value) Value { return f.apply(r, name, v, rest) }
			return
		}
		var attribute, def Value
		for _, k := range a.kw {
			switch k.name {
			case "attribute":
				attribute = k.v
			case "default":
				def = k.v
			default:
				fail("Unexpected keyword argument %s", quoteShort(k.name))
			}
		}
		if attribute == nil {
			fail("map requires a filter argument")
		}
		one = func(v Value) Value { return r.path(v, attribute, def) }
	}
	return r.lazily(x, prepare, func(v Value) (Value, bool) { return one(v), true })
}

// pick is select, reject, selectattr and rejectattr: it keeps the items for
// which a test gives want. Without a test it is the truth of the item.
func (r *run) pick(x Value, a callArgs, byAttr, want bool) Value {
	args := a.pos
	var attribute Value
	var holds func(Value) bool
	prepare := func() {
		if byAttr {
			if len(args) == 0 {
				fail("Missing parameter for attribute name")
			}
			attribute, args = args[0], args[1:]
		}
		holds = truth
		if len(args) > 0 {
			name := r.str(args[0])
			t := r.lib.tests[name]
			if t == nil {
				fail("No test named %s.", quoteShort(name))
			}
			rest := callArgs{args[1:], a.kw}
			holds = func(v Value) bool { return truth(t.apply(r, name, v, rest)) }
		}
	}
	return r.lazily(x, prepare, func(v Value) (Value, bool) {
		test := v
		if byAttr {
			test = r.path(v, attribute, nil)
		}
		return v, holds(test) == want
	})
}

// lazily gives what one makes of the items of x, where it says so. As a Python
// generator it does nothing before it is asked, and nothing at all to a false
// value, None among them.
func (r *run) lazily(x Value, prepare func(), one func(Value) (Value, bool)) Value {
	var next func() (Value, bool)
	return &iter{"generator", func() (Value, bool) {
		if !truth(x) {
			return nil, false
		}
		if next == nil {
			prepare()
			next = r.iter(x)
		}
		for v, ok := next(); ok; v, ok = next() {
			if v, ok := one(v); ok {
				return v, true
			}
		}
		return nil, false
	}}
}
