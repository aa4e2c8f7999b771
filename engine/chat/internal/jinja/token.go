package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lexTag reads the tokens of one tag from src[p:] up to its end mark, and the
// mark. It returns the position after it and what the mark says of the
// whitespace that follows: '-', '+' or 0.
func (l *lexer) lexTag(p int, end string) (next int, sign byte) {
	src := l.src
	var open []byte // closing brackets awaited
	for p < len(src) {
		c := src[p]
		if len(open) == 0 {
			if strings.HasPrefix(src[p:], end) {
				return p + 2, 0
			}
			if (c == '-' || c == '+' && end == "%}") && strings.HasPrefix(src[p+1:], end) {
				return p + 3, c
			}
		}
		switch {
		case c == '\n':
			*l.line++
			p++
		case c == '"' || c == '\'':
			p = l.lexString(p)
		case c >= '0' && c <= '9':
			p = l.lexNumber(p)
		default:
			r, n := utf8.DecodeRuneInString(src[p:])
			if isSpace(r) {
				p += n
				continue
			}
			if r == '_' || unicode.IsLetter(r) {
				q := p + n
				for q < len(src) {
					r, n := utf8.DecodeRuneInString(src[q:])
					if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
						break
					}
					q += n
				}
				l.emit(token{kind: tokName, s: src[p:q]})
				p = q
				continue
			}
			op := operator(src[p:])
			switch op {
			case "":
				fail("unexpected character %q", r)
			case "(":
				open = append(open, ')')
			case "[":
				open = append(open, ']')
			case "{":
				open = append(open, '}')
			case ")", "]", "}":
				if len(open) == 0 || open[len(open)-1] != op[0] {
					fail("unexpected %q", op)
				}
				open = open[:len(open)-1]
			}
			l.emit(token{kind: tokOp, s: op})
			p += len(op)
		}
	}
	fail("tag is not closed")
	return
}

// operator returns the operator that s begins with, or "".
func operator(s string) string {
	if len(s) > 1 {
		switch s[:2] {
		case "**", "//", "==", "!=", "<=", ">=":
			return s[:2]
		}
	}
	if strings.IndexByte("+-*/%~()[]{}<>=.:|,;", s[0]) >= 0 {
		return s[:1]
	}
	return ""
}

func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// lexNumber reads an integer or a float: digits may be parted by single
// underscores, 0x, 0o and 0b begin an integer.
func (l *lexer) lexNumber(p int) int {
	src := l.src
	digits := func(q int, ok func(byte) bool) int {
		for q < len(src) && (ok(src[q]) || src[q] == '_' && q+1 < len(src) && ok(src[q+1])) {
			q++
		}
		return q
	}
	if src[p] == '0' && p+2 < len(src) {
		base, ok := 0, isDigit
		switch src[p+1] | 0x20 {
		case 'x':
			base, ok = 16, func(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
		case 'o':
			base, ok = 8, func(c byte) bool { return c >= '0' && c <= '7' }
		case 'b':
			base, ok = 2, func(c byte) bool { return c == '0' || c == '1' }
		}
		if base != 0 {
			if q := digits(p+2, ok); q > p+2 {
				l.emitInt(src[p+2:q], base)
				return q
			}
		}
	}
	q := digits(p, isDigit)
	float := false
	if p == 0 || src[p-1] != '.' {
		if q+1 < len(src) && src[q] == '.' && isDigit(src[q+1]) {
			float = true
			q = digits(q+1, isDigit)
		}
		if q < len(src) && src[q]|0x20 == 'e' {
			e := q + 1
			if e < len(src) && (src[e] == '+' || src[e] == '-') {
				e++
			}
			if e < len(src) && isDigit(src[e]) {
				float = true
				q = digits(e, isDigit)
			}
		}
	}
	if !float {
		if strings.Trim(src[p:q], "0_") != "" && src[p] == '0' {
			fail("number %q has leading zeros", src[p:q])
		}
		l.emitInt(src[p:q], 10)
		return q
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(src[p:q], "_", ""), 64)
	if err != nil && !math.IsInf(f, 0) {
		fail("number %q", src[p:q])
	}
	l.emit(token{kind: tokFloat, s: src[p:q], v: f})
	return q
}

func (l *lexer) emitInt(digits string, base int) {
	if len(digits) > maxDigits {
		fail("number of %d digits", len(digits))
	}
	i, ok := new(big.Int).SetString(strings.ReplaceAll(digits, "_", ""), base)
	if !ok || i.BitLen() > maxBits {
		fail("number %q", digits)
	}
	l.emit(token{kind: tokInt, s: digits, v: normInt(i)})
}

// lexString reads a string literal.
func (l *lexer) lexString(p int) int {
	src, q := l.src, p+1
	for q < len(src) && src[q] != src[p] {
		if src[q] == '\\' {
			q++
		}
		q++
	}
	if q >= len(src) {
		fail("string is not closed")
	}
	l.emit(token{kind: tokString, s: unescape(src[p+1 : q])})
	*l.line += strings.Count(src[p:q], "\n")
	return q + 1
}

// unescape decodes a string literal as Python's unicode_escape does.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		hex := 0
		switch c := s[i]; c {
		case '\n':
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'a':
			b.WriteByte('\a')
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'v':
			b.WriteByte('\v')
		case '\\', '\'', '"':
			b.WriteByte(c)
		case 'x':
			hex = 2
		case 'u':
			hex = 4
		case 'U':
			hex = 8
		case 'N':
			fail(`\N in a string is not supported`)
		case '0', '1', '2', '3', '4', '5', '6', '7':
			v, j := rune(0), i
			for ; j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7'; j++ {
				v = v*8 + rune(s[j]-'0')
			}
			b.WriteRune(v)
			i = j - 1
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
		if hex > 0 {
			if i+hex >= len(s) {
				fail(`\%c in a string is cut short`, s[i])
			}
			v, err := strconv.ParseUint(s[i+1:i+1+hex], 16, 32)
			if err != nil || v > unicode.MaxRune {
				fail(`\%s in a string is no character`, s[i:i+1+hex])
			}
			b.WriteRune(rune(v))
			i += hex
		}
	}
	return b.String()
}
