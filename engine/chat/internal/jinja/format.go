package jinja

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxWidth bounds the width and precision of a format.
const maxWidth = 4096

// spec is how one value is to be written, in % formats and in str.format.
type spec struct {
	fill             string
	align            byte // '<', '>', '^', '=' or 0
	sign             byte // '+', ' ' or 0
	alt, zero        bool // zero: zeros between the sign and the digits
	group            byte // ',' or '_' between groups of digits, or 0
	width, precision int  // precision -1: none
	verb             byte
}

// percent is Python's s % v. like gives the kind of the result.
func (r *run) percent(kind Value, s string, v Value) Value {
	_, safe := kind.(Markup)
	args := []Value{v}
	if t, ok := v.(*Tuple); ok {
		args = t.Items
	}
	dict, _ := v.(*Dict)
	spare := dict != nil // whether v may stay unused: Python asks for a mapping, and is content with a list
	switch v.(type) {
	case *List, *span, *undefined:
		spare = true
	}
	used := 0
	take := func() Value {
		if used == len(args) {
			fail("not enough arguments for format string")
		}
		used++
		return args[used-1]
	}
	var out []string
	for s != "" {
		lit, rest, ok := strings.Cut(s, "%")
		r.slots(2)
		out = append(out, lit)
		if s = rest; !ok {
			break
		}
		from := take
		if strings.HasPrefix(s, "(") {
			name, after, ok := strings.Cut(s[1:], ")")
			if !ok {
				fail("incomplete format key")
			}
			if dict == nil {
				fail("format requires a mapping")
			}
			x, ok := dict.Get(name)
			if !ok {
				fail("KeyError: %s", quoteShort(name))
			}
			s, from, used = after, func() Value { return x }, len(args)
		}
		var f spec
		f, s = r.percentSpec(s, take)
		if f.verb == '%' {
			out = append(out, "%")
			continue
		}
		x := from()
		t := r.percentValue(f, x)
		if safe {
			t = string(r.escapeValue(like(x, t)))
		}
		out = append(out, t)
	}
	if used < len(args) && !spare {
		fail("not all arguments converted during string formatting")
	}
	return like(kind, r.concat(out, ""))
}

// percentSpec reads the flags, width, precision and verb after a '%'.
func (r *run) percentSpec(s string, take func() Value) (f spec, rest string) {
	f = spec{fill: " ", precision: -1, align: '>'}
	i := 0
	for ; i < len(s) && strings.IndexByte("-+ #0", s[i]) >= 0; i++ {
		switch s[i] {
		case '-':
			f.align = '<'
		case '+':
			f.sign = '+'
		case ' ':
			if f.sign == 0 {
				f.sign = ' '
			}
		case '#':
			f.alt = true
		case '0':
			f.zero = true
		}
	}
	number := func() int {
		if i < len(s) && s[i] == '*' {
			i++
			n, ok := integer(take())
			if !ok {
				fail("* wants int")
			}
			if n < 0 {
				f.align, n = '<', -n
			}
			return limitWidth(n)
		}
		from := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		return parseWidth(s[from:i])
	}
	f.width = number()
	if i < len(s) && s[i] == '.' {
		i++
		f.precision = number()
	}
	for i < len(s) && strings.IndexByte("hlL", s[i]) >= 0 {
		i++
	}
	if i == len(s) {
		fail("incomplete format")
	}
	f.verb = s[i]
	if f.align == '<' {
		f.zero = false
	}
	return f, s[i+1:]
}

func parseWidth(digits string) int {
	if len(digits) > 9 {
		fail("format is too wide")
	}
	n, _ := strconv.Atoi(digits)
	return limitWidth(int64(n))
}

func limitWidth(n int64) int {
	if n > maxWidth || n < 0 {
		fail("format is wider than %d", maxWidth)
	}
	return int(n)
}

