package jinja

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// format is str.format: {}, {0}, {name}, {a.b[c]}, !r and !s, and the format
// specs of numbers and text.
func (r *run) format(x Value, a callArgs) Value {
	s, _ := text(x)
	_, safe := x.(Markup)
	var out []string
	auto, numbered := 0, false
	for s != "" {
		i := strings.IndexAny(s, "{}")
		r.slots(2)
		if i < 0 {
			out = append(out, s)
			break
		}
		out = append(out, s[:i])
		if i+1 < len(s) && s[i+1] == s[i] {
			out = append(out, s[i:i+1])
			s = s[i+2:]
			continue
		}
		if s[i] == '}' {
			fail("Single '}' encountered in format string")
		}
		field, rest, ok := strings.Cut(s[i+1:], "}")
		if !ok {
			fail("expected '}' before end of string")
		}
		s = rest
		if strings.Contains(field, "{") {
			fail("a field inside a format spec is not supported")
		}
		field, f, _ := strings.Cut(field, ":")
		field, conv, _ := strings.Cut(field, "!")
		name := field
		if end := strings.IndexAny(field, ".["); end >= 0 {
			name = field[:end]
		}
		var v Value
		n, isNumber := 0, name == ""
		if isNumber {
			n = auto
			auto++
		} else if i, err := strconv.Atoi(name); err == nil {
			n, isNumber, numbered = i, true, true
		}
		if auto > 0 && numbered {
			fail("cannot switch from automatic field numbering to manual field specification")
		}
		if isNumber {
			if n < 0 || n >= len(a.pos) {
				fail("Replacement index %d out of range for positional args tuple", n)
			}
			v = a.pos[n]
		} else {
			v = named(a, name)
		}
		v = r.fieldPath(v, field[len(name):])
		switch conv {
		case "", "s":
			if conv == "s" {
				v = r.str(v)
			}
		case "r":
			v = r.repr(v)
		default:
			fail("Unknown conversion specifier %s", quoteShort(conv))
		}
		t := r.formatValue(f, v)
		if safe {
			t = string(r.escapeValue(like(v, t)))
		}
		out = append(out, t)
	}
	return like(x, r.concat(out, ""))
}

func named(a callArgs, name string) Value {
	for _, k := range a.kw {
		if k.name == name {
			return k.v
		}
	}
	fail("KeyError: %s", quoteShort(name))
	return nil
}

// fieldPath follows .name and [key] after a field's name.
func (r *run) fieldPath(v Value, path string) Value {
	for path != "" {
		r.step(1)
		if path[0] == '.' {
			end := strings.IndexAny(path[1:], ".[")
			if end < 0 {
				end = len(path) - 1
			}
			v = r.attr(v, path[1:1+end])
			path = path[1+end:]
			continue
		}
		key, rest, ok := strings.Cut(path[1:], "]")
		if path[0] != '[' || !ok {
			fail("Missing ']' in format string")
		}
		if i, err := strconv.Atoi(key); err == nil {
			v = r.item(v, int64(i))
		} else {
			v = r.item(v, key)
		}
		path = rest
	}
	return v
}

// formatValue is Python's format(): a value by a format spec.
func (r *run) formatValue(format string, v Value) string {
	if format == "" {
		return r.str(v)
	}
	f := parseSpec(format)
	switch x := v.(type) {
	case string, Markup:
		if f.verb != 0 && f.verb != 's' {
			fail("Unknown format code '%c' for object of type 'str'", f.verb)
		}
		if f.align == 0 {
			f.align = '<'
		}
		if f.zero {
			f.fill, f.zero = "0", false
		}
		t, _ := text(x)
		return r.pad(f, "", cut(t, f.precision))
	case float64:
		if f.verb == 'n' {
			f.verb = 'g'
		}
		if strings.IndexByte("\x00eEfFgG%", f.verb) < 0 {
			fail("Unknown format code '%c' for object of type 'float'", f.verb)
		}
		return r.number(f, v)
	}
	if !isNumber(v) {
		fail("unsupported format string passed to %s.__format__", typeName(v))
	}
	if f.verb == 'n' {
		f.verb = 'd'
	}
	if f.verb == 'c' {
		return r.percentValue(f, v)
	}
	if strings.IndexByte("eEfFgG%", f.verb) >= 0 {
		v, _ = float(v)
	} else if strings.IndexByte("\x00dxXob", f.verb) < 0 {
		fail("Unknown format code '%c' for object of type 'int'", f.verb)
	}
	if f.precision >= 0 {
		if _, ok := v.(float64); !ok {
			fail("Precision not allowed in integer format specifier")
		}
	}
	return r.number(f, v)
}

// parseSpec reads [[fill]align][sign][#][0][width][,][.precision][type].
func parseSpec(s string) spec {
	f := spec{fill: " ", precision: -1}
	filled := false
	if _, n := utf8.DecodeRuneInString(s); n < len(s) && strings.IndexByte("<>=^", s[n]) >= 0 {
		f.fill, f.align, s, filled = s[:n], s[n], s[n+1:], true
	} else if strings.IndexByte("<>=^", s[0]) >= 0 {
		f.align, s = s[0], s[1:]
	}
	next := func(set string) byte {
		if s == "" || strings.IndexByte(set, s[0]) < 0 {
			return 0
		}
		c := s[0]
		s = s[1:]
		return c
	}
	number := func() int {
		n := 0
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		w := parseWidth(s[:n])
		s = s[n:]
		return w
	}
	if f.sign = next("+- "); f.sign == '-' {
		f.sign = 0
	}
	f.alt = next("#") != 0
	if next("0") != 0 {
		if f.align == 0 {
			f.zero = true
		} else if !filled {
			f.fill = "0"
		}
	}
	f.width = number()
	f.group = next(",_")
	if next(".") != 0 {
		f.precision = number()
	}
	if f.verb = next("sdnxXobceEfFgG%"); s != "" {
		fail("Invalid format specifier")
	}
	return f
}

// truncatedOr is the whole part of a float, for %d.
func truncatedOr(x float64) Value {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		fail("cannot convert float %s to integer", floatText(x))
	}
	return truncated(x)
}
