package jinja

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// eval evaluates an expression under the limits.
func (r *run) eval(x expr, s *scope) Value {
	r.step(1)
	r.enter()
	v := x.eval(r, s)
	r.leave()
	return v
}

func (r *run) evalAll(list []expr, s *scope) []Value {
	r.slots(len(list))
	vals := make([]Value, len(list))
	for i, x := range list {
		vals[i] = r.eval(x, s)
	}
	return vals
}

func (x *litExpr) eval(*run, *scope) Value { return x.v }

func (x *nameExpr) eval(r *run, s *scope) Value {
	if v, ok := s.lookup(r, x.id); ok {
		return v
	}
	return &undefined{name: x.name}
}

func (x *attrExpr) eval(r *run, s *scope) Value { return r.attr(r.eval(x.x, s), x.name) }

func (x *itemExpr) eval(r *run, s *scope) Value {
	return r.item(r.eval(x.x, s), r.eval(x.key, s))
}

func (x *condExpr) eval(r *run, s *scope) Value {
	if truth(r.eval(x.cond, s)) {
		return r.eval(x.then, s)
	}
	if x.other == nil {
		return &undefined{hint: fmt.Sprintf("the inline if-expression on line %d evaluated to false and no else section was defined.", x.line)}
	}
	return r.eval(x.other, s)
}

func (x *notExpr) eval(r *run, s *scope) Value { return !truth(r.eval(x.x, s)) }

func (x *andExpr) eval(r *run, s *scope) Value {
	if v := r.eval(x.a, s); !truth(v) {
		return v
	}
	return r.eval(x.b, s)
}

func (x *orExpr) eval(r *run, s *scope) Value {
	if v := r.eval(x.a, s); truth(v) {
		return v
	}
	return r.eval(x.b, s)
}

func (x *signExpr) eval(r *run, s *scope) Value {
	v := r.eval(x.x, s)
	defined(v)
	f, isFloat := v.(float64)
	switch {
	case !isNumber(v):
		fail("bad operand type for a sign: '%s'", typeName(v))
	case isFloat && x.neg:
		return -f
	case isFloat:
		return v
	case x.neg:
		return r.arithNumbers("-", int64(0), v)
	}
	return r.arithNumbers("+", int64(0), v)
}

func (x *arithExpr) eval(r *run, s *scope) Value {
	return r.arith(x.op, r.eval(x.a, s), r.eval(x.b, s))
}

func (x *concatExpr) eval(r *run, s *scope) Value {
	parts := make([]string, len(x.parts))
	for i, p := range x.parts {
		parts[i] = r.str(r.eval(p, s))
	}
	return r.concat(parts, "")
}

// concat joins parts, charging for the text.
func (r *run) concat(parts []string, sep string) string {
	n := 0
	for _, p := range parts {
		n += len(p)
		if n < 0 {
			break
		}
	}
	if len(parts) > 1 {
		r.allocTimes(len(sep), len(parts)-1)
	}
	r.alloc(n)
	r.scan(n)
	return strings.Join(parts, sep)
}

func (x *compareExpr) eval(r *run, s *scope) Value {
	a := r.eval(x.first, s)
	for i, op := range x.ops {
		b := r.eval(x.rest[i], s)
		if !r.compare(op, a, b) {
			return false
		}
		a = b
	}
	return true
}

func (x *listExpr) eval(r *run, s *scope) Value { return &List{r.evalAll(x.items, s)} }

func (x *tupleExpr) eval(r *run, s *scope) Value { return &Tuple{Items: r.evalAll(x.items, s)} }

func (x *dictExpr) eval(r *run, s *scope) Value {
	r.slots(4 * len(x.keys))
	d := &Dict{}
	for i, k := range x.keys {
		key := r.eval(k, s)
		d.set(r.hash(key), key, r.eval(x.vals[i], s))
	}
	return d
}

