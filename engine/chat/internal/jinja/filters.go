package jinja

import (
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// filters are the filters on single values and text; those on sequences are in
// sequenceFilters.
var filters = merge(sequenceFilters, map[string]*builtin{
	"default": defaultFilter,
	"d":       defaultFilter,
	"tojson":  {params: []string{"ensure_ascii", "indent", "separators", "sort_keys"}, f: toJSON},
	"length":  lengthFilter,
	"count":   lengthFilter,
	"string": {f: func(r *run, x Value, _ argv) Value {
		if _, ok := x.(Markup); ok {
			return x
		}
		return r.str(x)
	}},
	"safe": {f: func(r *run, x Value, _ argv) Value { return Markup(r.str(x)) }},
	"e":    {f: func(r *run, x Value, _ argv) Value { return r.escapeValue(x) }},
	"escape": {f: func(r *run, x Value, _ argv) Value {
		return r.escapeValue(x)
	}},
	"forceescape": {f: func(r *run, x Value, _ argv) Value { return Markup(r.escape(r.str(x))) }},

	"trim":       {params: []string{"chars"}, f: func(r *run, x Value, a argv) Value { return r.strip(r.soft(x), a[0], true, true) }},
	"upper":      softly(upper),
	"lower":      softly(lower),
	"capitalize": softly(capitalize),
	"title": {f: func(r *run, x Value, _ argv) Value {
		return r.str(r.convert(r.soft(x), titleFilter))
	}},
	"replace": {need: 2, params: []string{"old", "new", "count"}, f: func(r *run, x Value, a argv) Value {
		n := int64(-1)
		if a.or(2, nil) != nil {
			n = a.count(2, -1)
		}
		return r.replace(r.str(x), r.str(a[0]), r.str(a[1]), n)
	}},
	"indent":   {params: []string{"width", "first", "blank"}, f: indent},
	"truncate": {params: []string{"length", "killwords", "end", "leeway"}, f: truncate},
	"center": {params: []string{"width"}, f: func(r *run, x Value, a argv) Value {
		return r.lib.str["center"].f(r, r.soft(x), argv{a.or(0, int64(80)), absent})
	}},
	"wordcount": {f: func(r *run, x Value, _ argv) Value {
		s := r.str(x)
		r.scan(len(s))
		return int64(len(strings.FieldsFunc(s, func(c rune) bool {
			return c != '_' && !unicode.IsLetter(c) && !unicode.IsNumber(c)
		})))
	}},
	"format": {raw: func(r *run, x Value, a callArgs) Value {
		x = r.soft(x)
		s, _ := text(x)
		if len(a.kw) == 0 {
			return r.percent(x, s, &Tuple{Items: a.pos})
		}
		if len(a.pos) > 0 {
			fail("can't handle positional and keyword arguments at the same time")
		}
		d := &Dict{}
		for _, k := range a.kw {
			r.put(d, k.name, k.v)
		}
		return r.percent(x, s, d)
	}},

	"int":   {params: []string{"default", "base"}, f: toInt},
	"float": {params: []string{"default"}, f: toFloat},
	"abs": {f: func(r *run, x Value, _ argv) Value {
		defined(x)
		if f, ok := x.(float64); ok {
			return math.Abs(f)
		}
		if !isNumber(x) {
			fail("bad operand type for abs(): '%s'", typeName(x))
		}
		return normInt(new(big.Int).Abs(bigInt(x)))
	}},
	"round": {params: []string{"precision", "method"}, f: round},
	"attr": {need: 1, params: []string{"name"}, f: func(r *run, x Value, a argv) Value {
		if v, ok := r.getattr(x, a.text(0)); ok {
			return v
		}
		return missing(x, a[0])
	}},
})

func merge(a, b map[string]*builtin) map[string]*builtin {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

var defaultFilter = &builtin{params: []string{"default_value", "boolean"}, f: func(_ *run, x Value, a argv) Value {
	if _, ok := x.(*undefined); ok || a.flag(1) && !truth(x) {
		return a.or(0, "")
	}
	return x
}}

var lengthFilter = &builtin{f: func(r *run, x Value, _ argv) Value { return int64(r.length(x)) }}

// soft is markupsafe's soft_str: the text of a value, Markup as it is.
func (r *run) soft(v Value) Value {
	if _, ok := v.(Markup); ok {
		return v
	}
	return r.str(v)
}

func softly(f func(string) string) *builtin {
	return &builtin{f: func(r *run, x Value, _ argv) Value { return r.convert(r.soft(x), f) }}
}

// toJSON is the tojson filter of transformers, json.dumps without the HTML
// escapes of jinja2's own.
func toJSON(r *run, x Value, a argv) Value {
	w := jsonWriter{printer: printer{r: r}, item: ", ", key: ": ", ascii: a.flag(0), sort: a.flag(3)}
	if v := a.or(1, nil); v != nil {
		w.pretty, w.item = true, ","
		if s, ok := text(v); ok {
			w.indent = s
		} else if n := a.count(1, 0); n <= 64 {
			w.indent = strings.Repeat(" ", int(max(0, n)))
		} else {
			fail("indent of %d is too wide", n)
		}
		if len(w.indent) > 64 {
			fail("indent is too wide")
		}
	}
	if v := a.or(2, nil); v != nil {
		sep := r.items(v)
		if len(sep) != 2 {
			fail("separators must be two texts")
		}
		item, ok1 := text(sep[0])
		key, ok2 := text(sep[1])
		if !ok1 || !ok2 || len(item)+len(key) > 64 {
			fail("separators must be two short texts")
		}
		w.item, w.key = item, key
	}
	w.write(x, 0)
	r.alloc(w.b.Len())
	return w.b.String()
}

// titleFilter begins words after whitespace, hyphens and opening brackets only,
// other than str.title.
func titleFilter(s string) string {
	var b strings.Builder
	start, inWord := 0, false
	flush := func(end int) {
		if w := s[start:end]; inWord && w != "" {
			n := firstRune(w)
			b.WriteString(upper(w[:n]) + lower(w[n:]))
		} else {
			b.WriteString(w)
		}
		start = end
	}
	for i, c := range s {
		word := !isSpace(c) && !strings.ContainsRune("-({[<", c)
		if word != inWord {
			flush(i)
			inWord = word
		}
	}
	flush(len(s))
	return b.String()
}

func indent(r *run, x Value, a argv) Value {
	defined(x)
	s, ok := text(x)
	if !ok {
		fail("indent: expected str, %s found", typeName(x))
	}
	by, ok := text(a.or(0, int64(4)))
	if !ok {
		by = r.repeatText(" ", int(max(0, min(a.count(0, 4), 1<<40))))
	}
	lines := r.splitLines(s+"\n", false)
	for i, line := range lines {
		if i > 0 && (line != "" || a.flag(2)) || i == 0 && a.flag(1) {
			r.alloc(len(by) + len(line))
			lines[i] = by + line
		}
	}
	return like(x, r.concat(lines, "\n"))
}

func truncate(r *run, x Value, a argv) Value {
	s, isText := text(x)
	n, end, leeway := int(min(a.count(0, 255), 1<<40)), "...", int64(5)
	if a.given(2) {
		end = a.text(2)
	}
	if a.or(3, nil) != nil {
		leeway = min(a.count(3, 5), 1<<40)
	}
	keep := n - utf8.RuneCountInString(end)
	if keep < 0 {
		fail("expected length >= %d, got %d", n-keep, n)
	}
	if leeway < 0 {
		fail("expected leeway >= 0, got %d", leeway)
	}
	if r.length(x) <= n+int(leeway) {
		return x
	}
	if !isText {
		fail("'%s' object has no attribute 'rsplit'", typeName(x))
	}
	s = substring(s, 0, keep)
	if i := strings.LastIndexByte(s, ' '); i >= 0 && !a.flag(1) {
		s = s[:i]
	}
	if _, ok := x.(Markup); ok {
		end = r.escape(end)
	}
	return like(x, s+end)
}

// toInt is the int filter: what cannot be read gives the default.
func toInt(r *run, x Value, a argv) Value {
	defined(x)
	if s, ok := text(x); ok {
		s = strings.TrimFunc(s, isSpace)
		if i, ok := parseInt(s, a.count(1, 10)); ok {
			return i
		}
		f, ok := parseFloat(s)
		if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return a.or(0, int64(0))
		}
		return truncated(f)
	}
	if f, ok := x.(float64); ok {
		if math.IsInf(f, 0) {
			fail("cannot convert float infinity to integer")
		}
		if math.IsNaN(f) {
			return a.or(0, int64(0))
		}
		return truncated(f)
	}
	if isNumber(x) {
		return normInt(bigInt(x))
	}
	return a.or(0, int64(0))
}

func truncated(f float64) Value {
	i, _ := big.NewFloat(f).Int(nil)
	return normInt(i)
}

// parseInt reads an integer as Python's int does: digits may be parted by
// single underscores.
func parseInt(s string, base int64) (Value, bool) {
	if base != 0 && (base < 2 || base > 36) || len(s) > maxDigits {
		return nil, false
	}
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" || strings.Contains(digits, "__") || digits[0] == '_' || strings.HasSuffix(digits, "_") {
		return nil, false
	}
	if len(digits) > 2 && digits[0] == '0' {
		prefix := map[byte]int64{'x': 16, 'o': 8, 'b': 2}[digits[1]|0x20]
		if prefix != 0 && (base == 0 || base == prefix) {
			base, digits = prefix, strings.TrimPrefix(digits[2:], "_")
		}
	}
	if base == 0 {
		base = 10
	}
	i, ok := new(big.Int).SetString(strings.ReplaceAll(digits, "_", ""), int(base))
	if !ok {
		return nil, false
	}
	if s[0] == '-' {
		i.Neg(i)
	}
	return normInt(i), true
}