func (r *run) percentValue(f spec, v Value) string {
	switch f.verb {
	case 's', 'r', 'a':
		t := ""
		switch f.verb {
		case 's':
			t = r.str(v)
		case 'r':
			t = r.repr(v)
		default:
			fail("format %%a is not supported")
		}
		f.zero = false
		return r.pad(f, "", cut(t, f.precision))
	case 'c':
		if t, ok := text(v); ok && utf8.RuneCountInString(t) == 1 {
			return r.pad(f, "", t)
		}
		if n, ok := integer(v); ok && n >= 0 && n <= utf8.MaxRune {
			return r.pad(f, "", string(rune(n)))
		}
		fail("%%c requires int or char")
	case 'd', 'i', 'u':
		defined(v)
		x, isFloat := v.(float64)
		if isFloat {
			v = truncatedOr(x)
		}
		f.verb = 'd'
	case 'x', 'X', 'o':
	case 'e', 'E', 'f', 'F', 'g', 'G':
		x, ok := float(v)
		if !ok {
			fail("must be real number, not %s", typeName(v))
		}
		v = x
	default:
		fail("unsupported format character %s", quoteShort(string(rune(f.verb))))
	}
	if !isNumber(v) {
		fail("%%%c format: a real number is required, not %s", f.verb, typeName(v))
	}
	return r.number(f, v)
}

// cut keeps the first n characters, all if n is negative.
func cut(s string, n int) string {
	if n < 0 {
		return s
	}
	return substring(s, 0, n)
}

// number writes a number with sign, digits and padding.
func (r *run) number(f spec, v Value) string {
	var digits, sign string
	if x, ok := v.(float64); ok {
		digits = floatDigits(f, x)
	} else {
		digits = intDigits(f, bigInt(v))
	}
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	} else if f.sign != 0 {
		sign = string(rune(f.sign))
	}
	if f.alt {
		switch f.verb {
		case 'x', 'X', 'o', 'b':
			sign += "0" + string(rune(f.verb))
		}
	}
	if f.group != 0 {
		digits = group(digits, f)
	}
	return r.pad(f, sign, digits)
}

func intDigits(f spec, x *big.Int) string {
	base := map[byte]int{'x': 16, 'X': 16, 'o': 8, 'b': 2}[f.verb]
	if base == 0 {
		base = 10
	}
	s := x.Text(base)
	if f.verb == 'X' {
		s = strings.ToUpper(s)
	}
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if n := f.precision - len(s); n > 0 {
		s = strings.Repeat("0", n) + s
	}
	if neg {
		s = "-" + s
	}
	return s
}

func floatDigits(f spec, x float64) string {
	p := f.precision
	switch verb := f.verb; verb {
	case 0:
		if p < 0 {
			return floatText(x)
		}
		verb = 'g'
		fallthrough
	default:
		if p < 0 {
			p = 6
		}
		mark := ""
		if verb == '%' {
			x, verb, mark = x*100, 'f', "%"
		}
		if x != x || x-x != 0 {
			s := floatText(x)
			if verb >= 'A' && verb <= 'Z' {
				s = strings.ToUpper(s)
			}
			return s + mark
		}
		if verb == 'F' {
			verb = 'f'
		}
		if verb|0x20 == 'g' && p == 0 {
			p = 1
		}
		s := strconv.FormatFloat(x, verb, p, 64)
		if f.verb == 0 && !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s + mark
	}
}

// group parts the whole part into groups of three digits, of four if they are
// not decimal.
func group(digits string, f spec) string {
	size, n := 3, strings.IndexAny(digits, ".e%")
	if strings.IndexByte("xXob", f.verb) >= 0 {
		size, n = 4, -1
	}
	if n < 0 {
		n = len(digits)
	}
	for i := n - size; i > 0; i -= size {
		digits = digits[:i] + string(rune(f.group)) + digits[i:]
	}
	return digits
}

// pad brings text to the width of the format; zeros go after the sign.
func (r *run) pad(f spec, sign, s string) string {
	n := f.width - utf8.RuneCountInString(s) - len(sign)
	if n <= 0 {
		return sign + s
	}
	r.alloc(len(s) + f.width*4)
	if f.zero {
		return sign + strings.Repeat("0", n) + s
	}
	switch f.align {
	case '<':
		return sign + s + strings.Repeat(f.fill, n)
	case '^':
		return strings.Repeat(f.fill, n/2) + sign + s + strings.Repeat(f.fill, n-n/2)
	case '=':
		return sign + strings.Repeat(f.fill, n) + s
	}
	return strings.Repeat(f.fill, n) + sign + s
}
