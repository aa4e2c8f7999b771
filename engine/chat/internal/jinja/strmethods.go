package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// strMethods are the methods of Python's str. On Markup they give Markup.
var strMethods = map[string]*builtin{
	"strip":  {params: []string{"chars"}, f: func(r *run, x Value, a argv) Value { return r.strip(x, a[0], true, true) }},
	"lstrip": {params: []string{"chars"}, f: func(r *run, x Value, a argv) Value { return r.strip(x, a[0], true, false) }},
	"rstrip": {params: []string{"chars"}, f: func(r *run, x Value, a argv) Value { return r.strip(x, a[0], false, true) }},

	"startswith": affix(strings.HasPrefix),
	"endswith":   affix(strings.HasSuffix),

	"upper":      convert(upper),
	"lower":      convert(lower),
	"casefold":   convert(func(s string) string { return strings.ReplaceAll(lower(s), "ß", "ss") }),
	"title":      convert(titleWords),
	"capitalize": convert(capitalize),
	"swapcase":   convert(swapCase),

	"isalpha":   every(unicode.IsLetter),
	"isdigit":   every(isPyDigit),
	"isdecimal": every(unicode.IsDigit),
	"isnumeric": every(unicode.IsNumber),
	"isalnum":   every(func(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }),
	"isspace":   every(isSpace),
	"isascii": query(func(s string) bool {
		return strings.IndexFunc(s, func(c rune) bool { return c > unicode.MaxASCII }) < 0
	}),
	"isprintable":  query(func(s string) bool { return strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) < 0 }),
	"isupper":      query(isUpper),
	"islower":      query(isLower),
	"istitle":      query(isTitle),
	"isidentifier": query(isIdentifier),

	"split":  {params: []string{"sep", "maxsplit"}, f: func(r *run, x Value, a argv) Value { return r.split(x, a, false) }},
	"rsplit": {params: []string{"sep", "maxsplit"}, f: func(r *run, x Value, a argv) Value { return r.split(x, a, true) }},
	"splitlines": {params: []string{"keepends"}, f: func(r *run, x Value, a argv) Value {
		s, _ := text(x)
		lines := r.splitLines(s, a.flag(0))
		return &List{likeAll(x, lines)}
	}},
	"partition":  {need: 1, params: []string{"sep"}, f: func(r *run, x Value, a argv) Value { return r.partition(x, a.text(0), false) }},
	"rpartition": {need: 1, params: []string{"sep"}, f: func(r *run, x Value, a argv) Value { return r.partition(x, a.text(0), true) }},

	"replace": {need: 2, params: []string{"old", "new", "count"}, f: func(r *run, x Value, a argv) Value {
		s, _ := text(x)
		with := a.text(1)
		if _, ok := x.(Markup); ok {
			with = string(r.escapeValue(a[1]))
		}
		return like(x, r.replace(s, a.text(0), with, a.count(2, -1)))
	}},
	"removeprefix": {need: 1, params: []string{"prefix"}, f: func(_ *run, x Value, a argv) Value {
		s, _ := text(x)
		return like(x, strings.TrimPrefix(s, a.text(0)))
	}},
	"removesuffix": {need: 1, params: []string{"suffix"}, f: func(_ *run, x Value, a argv) Value {
		s, _ := text(x)
		return like(x, strings.TrimSuffix(s, a.text(0)))
	}},
	"join": {need: 1, params: []string{"iterable"}, f: func(r *run, x Value, a argv) Value { return r.joinStrict(x, r.items(a[0])) }},

	"find":   finder(strings.Index, false),
	"rfind":  finder(strings.LastIndex, false),
	"index":  finder(strings.Index, true),
	"rindex": finder(strings.LastIndex, true),
	"count": {need: 1, params: []string{"sub", "start", "end"}, f: func(r *run, x Value, a argv) Value {
		s, _ := text(x)
		return int64(strings.Count(r.sliceText(s, a.or(1, nil), a.or(2, nil), nil), a.text(0)))
	}},

	"center": padder(func(n int) (int, int) { return n / 2, n - n/2 }),
	"ljust":  padder(func(n int) (int, int) { return 0, n }),
	"rjust":  padder(func(n int) (int, int) { return n, 0 }),
	"zfill": {need: 1, params: []string{"width"}, f: func(r *run, x Value, a argv) Value {
		s, _ := text(x)
		sign := ""
		if s != "" && (s[0] == '-' || s[0] == '+') {
			sign, s = s[:1], s[1:]
		}
		n := int(min(a.count(0, 0), 1<<40)) - r.length(s) - len(sign)
		return like(x, r.concat([]string{sign, r.repeatText("0", n), s}, ""))
	}},
	"expandtabs": {params: []string{"tabsize"}, f: func(r *run, x Value, a argv) Value {
		s, _ := text(x)
		return like(x, r.expandTabs(s, int(max(0, min(a.count(0, 8), 1<<20)))))
	}},

	"format": {raw: func(r *run, x Value, a callArgs) Value { return r.format(x, a) }},
	"format_map": {need: 1, params: []string{"mapping"}, f: func(r *run, x Value, a argv) Value {
		d, ok := a[0].(*Dict)
		if !ok {
			fail("format_map() argument must be a mapping")
		}
		var args callArgs
		for i, k := range d.keys {
			if name, ok := text(k); ok {
				args.kw = append(args.kw, kwarg{name, d.vals[i]})
			}
		}
		r.slots(4 * d.Len())
		return r.format(x, args)
	}},
}

