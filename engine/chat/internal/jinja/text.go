package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// str is Python's str(); undefined gives no text.
func (r *run) str(v Value) string {
	switch x := v.(type) {
	case string:
		return x
	case Markup:
		return string(x)
	case *undefined:
		return ""
	case int64:
		return strconv.FormatInt(x, 10)
	}
	return r.repr(v)
}

// repr is Python's repr().
func (r *run) repr(v Value) string {
	p := printer{r: r}
	p.repr(v)
	r.alloc(p.b.Len())
	return p.b.String()
}

// printer writes values as Python does, under the limits of r.
type printer struct {
	r *run
	b strings.Builder
}

func (p *printer) room() {
	if p.b.Len() > p.r.bytes {
		failLimit("makes too much text")
	}
}

func (p *printer) repr(v Value) {
	p.r.step(1)
	p.r.enter()
	defer p.r.leave()
	p.room()
	switch x := v.(type) {
	case nil:
		p.b.WriteString("None")
	case *undefined:
		p.b.WriteString("Undefined")
	case bool:
		if x {
			p.b.WriteString("True")
		} else {
			p.b.WriteString("False")
		}
	case int64:
		p.b.WriteString(strconv.FormatInt(x, 10))
	case *big.Int:
		p.r.step(256)
		p.b.WriteString(x.String())
	case float64:
		p.b.WriteString(floatText(x))
	case string:
		p.quote(x)
	case Markup:
		p.b.WriteString("Markup(")
		p.quote(string(x))
		p.b.WriteByte(')')
	case *List:
		p.list("[", x.Items, "]")
	case *Tuple:
		end := ")"
		if len(x.Items) == 1 {
			end = ",)"
		}
		p.list("(", x.Items, end)
	case *Dict:
		p.b.WriteByte('{')
		for i, k := range x.keys {
			if i > 0 {
				p.b.WriteString(", ")
			}
			p.repr(k)
			p.b.WriteString(": ")
			p.repr(x.vals[i])
		}
		p.b.WriteByte('}')
	case *view:
		p.list(typeName(v)+"([", p.r.items(v), "])")
	case *span:
		p.b.WriteString("range(" + strconv.FormatInt(x.start, 10) + ", " + strconv.FormatInt(x.stop, 10))
		if x.step != 1 {
			p.b.WriteString(", " + strconv.FormatInt(x.step, 10))
		}
		p.b.WriteByte(')')
	case *namespace:
		p.b.WriteString("<Namespace ")
		p.repr(x.attrs)
		p.b.WriteByte('>')
	case *loop:
		p.b.WriteString("<LoopContext " + strconv.Itoa(x.i+1) + "/" + strconv.Itoa(len(x.items)) + ">")
	case *macro:
		p.b.WriteString("<Macro ")
		p.quote(x.def.title)
		p.b.WriteByte('>')
	default: // Python would print an address
		p.b.WriteString("<" + typeName(v) + ">")
	}
}

func (p *printer) list(open string, items []Value, end string) {
	p.b.WriteString(open)
	for i, e := range items {
		if i > 0 {
			p.b.WriteString(", ")
		}
		p.repr(e)
	}
	p.b.WriteString(end)
}

func (p *printer) quote(s string) {
	p.r.scan(len(s))
	writeQuoted(&p.b, s)
	p.room()
}

// writeQuoted writes a Python string literal.
func writeQuoted(b *strings.Builder, s string) {
	q := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	b.WriteRune(q)
	for _, c := range s {
		switch {
		case c == q || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c < 0x100:
			writeHex(b, `\x`, c, 2)
		case c < 0x10000:
			writeHex(b, `\u`, c, 4)
		default:
			writeHex(b, `\U`, c, 8)
		}
	}
	b.WriteRune(q)
}

// writeHex writes c after mark with n hexadecimal digits.
func writeHex(b *strings.Builder, mark string, c rune, n int) {
	b.WriteString(mark)
	for n--; n >= 0; n-- {
		b.WriteByte("0123456789abcdef"[c>>(4*n)&15])
	}
}

// quoteShort quotes a name for an error message, cut if it is long.
func quoteShort(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	var b strings.Builder
	writeQuoted(&b, s)
	return b.String()
}

// reprShort writes a key for an error message.
func reprShort(v Value) string {
	switch x := v.(type) {
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return floatText(x)
	case string:
		return quoteShort(x)
	case bool:
		if x {
			return "True"
		}
		return "False"
	case nil:
		return "None"
	}
	return "<" + typeName(v) + ">"
}

// floatText is Python's repr of a float: the shortest digits that read back the
// same, with an exponent below 1e-4 and from 1e16 on, and never without a mark
// of being a float.
func floatText(f float64) string {
	a := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		if f > 0 {
			return "inf"
		}
		return "-inf"
	case a != 0 && (a < 1e-4 || a >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// escape is markupsafe's escape for text.
func (r *run) escape(s string) string {
	r.scan(len(s))
	if !strings.ContainsAny(s, `&<>'"`) {
		return s
	}
	r.allocTimes(5, len(s))
	return htmlEscaper.Replace(s)
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")

// escapeValue is escape for any value: Markup stays as it is.
func (r *run) escapeValue(v Value) Markup {
	if m, ok := v.(Markup); ok {
		return m
	}
	return Markup(r.escape(r.str(v)))
}
