package jinja

import "slices"

// method returns the method of that name that x has in Python, or nil.
func (r *run) method(x Value, name string) *builtin {
	switch x.(type) {
	case string, Markup:
		return r.lib.str[name]
	case *Dict:
		return r.lib.dict[name]
	case *List:
		return r.lib.list[name]
	case *Tuple, *span:
		return r.lib.tuple[name]
	}
	return nil
}

// dictMethods has the methods that change a dict too. transformers refuses
// them; Kimi K2's template needs list.append all the same, and what a template
// changes is its own copy.
var dictMethods = map[string]*builtin{
	"keys":   {f: func(_ *run, x Value, _ argv) Value { return &view{x.(*Dict), viewKeys} }},
	"values": {f: func(_ *run, x Value, _ argv) Value { return &view{x.(*Dict), viewValues} }},
	"items":  {f: func(_ *run, x Value, _ argv) Value { return &view{x.(*Dict), viewItems} }},
	"get": {need: 1, params: []string{"key", "default"}, f: func(r *run, x Value, a argv) Value {
		if v, ok := r.key(x, a[0]); ok {
			return v
		}
		return a.or(1, nil)
	}},
	"copy": {f: func(r *run, x Value, _ argv) Value { return r.copyDict(x.(*Dict)) }},
	"pop": {need: 1, params: []string{"key", "default"}, f: func(r *run, x Value, a argv) Value {
		d := x.(*Dict)
		i := d.find(r.hash(a[0]))
		if i < 0 {
			if !a.given(1) {
				fail("KeyError: %s", reprShort(a[0]))
			}
			return a[1]
		}
		v := d.vals[i]
		r.remove(d, i)
		return v
	}},
	"popitem": {f: func(r *run, x Value, _ argv) Value {
		d := x.(*Dict)
		n := d.Len()
		if n == 0 {
			fail("popitem(): dictionary is empty")
		}
		pair := &Tuple{Items: []Value{d.keys[n-1], d.vals[n-1]}}
		r.remove(d, n-1)
		return pair
	}},
	"setdefault": {need: 1, params: []string{"key", "default"}, f: func(r *run, x Value, a argv) Value {
		if v, ok := r.key(x, a[0]); ok {
			return v
		}
		v := a.or(1, nil)
		r.put(x.(*Dict), a[0], v)
		return v
	}},
	"update": {raw: func(r *run, x Value, a callArgs) Value {
		r.update(x.(*Dict), a)
		return nil
	}},
	"clear": {f: func(_ *run, x Value, _ argv) Value {
		*x.(*Dict) = Dict{}
		return nil
	}},
}

func (r *run) key(x, k Value) (Value, bool) {
	d := x.(*Dict)
	if i := d.find(r.hash(k)); i >= 0 {
		return d.vals[i], true
	}
	return nil, false
}

func (r *run) put(d *Dict, k, v Value) {
	r.slots(4)
	d.set(r.hash(k), k, v)
}

// remove takes a key out. The index is built again at the next look.
func (r *run) remove(d *Dict, i int) {
	r.step(1 + d.Len())
	r.slots(2 * d.Len())
	d.remove(i)
}

func (r *run) copyDict(d *Dict) *Dict {
	r.slots(4 * d.Len())
	r.step(1 + d.Len())
	return &Dict{keys: slices.Clone(d.keys), vals: slices.Clone(d.vals)}
}

// update does dict(...) and dict.update(...): a mapping or pairs, then named
// arguments.
func (r *run) update(d *Dict, a callArgs) {
	if len(a.pos) > 1 {
		fail("update expected at most 1 argument, got %d", len(a.pos))
	}
	if len(a.pos) == 1 {
		if from, ok := a.pos[0].(*Dict); ok {
			for i, k := range from.keys {
				r.put(d, k, from.vals[i])
			}
		} else {
			for i, e := range r.items(a.pos[0]) {
				pair := r.items(e)
				if len(pair) != 2 {
					fail("dictionary update sequence element #%d has length %d; 2 is required", i, len(pair))
				}
				r.put(d, pair[0], pair[1])
			}
		}
	}
	for _, k := range a.kw {
		r.put(d, k.name, k.v)
	}
}

// index and count are the methods lists and tuples share.
var index = &builtin{need: 1, params: []string{"value", "start", "stop"}, f: func(r *run, x Value, a argv) Value {
	items := r.items(x)
	first, _, n := sliceBounds(len(items), a.or(1, nil), a.or(2, nil), nil)
	for i := first; i < first+n; i++ {
		if r.equal(items[i], a[0]) {
			return int64(i)
		}
	}
	fail("%s is not in %s", reprShort(a[0]), typeName(x))
	return nil
}}

var count = &builtin{need: 1, params: []string{"value"}, f: func(r *run, x Value, a argv) Value {
	n := int64(0)
	for _, e := range r.items(x) {
		if r.equal(e, a[0]) {
			n++
		}
	}
	return n
}}

var tupleMethods = map[string]*builtin{"index": index, "count": count}

// listMethods: items are never changed in place, since slices of a list and
// loops over it share them.
var listMethods = map[string]*builtin{
	"index": index,
	"count": count,
	"copy":  {f: func(r *run, x Value, _ argv) Value { return &List{r.appended(x.(*List).Items, nil)} }},
	"append": {need: 1, params: []string{"object"}, f: func(r *run, x Value, a argv) Value {
		l := x.(*List)
		r.slots(2)
		if len(l.Items) == cap(l.Items) {
			r.slots(len(l.Items))
		}
		l.Items = append(l.Items, a[0])
		return nil
	}},
	"extend": {need: 1, params: []string{"iterable"}, f: func(r *run, x Value, a argv) Value {
		l := x.(*List)
		l.Items = r.appended(l.Items, r.items(a[0]))
		return nil
	}},
	"insert": {need: 2, params: []string{"index", "object"}, f: func(r *run, x Value, a argv) Value {
		l := x.(*List)
		i, _, _ := sliceBounds(len(l.Items), a.count(0, 0), nil, nil)
		tail := l.Items[i:]
		l.Items = r.appended(r.appended(l.Items[:i], a[1:2]), tail)
		return nil
	}},
	"pop": {params: []string{"index"}, f: func(r *run, x Value, a argv) Value {
		l := x.(*List)
		i, ok := place(a.count(0, -1), len(l.Items))
		if !ok {
			fail("pop index out of range")
		}
		v := l.Items[i]
		l.Items = r.appended(l.Items[:i], l.Items[i+1:])
		return v
	}},
	"remove": {need: 1, params: []string{"value"}, f: func(r *run, x Value, a argv) Value {
		l := x.(*List)
		for i, e := range l.Items {
			if r.equal(e, a[0]) {
				l.Items = r.appended(l.Items[:i], l.Items[i+1:])
				return nil
			}
		}
		fail("list.remove(x): x not in list")
		return nil
	}},
	"reverse": {f: func(r *run, x Value, _ argv) Value {
		l := x.(*List)
		l.Items = r.appended(l.Items, nil)
		slices.Reverse(l.Items)
		return nil
	}},
	"sort": {params: []string{"reverse"}, f: func(r *run, x Value, a argv) Value {
		l := x.(*List)
		l.Items = r.sorted(l.Items, a.flag(0), func(v Value) Value { return v })
		return nil
	}},
	"clear": {f: func(_ *run, x Value, _ argv) Value {
		x.(*List).Items = nil
		return nil
	}},
}
