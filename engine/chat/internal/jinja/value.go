package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// Value is what a template works on: nil (Python's None), bool, int64, *big.Int
// (an integer that does not fit), float64, string, Markup, *List, *Tuple, *Dict,
// or one of this package's own kinds, which no caller makes.
type Value any

// Markup is text marked as safe HTML: it is text, but escapes what is added to
// it, even though chat templates are not HTML.
type Markup string

// List is a Python list.
type List struct{ Items []Value }

// Tuple is a Python tuple.
type Tuple struct {
	Items []Value
	group bool // of the groupby filter: its items are grouper and list
}

type (
	// undefined is what a missing variable, key or attribute gives.
	undefined struct {
		hint  string
		owner string // kind of the object that lacks it, "" for a variable
		name  Value
	}
	// view is what a dict's keys, values and items give.
	view struct {
		d    *Dict
		part viewPart
	}
	viewPart uint8

	// span is Python's range.
	span struct{ start, stop, step, n int64 }

	// iter is a generator or iterator: it gives its items once.
	iter struct {
		name string
		next func() (Value, bool)
	}
	namespace struct{ attrs *Dict }
)

const (
	viewKeys viewPart = iota
	viewValues
	viewItems
)

func (v viewPart) String() string { return [...]string{"keys", "values", "items"}[v] }

// Dict is a Python dict: it keeps the order of its keys.
type Dict struct {
	keys  []Value
	vals  []Value
	index map[any]int // by hash key, once there are more than a few
}

// smallDict is how many keys are searched one by one.
const smallDict = 8

// NewDict returns a dict of keys and values in turn.
func NewDict(pairs ...Value) *Dict {
	d := &Dict{}
	for i := 0; i+1 < len(pairs); i += 2 {
		d.set(hashKey(pairs[i]), pairs[i], pairs[i+1])
	}
	return d
}

// Len returns the number of keys.
func (d *Dict) Len() int { return len(d.keys) }

// At returns the i-th key and value.
func (d *Dict) At(i int) (key, val Value) { return d.keys[i], d.vals[i] }

// Get returns the value of a key that is text.
func (d *Dict) Get(key string) (Value, bool) {
	if i := d.find(key); i >= 0 {
		return d.vals[i], true
	}
	return nil, false
}

// Set sets the value of a key that is text. A new key comes last.
func (d *Dict) Set(key string, v Value) { d.set(key, key, v) }

func (d *Dict) set(hash any, key, v Value) {
	if i := d.find(hash); i >= 0 {
		d.vals[i] = v
		return
	}
	d.keys, d.vals = append(d.keys, key), append(d.vals, v)
	if d.index != nil {
		d.index[hash] = len(d.keys) - 1
	}
}

// find returns the place of the key with this hash key, or -1.
func (d *Dict) find(hash any) int {
	if len(d.keys) > smallDict {
		if d.index == nil {
			d.index = make(map[any]int, len(d.keys)+1)
			for i, k := range d.keys {
				d.index[hashKey(k)] = i
			}
		}
		if i, ok := d.index[hash]; ok {
			return i
		}
		return -1
	}
	if s, ok := hash.(string); ok {
		for i, k := range d.keys {
			switch k := k.(type) {
			case string:
				if k == s {
					return i
				}
			case Markup:
				if string(k) == s {
					return i
				}
			}
		}
		return -1
	}
	for i, k := range d.keys {
		if hashKey(k) == hash {
			return i
		}
	}
	return -1
}

// remove takes the i-th key out. What iterates over the dict goes on with the
// old slices.
func (d *Dict) remove(i int) {
	d.keys = append(d.keys[:i:i], d.keys[i+1:]...)
	d.vals = append(d.vals[:i:i], d.vals[i+1:]...)
	d.index = nil
}

type (
	tupleKey string
	bigKey   string
	ownKey   struct{ v any }
)

// hashKey maps a dict key to a comparable Go value, equal for keys that Python
// holds equal: 1, 1.0 and true are one key.
func hashKey(k Value) any {
	switch x := k.(type) {
	case nil, string, int64:
		return k
	case bool:
		if x {
			return int64(1)
		}
		return int64(0)
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<63 {
			return int64(x)
		}
		return x
	case Markup:
		return string(x)
	case *big.Int:
		return bigKey(x.String())
	case *Tuple:
		room := 64
		return tupleKey(appendTupleKey(nil, x, &room))
	case *undefined:
		return ownKey{"undefined"} // all are equal
	case *List, *Dict, *view:
		fail("unhashable type: '%s'", typeName(k))
	}
	return ownKey{k}
}

