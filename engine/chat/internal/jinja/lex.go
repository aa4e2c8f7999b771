package jinja

import "strings"

type tokenKind uint8

const (
	tokEOF   tokenKind = iota
	tokData            // text between tags
	tokPrint           // {{
	tokBlock           // {%
	tokEnd             // }} or %}
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
)

type token struct {
	kind tokenKind
	line int
	s    string
	v    Value // of a number
}

type lexer struct {
	src  string
	toks []token
	line *int
	// lineStart says that what was read last ended with a newline, so that
	// blanks before a block tag stand at the start of a line.
	lineStart bool
}

func (l *lexer) emit(t token) {
	t.line = *l.line
	l.toks = append(l.toks, t)
}

// data emits text, if there is any.
func (l *lexer) data(s string) {
	if s != "" {
		l.emit(token{kind: tokData, s: s})
	}
}

// lex splits a template into tokens and settles the whitespace around tags:
// trim_blocks takes one newline after a block or comment, lstrip_blocks the
// blanks before one that begins a line, '-' all whitespace on its side, and '+'
// keeps what the first two would take.
func lex(src string, line *int) []token {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	l := &lexer{src: src, line: line, lineStart: true}
	*line = 1
	for pos := 0; ; {
		at := tagStart(src, pos)
		if at < 0 {
			l.data(src[pos:])
			*line += strings.Count(src[pos:], "\n")
			l.emit(token{kind: tokEOF})
			return l.toks
		}
		kind, body := src[at+1], at+2
		var sign byte
		if body < len(src) && (src[body] == '-' || src[body] == '+') {
			sign = src[body]
			body++
		}
		l.data(l.before(src[pos:at], sign, kind != '{'))
		*line += strings.Count(src[pos:at], "\n")
		switch kind {
		case '#':
			pos = l.comment(body)
		case '%':
			if p, ok := rawStart(src, body); ok {
				pos = l.raw(body, p)
				continue
			}
			l.emit(token{kind: tokBlock})
			p, sign := l.lexTag(body, "%}")
			l.emit(token{kind: tokEnd})
			pos = l.after(p, sign, true)
		case '{':
			l.emit(token{kind: tokPrint})
			p, sign := l.lexTag(body, "}}")
			l.emit(token{kind: tokEnd})
			pos = l.after(p, sign, false)
		}
	}
}

// tagStart finds the next "{{", "{%" or "{#".
func tagStart(src string, pos int) int {
	for {
		i := strings.IndexByte(src[pos:], '{')
		if i < 0 || pos+i+1 == len(src) {
			return -1
		}
		pos += i
		switch src[pos+1] {
		case '{', '%', '#':
			return pos
		}
		pos++
	}
}

// before settles the end of the text that stands before a tag.
func (l *lexer) before(text string, sign byte, block bool) string {
	switch {
	case sign == '-':
		return strings.TrimRightFunc(text, isSpace)
	case sign == 0 && block:
		cut := strings.LastIndexByte(text, '\n') + 1
		if (cut > 0 || l.lineStart) && strings.TrimLeftFunc(text[cut:], isSpace) == "" {
			return text[:cut]
		}
	}
	return text
}

// after returns the position where text goes on after a tag that ended at p.
func (l *lexer) after(p int, sign byte, trim bool) int {
	q := p
	switch {
	case sign == '-':
		q = len(l.src) - len(strings.TrimLeftFunc(l.src[p:], isSpace))
	case sign == 0 && trim && strings.HasPrefix(l.src[p:], "\n"):
		q++
	}
	l.lineStart = l.src[q-1] == '\n'
	*l.line += strings.Count(l.src[p:q], "\n")
	return q
}

func (l *lexer) comment(body int) int {
	n := strings.Index(l.src[body:], "#}")
	if n < 0 {
		fail("comment is not closed")
	}
	*l.line += strings.Count(l.src[body:body+n], "\n")
	var sign byte
	if n > 0 && (l.src[body+n-1] == '-' || l.src[body+n-1] == '+') {
		sign = l.src[body+n-1]
	}
	return l.after(body+n+2, sign, true)
}

// rawStart reads "raw %}" from p and returns the position after it.
func rawStart(src string, p int) (int, bool) {
	rest, ok := strings.CutPrefix(strings.TrimLeftFunc(src[p:], isSpace), "raw")
	if !ok {
		return 0, false
	}
	rest = strings.TrimLeftFunc(rest, isSpace)
	if after, ok := strings.CutPrefix(rest, "-%}"); ok {
		return len(src) - len(after), true
	}
	after, ok := strings.CutPrefix(rest, "%}")
	return len(src) - len(after), ok
}

// raw emits the text of a raw block whose opening tag ends at p. jinja2 takes
// no newline after that tag, only after the closing one.
func (l *lexer) raw(tag, p int) int {
	src := l.src
	*l.line += strings.Count(src[tag:p], "\n")
	var sign byte
	if src[p-3] == '-' {
		sign = '-'
	}
	p = l.after(p, sign, false)
	for q := p; ; q += 2 {
		i := strings.Index(src[q:], "{%")
		if i < 0 {
			fail("raw block is not closed")
		}
		q += i
		rest := src[q+2:]
		sign = 0
		if rest != "" && (rest[0] == '-' || rest[0] == '+') {
			sign = rest[0]
			rest = rest[1:]
		}
		rest, ok := strings.CutPrefix(strings.TrimLeftFunc(rest, isSpace), "endraw")
		if !ok {
			continue
		}
		rest = strings.TrimLeftFunc(rest, isSpace)
		var end byte
		if rest != "" && (rest[0] == '-' || rest[0] == '+') {
			end = rest[0]
			rest = rest[1:]
		}
		if rest, ok = strings.CutPrefix(rest, "%}"); !ok {
			continue
		}
		l.data(l.before(src[p:q], sign, true))
		*l.line += strings.Count(src[p:len(src)-len(rest)], "\n")
		return l.after(len(src)-len(rest), end, true)
	}
}