// arith computes a op b.
func (r *run) arith(op string, a, b Value) Value {
	if isNumber(a) && isNumber(b) {
		return r.arithNumbers(op, a, b)
	}
	switch op {
	case "%":
		if s, ok := text(a); ok {
			return r.percent(a, s, b)
		}
	case "+":
		if v, ok := r.add(a, b); ok {
			return v
		}
	case "*":
		if n, ok := integer(a); ok {
			a, b = b, n
		}
		if n, ok := integer(b); ok {
			if v, ok := r.repeat(a, n); ok {
				return v
			}
		}
	}
	defined(a)
	defined(b)
	fail("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b))
	return nil
}

func (r *run) add(a, b Value) (Value, bool) {
	if x, ok := text(a); ok {
		y, ok := text(b)
		if !ok {
			return nil, false
		}
		_, xSafe := a.(Markup)
		_, ySafe := b.(Markup)
		if xSafe && !ySafe {
			y = r.escape(y)
		} else if ySafe && !xSafe {
			x = r.escape(x)
		}
		s := r.concat([]string{x, y}, "")
		if xSafe || ySafe {
			return Markup(s), true
		}
		return s, true
	}
	switch x := a.(type) {
	case *List:
		if y, ok := b.(*List); ok {
			return &List{r.appended(x.Items, y.Items)}, true
		}
	case *Tuple:
		if y, ok := b.(*Tuple); ok {
			return &Tuple{Items: r.appended(x.Items, y.Items)}, true
		}
	}
	return nil, false
}

// appended returns a new slice of the items of a and b.
func (r *run) appended(a, b []Value) []Value {
	r.slots(len(a) + len(b))
	r.scan(len(a) + len(b))
	out := make([]Value, 0, len(a)+len(b))
	return append(append(out, a...), b...)
}

func (r *run) repeat(v Value, n int64) (Value, bool) {
	count := int(max(0, min(n, math.MaxInt32*16)))
	if s, ok := text(v); ok {
		return like(v, r.repeatText(s, count)), true
	}
	items := func(l []Value) []Value {
		r.allocTimes(16*len(l), count)
		r.scan(len(l) * count)
		if len(l) == 0 {
			return nil
		}
		out := make([]Value, 0, len(l)*count)
		for range count {
			out = append(out, l...)
		}
		return out
	}
	switch x := v.(type) {
	case *List:
		return &List{items(x.Items)}, true
	case *Tuple:
		return &Tuple{Items: items(x.Items)}, true
	}
	return nil, false
}

func (r *run) repeatText(s string, count int) string {
	if s == "" || count <= 0 {
		return ""
	}
	r.allocTimes(len(s), count)
	r.scan(len(s) * count)
	return strings.Repeat(s, count)
}

// attr is x.name: an attribute or method first, then an item.
func (r *run) attr(x Value, name string) Value {
	if d, ok := x.(*Dict); ok {
		// Most of what templates do: save building a method to find none.
		if r.lib.dict[name] == nil {
			if v, ok := d.Get(name); ok {
				return v
			}
			return missing(x, name)
		}
	}
	if v, ok := r.getattr(x, name); ok {
		return v
	}
	return missing(x, name)
}

// getattr is Python's getattr, as the sandbox lets templates see it.
func (r *run) getattr(x Value, name string) (Value, bool) {
	switch x := x.(type) {
	case *undefined:
		x.must()
	case *namespace:
		return x.attrs.Get(name)
	case *loop:
		return x.attr(r, name)
	case *macro:
		switch name {
		case "name":
			return x.def.title, true
		}
	case *object:
		if x.attr != nil {
			return x.attr(name)
		}
		return nil, false
	case *Tuple:
		if x.group && name == "grouper" {
			return x.Items[0], true
		}
		if x.group && name == "list" {
			return x.Items[1], true
		}
	}
	if f := r.method(x, name); f != nil {
		return &bound{x, name, f}, true
	}
	return nil, false
}

// item is x[key]: an item first, then an attribute.
func (r *run) item(x, key Value) Value {
	switch c := x.(type) {
	case *undefined:
		c.must()
	case *Dict:
		if k, ok := key.(string); ok {
			if i := c.find(k); i >= 0 {
				return c.vals[i]
			}
		} else if i := c.find(r.hash(key)); i >= 0 {
			return c.vals[i]
		}
	case *List:
		if i, ok := place(key, len(c.Items)); ok {
			return c.Items[i]
		}
	case *Tuple:
		if i, ok := place(key, len(c.Items)); ok {
			return c.Items[i]
		}
	case *span:
		if i, ok := place(key, int(c.n)); ok {
			return c.start + int64(i)*c.step
		}
	case string, Markup:
		s, _ := text(x)
		if _, ok := integer(key); ok {
			r.scan(len(s))
			if i, ok := place(key, utf8.RuneCountInString(s)); ok {
				return like(x, substring(s, i, i+1))
			}
		}
	}
	if k, ok := text(key); ok {
		if v, ok := r.getattr(x, k); ok {
			return v
		}
	}
	return missing(x, key)
}

// place turns an index, which counts from the end if negative, into one in
// [0, n).
func place(key Value, n int) (int, bool) {
	i, ok := integer(key)
	if i < 0 {
		i += int64(n)
	}
	return int(i), ok && i >= 0 && i < int64(n)
}

// substring returns the characters lo to hi of s.
func substring(s string, lo, hi int) string {
	if lo >= hi {
		return ""
	}
	start, n := len(s), 0
	for i := range s {
		if n == lo {
			start = i
		}
		if n == hi {
			return s[start:i]
		}
		n++
	}
	return s[start:]
}

func (x *sliceExpr) eval(r *run, s *scope) Value {
	v := r.eval(x.x, s)
	bound := func(e expr) Value {
		if e == nil {
			return nil
		}
		return r.eval(e, s)
	}
	lo, hi, step := bound(x.lo), bound(x.hi), bound(x.step)
	defined(v)
	switch c := v.(type) {
	case *List:
		return &List{r.slice(c.Items, lo, hi, step)}
	case *Tuple:
		return &Tuple{Items: r.slice(c.Items, lo, hi, step)}
	case *span:
		first, by, n := sliceBounds(int(c.n), lo, hi, step)
		return &span{
			start: c.start + int64(first)*c.step,
			stop:  c.start + int64(first+n*by)*c.step,
			step:  c.step * int64(by),
			n:     int64(n),
		}
	case string, Markup:
		t, _ := text(v)
		return like(v, r.sliceText(t, lo, hi, step))
	}
	fail("'%s' object is not subscriptable", typeName(v))
	return nil
}

// sliceBounds applies lo:hi:step to n items: the first place, the distance of
// one to the next, and how many.
func sliceBounds(n int, lo, hi, step Value) (first, by, count int) {
	index := func(v Value, absent int) int {
		if v == nil {
			return absent
		}
		defined(v)
		i, ok := integer(v)
		if !ok {
			fail("slice indices must be integers or None or have an __index__ method")
		}
		return int(max(min(i, 1<<40), -1<<40))
	}
	by = index(step, 1)
	if by == 0 {
		fail("slice step cannot be zero")
	}
	least, most := 0, n // where places are clamped to
	if by < 0 {
		least, most = -1, n-1
	}
	clamp := func(v Value, absent int) int {
		if v == nil {
			return absent
		}
		i := index(v, 0)
		if i < 0 {
			i += n
		}
		return max(least, min(i, most))
	}
	from, to := clamp(lo, least), clamp(hi, most)
	if by < 0 {
		from, to = clamp(lo, most), clamp(hi, least)
		return from, by, max(0, (from-to-by-1)/-by)
	}
	return from, by, max(0, (to-from+by-1)/by)
}

func (r *run) slice(items []Value, lo, hi, step Value) []Value {
	first, by, n := sliceBounds(len(items), lo, hi, step)
	if by == 1 {
		return items[first : first+n : first+n] // shared: lists grow by copying
	}
	r.slots(n)
	r.scan(n)
	out := make([]Value, n)
	for i := range out {
		out[i] = items[first+i*by]
	}
	return out
}

func (r *run) sliceText(s string, lo, hi, step Value) string {
	r.scan(len(s))
	first, by, n := sliceBounds(utf8.RuneCountInString(s), lo, hi, step)
	if by == 1 {
		return substring(s, first, first+n)
	}
	r.allocTimes(5, len(s))
	chars := []rune(s)
	out := make([]rune, n)
	for i := range out {
		out[i] = chars[first+i*by]
	}
	return string(out)
}

// iter is Python's iter: a function that gives the items one by one.
func (r *run) iter(v Value) func() (Value, bool) {
	if g, ok := v.(*iter); ok {
		return func() (Value, bool) {
			r.step(1)
			r.enter() // one generator may stand on a great many
			v, ok := g.next()
			r.leave()
			return v, ok
		}
	}
	items, i := r.items(v), 0
	return func() (Value, bool) {
		r.step(1)
		if i == len(items) {
			return nil, false
		}
		i++
		return items[i-1], true
	}
}

// items gives all the items of a value that can be iterated. The slice is not
// to be changed.
func (r *run) items(v Value) []Value {
	switch x := v.(type) {
	case *undefined:
		return nil
	case *List:
		return x.Items
	case *Tuple:
		return x.Items
	case *Dict:
		return x.keys[:len(x.keys):len(x.keys)]
	case *view:
		return r.viewItems(x)
	case *span:
		r.slots(int(x.n))
		out := make([]Value, x.n)
		for i := range out {
			out[i] = x.start + int64(i)*x.step
		}
		return out
	case string, Markup:
		s, _ := text(v)
		r.allocTimes(32, len(s))
		out := make([]Value, 0, len(s))
		for i, c := range s {
			out = append(out, s[i:i+runeLen(s, i, c)])
		}
		return out
	case *iter:
		var out []Value
		next := r.iter(x)
		for e, ok := next(); ok; e, ok = next() {
			r.slots(2)
			out = append(out, e)
		}
		return out
	}
	fail("'%s' object is not iterable", typeName(v))
	return nil
}

// runeLen is the length in s of the character c that begins at i: one byte if
// the text is not UTF-8 there.
func runeLen(s string, i int, c rune) int {
	if c == utf8.RuneError {
		_, n := utf8.DecodeRuneInString(s[i:])
		return n
	}
	return utf8.RuneLen(c)
}

func (r *run) viewItems(x *view) []Value {
	switch x.part {
	case viewKeys:
		return r.items(x.d)
	case viewValues:
		return x.d.vals[:len(x.d.vals):len(x.d.vals)]
	}
	r.slots(4 * x.d.Len())
	out := make([]Value, x.d.Len())
	for i, k := range x.d.keys {
		out[i] = &Tuple{Items: []Value{k, x.d.vals[i]}}
	}
	return out
}

// length is Python's len.
func (r *run) length(v Value) int {
	switch x := v.(type) {
	case *undefined:
		return 0
	case *List:
		return len(x.Items)
	case *Tuple:
		return len(x.Items)
	case *Dict:
		return x.Len()
	case *view:
		return x.d.Len()
	case *span:
		return int(x.n)
	case *loop:
		return len(x.items)
	case string, Markup:
		s, _ := text(x)
		r.scan(len(s))
		return utf8.RuneCountInString(s)
	}
	fail("object of type '%s' has no len()", typeName(v))
	return 0
}