// parseFloat reads a float as Python does, which knows no hexadecimal ones.
func parseFloat(s string) (float64, bool) {
	if strings.ContainsAny(s, "xXpP") || strings.Contains(s, "__") || strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil || math.IsInf(f, 0)
}

func toFloat(r *run, x Value, a argv) Value {
	defined(x)
	if s, ok := text(x); ok {
		if f, ok := parseFloat(strings.TrimFunc(s, isSpace)); ok {
			return f
		}
	} else if f, ok := float(x); ok {
		return f
	}
	return a.or(0, 0.0)
}

// round rounds to a number of decimals; a half goes to the even digit, judged
// by the float's exact value as in Python.
func round(r *run, x Value, a argv) Value {
	defined(x)
	how := "common"
	if a.given(1) {
		how = a.text(1)
	}
	if !slices.Contains([]string{"common", "ceil", "floor"}, how) {
		fail("method must be common, ceil or floor")
	}
	p := a.count(0, 0)
	if p > 300 || p < -300 {
		fail("round: precision of %d", p)
	}
	f, ok := float(x)
	if !ok {
		fail("type %s doesn't define __round__ method", typeName(x))
	}
	_, isFloat := x.(float64)
	if how != "common" {
		scale := math.Pow(10, float64(p))
		if how == "ceil" {
			return math.Ceil(f*scale) / scale
		}
		return math.Floor(f*scale) / scale
	}
	switch {
	case !isFloat && p >= 0:
		return normInt(bigInt(x))
	case !isFloat:
		return roundInt(bigInt(x), int(-p))
	case math.IsNaN(f) || math.IsInf(f, 0):
		return f
	case p >= 0:
		z, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', int(p), 64), 64)
		return z
	}
	scale := math.Pow(10, float64(-p))
	return math.RoundToEven(f/scale) * scale
}

// roundInt rounds to a multiple of 10^p, a half to the even one.
func roundInt(x *big.Int, p int) Value {
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil)
	q, m := new(big.Int).DivMod(x, unit, new(big.Int))
	switch twice := new(big.Int).Lsh(m, 1).Cmp(unit); {
	case twice > 0, twice == 0 && q.Bit(0) == 1:
		q.Add(q, big.NewInt(1))
	}
	return normInt(q.Mul(q, unit))
}