// appendTupleKey writes a tuple so that tuples with equal items are written the
// same. Tuples as keys are short: room bounds the items, those of tuples inside
// included.
func appendTupleKey(b []byte, t *Tuple, room *int) []byte {
	b = append(b, '(')
	for _, e := range t.Items {
		if *room--; *room < 0 {
			fail("tuple is too long for a key")
		}
		if in, ok := e.(*Tuple); ok {
			b = appendTupleKey(b, in, room)
			continue
		}
		switch h := hashKey(e).(type) {
		case string:
			if len(h) > 256 {
				fail("text in a tuple is too long for a key")
			}
			b = strconv.AppendQuote(b, h)
		default:
			b = fmt.Appendf(b, "%T %v", h, h)
		}
		b = append(b, ',')
	}
	return append(b, ')')
}

// Clone copies a value's lists, tuples and dicts, so that what a template
// changes is its own.
func Clone(v Value) Value {
	switch x := v.(type) {
	case *List:
		return &List{cloneAll(x.Items)}
	case *Tuple:
		return &Tuple{Items: cloneAll(x.Items)}
	case *Dict:
		return x.Clone()
	}
	return v
}

// Clone copies the dict and the lists and dicts in it.
func (d *Dict) Clone() *Dict {
	return &Dict{keys: append([]Value(nil), d.keys...), vals: cloneAll(d.vals)}
}

func cloneAll(l []Value) []Value {
	out := make([]Value, len(l))
	for i, v := range l {
		out[i] = Clone(v)
	}
	return out
}

// Size is about how many bytes of text and containers a value holds.
func Size(v Value) int {
	n := 16
	switch x := v.(type) {
	case string:
		return n + len(x)
	case *List:
		for _, e := range x.Items {
			n += Size(e)
		}
	case *Dict:
		for i, k := range x.keys {
			n += Size(k) + Size(x.vals[i])
		}
	}
	return n
}

// truth is Python's bool().
func truth(v Value) bool {
	switch x := v.(type) {
	case nil, *undefined:
		return false
	case bool:
		return x
	case int64:
		return x != 0
	case float64:
		return x != 0
	case string:
		return x != ""
	case Markup:
		return x != ""
	case *List:
		return len(x.Items) > 0
	case *Tuple:
		return len(x.Items) > 0
	case *Dict:
		return x.Len() > 0
	case *view:
		return x.d.Len() > 0
	case *span:
		return x.n > 0
	case *loop:
		return len(x.items) > 0
	}
	return true
}

// text returns the text of a string or Markup.
func text(v Value) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case Markup:
		return string(x), true
	}
	return "", false
}

// like returns s as the same kind of text as v.
func like(v Value, s string) Value {
	if _, ok := v.(Markup); ok {
		return Markup(s)
	}
	return s
}

// typeName is the name Python has for the type of v.
func typeName(v Value) string {
	switch x := v.(type) {
	case nil:
		return "NoneType"
	case *undefined:
		return "Undefined"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case Markup:
		return "Markup"
	case *List:
		return "list"
	case *Tuple:
		return "tuple"
	case *Dict:
		return "dict"
	case *view:
		return "dict_" + x.part.String()
	case *span:
		return "range"
	case *iter:
		return x.name
	case *namespace:
		return "Namespace"
	case *loop:
		return "LoopContext"
	case *macro:
		return "Macro"
	}
	return "builtin_function_or_method"
}

// missing returns the undefined value for what x has no attribute or item of.
func missing(x, name Value) *undefined {
	owner := typeName(x)
	switch x.(type) {
	case nil:
		owner = "None"
	case Markup:
		owner = "markupsafe.Markup object"
	case *namespace:
		owner = "jinja2.utils.Namespace object"
	case *loop, *macro:
		owner = "jinja2.runtime." + owner + " object"
	default:
		owner += " object"
	}
	return &undefined{owner: owner, name: name}
}

// must fails with what jinja2 says of an undefined value that is used.
func (u *undefined) must() {
	name, isText := text(u.name)
	switch {
	case u.hint != "":
		fail("%s", u.hint)
	case u.owner == "":
		fail("%s is undefined", quoteShort(name))
	case isText:
		fail("%s has no attribute %s", quoteShort(u.owner), quoteShort(name))
	}
	fail("%s has no element %s", u.owner, reprShort(u.name))
}

// defined fails if v is undefined.
func defined(v Value) {
	if u, ok := v.(*undefined); ok {
		u.must()
	}
}