// strip takes characters off the ends: those in chars, or whitespace.
func (r *run) strip(x, chars Value, left, right bool) Value {
	s, _ := text(x)
	r.scan(len(s))
	f := isSpace
	if chars != absent && chars != nil {
		defined(chars)
		set, ok := text(chars)
		if !ok {
			fail("strip arg must be None or str")
		}
		r.step(1 + (len(s)*min(len(set), 1<<10))>>8)
		f = func(c rune) bool { return strings.ContainsRune(set, c) }
		if len(set) > 1<<10 {
			fail("strip arg is too long")
		}
	}
	n := len(s)
	if left {
		s = strings.TrimLeftFunc(s, f)
	}
	if right {
		s = strings.TrimRightFunc(s, f)
	}
	r.step((n - len(s)) >> 3) // it goes by characters
	return like(x, s)
}

func affix(has func(s, t string) bool) *builtin {
	return &builtin{need: 1, params: []string{"affix", "start", "end"}, f: func(r *run, x Value, a argv) Value {
		s, _ := text(x)
		if a.given(1) || a.given(2) {
			s = r.sliceText(s, a.or(1, nil), a.or(2, nil), nil)
		}
		if t, ok := a[0].(*Tuple); ok {
			for _, e := range t.Items {
				r.step(1)
				if has(s, (argv{e}).text(0)) {
					return true
				}
			}
			return false
		}
		return has(s, a.text(0))
	}}
}

// convert makes a method of a function from text to text.
func convert(f func(string) string) *builtin {
	return &builtin{f: func(r *run, x Value, _ argv) Value { return r.convert(x, f) }}
}

func (r *run) convert(x Value, f func(string) string) Value {
	s, _ := text(x)
	r.allocTimes(3, len(s))
	r.step(1 + len(s)>>3)
	return like(x, f(s))
}

// query makes a method of a question about text.
func query(f func(string) bool) *builtin {
	return &builtin{f: func(r *run, x Value, _ argv) Value {
		s, _ := text(x)
		r.step(1 + len(s)>>3)
		return f(s)
	}}
}

// every makes a method that tells whether text is not empty and f holds for
// all its characters.
func every(f func(rune) bool) *builtin {
	return query(func(s string) bool {
		return s != "" && strings.IndexFunc(s, func(c rune) bool { return !f(c) }) < 0
	})
}

func finder(find func(s, t string) int, must bool) *builtin {
	return &builtin{need: 1, params: []string{"sub", "start", "end"}, f: func(r *run, x Value, a argv) Value {
		s, _ := text(x)
		r.scan(len(s))
		first, _, n := sliceBounds(utf8.RuneCountInString(s), a.or(1, nil), a.or(2, nil), nil)
		part := substring(s, first, first+n)
		i := find(part, a.text(0))
		if i < 0 {
			if must {
				fail("substring not found")
			}
			return int64(-1)
		}
		return int64(first + utf8.RuneCountInString(part[:i]))
	}}
}

// padder makes a method that pads text to a width; sides parts n characters.
func padder(sides func(n int) (left, right int)) *builtin {
	return &builtin{need: 1, params: []string{"width", "fillchar"}, f: func(r *run, x Value, a argv) Value {
		s, _ := text(x)
		fill := " "
		if a.given(1) {
			if fill = a.text(1); utf8.RuneCountInString(fill) != 1 {
				fail("The fill character must be exactly one character long")
			}
		}
		length, width := r.length(s), int(min(a.count(0, 0), 1<<40))
		n := width - length
		if n <= 0 {
			return x
		}
		left, right := sides(n)
		if left > 0 && right > 0 { // Python's centre leans left where both are odd
			left = n/2 + n&width&1
			right = n - left
		}
		return like(x, r.concat([]string{r.repeatText(fill, left), s, r.repeatText(fill, right)}, ""))
	}}
}

func (r *run) split(x Value, a argv, fromRight bool) Value {
	s, _ := text(x)
	r.scan(len(s))
	limit := int(max(-1, min(a.count(1, -1), 1<<40)))
	var parts []string
	if sep := a.or(0, nil); sep == nil {
		r.slots(len(s) + 1)
		parts = splitSpace(s, limit, fromRight)
	} else {
		defined(sep)
		d, ok := text(sep)
		if !ok {
			fail("must be str or None, not %s", typeName(sep))
		}
		if d == "" {
			fail("empty separator")
		}
		n := strings.Count(s, d)
		if limit >= 0 {
			n = min(n, limit)
		}
		r.slots(3 * (n + 1))
		parts = make([]string, n+1)
		if fromRight {
			for i := n; i > 0; i-- {
				at := strings.LastIndex(s, d)
				parts[i], s = s[at+len(d):], s[:at]
			}
			parts[0] = s
		} else {
			parts = strings.SplitN(s, d, n+1)
		}
	}
	return &List{likeAll(x, parts)}
}

// splitSpace splits at runs of whitespace, at most limit times if that is not
// negative.
func splitSpace(s string, limit int, fromRight bool) []string {
	if limit < 0 {
		return strings.FieldsFunc(s, isSpace)
	}
	var parts []string
	if !fromRight {
		for s = strings.TrimLeftFunc(s, isSpace); s != ""; limit-- {
			i := strings.IndexFunc(s, isSpace)
			if limit == 0 || i < 0 {
				return append(parts, s)
			}
			parts = append(parts, s[:i])
			s = strings.TrimLeftFunc(s[i:], isSpace)
		}
		return parts
	}
	for s = strings.TrimRightFunc(s, isSpace); s != ""; limit-- {
		i := strings.LastIndexFunc(s, isSpace)
		if limit == 0 || i < 0 {
			parts = append(parts, s)
			break
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		parts = append(parts, s[i+n:])
		s = strings.TrimRightFunc(s[:i], isSpace)
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}

func likeAll(x Value, parts []string) []Value {
	out := make([]Value, len(parts))
	for i, s := range parts {
		out[i] = like(x, s)
	}
	return out
}

// splitLines splits where Python sees a line end.
func (r *run) splitLines(s string, keep bool) []string {
	r.scan(len(s))
	isEnd := func(c rune) bool {
		return c >= '\n' && c <= '\r' || c >= 0x1c && c <= 0x1e || c == 0x85 || c == 0x2028 || c == 0x2029
	}
	var lines []string
	for s != "" {
		i := strings.IndexFunc(s, isEnd)
		if i < 0 {
			i = len(s)
		}
		end := i
		if i < len(s) {
			_, n := utf8.DecodeRuneInString(s[i:])
			end += n
			if strings.HasPrefix(s[i:], "\r\n") {
				end++
			}
		}
		line := s[:i]
		if keep {
			line = s[:end]
		}
		r.slots(4)
		lines = append(lines, line)
		s = s[end:]
	}
	return lines
}

// partition parts text at the first or last sep.
func (r *run) partition(x Value, sep string, last bool) Value {
	s, _ := text(x)
	if sep == "" {
		fail("empty separator")
	}
	r.scan(len(s))
	find, parts := strings.Index, []string{s, "", ""}
	if last {
		find, parts = strings.LastIndex, []string{"", "", s}
	}
	if i := find(s, sep); i >= 0 {
		parts = []string{s[:i], sep, s[i+len(sep):]}
	}
	return &Tuple{Items: likeAll(x, parts)}
}

// replace replaces the first n occurrences of old, all if n is negative.
func (r *run) replace(s, old, with string, n int64) string {
	r.scan(len(s))
	found := strings.Count(s, old)
	if n >= 0 && int64(found) > n {
		found = int(n)
	}
	r.alloc(len(s))
	r.allocTimes(len(with), found)
	return strings.Replace(s, old, with, found)
}

// joinStrict is str.join, which takes text only.
func (r *run) joinStrict(sep Value, items []Value) Value {
	s, _ := text(sep)
	r.slots(len(items))
	r.step(1 + len(items))
	parts := make([]string, len(items))
	_, safe := sep.(Markup)
	for i, e := range items {
		t, ok := text(e)
		if safe {
			t, ok = string(r.escapeValue(e)), true
		}
		if !ok {
			fail("sequence item %d: expected str instance, %s found", i, typeName(e))
		}
		parts[i] = t
	}
	return like(sep, r.concat(parts, s))
}

func (r *run) expandTabs(s string, size int) string {
	r.scan(len(s))
	r.alloc(len(s))
	r.allocTimes(size, strings.Count(s, "\t"))
	var b strings.Builder
	col := 0
	for _, c := range s {
		switch c {
		case '\t':
			if size > 0 {
				n := size - col%size
				b.WriteString(strings.Repeat(" ", n))
				col += n
			}
			continue
		case '\n', '\r':
			col = -1
		}
		b.WriteRune(c)
		col++
	}
	return b.String()
}
