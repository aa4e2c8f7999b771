package msl

import (
	"cmp"
	"strconv"
	"strings"
)

// kind says what a token is.
type kind uint8

const (
	ident kind = iota + 1
	number
	text // string or character literal
	punct
	pragma // a whole #pragma line
)

// token is one token of preprocessed text, with its place in the text the caller gave.
type token struct {
	kind  kind
	text  string
	file  int // index into unit.files
	line  int // 1-based, in that file
	col   int // 1-based, in the preprocessed line: equal to the source's where no macro and no extra blank stands before
	nth   int // how many tokens of this spelling stand before it on its line
	space bool
	was   string // the source's spelling, where text is another
}

// spelling is the token as it stands in the source.
func (t token) spelling() string { return cmp.Or(t.was, t.text) }

func (t token) is(s string) bool { return t.text == s && t.kind != text }

// source is preprocessed text as tokens.
type source struct {
	files  []string
	tokens []token
}

// lex splits the output of clang -E. Line markers (# 12 "file") set the place of what follows.
func lex(in string) source {
	var s source
	fileIndex := map[string]int{}
	file, line := 0, 1
	fileOf := func(name string) int {
		i, ok := fileIndex[name]
		if !ok {
			i = len(s.files)
			s.files = append(s.files, name)
			fileIndex[name] = i
		}
		return i
	}
	s.tokens = make([]token, 0, len(in)/4)
	for len(in) > 0 {
		l := in
		if i := strings.IndexByte(in, '\n'); i >= 0 {
			l, in = in[:i], in[i+1:]
		} else {
			in = ""
		}
		if strings.HasPrefix(l, "# ") {
			if f := strings.SplitN(l[2:], " ", 2); len(f) == 2 {
				if n, err := strconv.Atoi(f[0]); err == nil && strings.HasPrefix(f[1], `"`) {
					name := f[1]
					if q := strings.LastIndexByte(name, '"'); q > 0 {
						if u, err := strconv.Unquote(name[:q+1]); err == nil {
							name = u
						}
					}
					file, line = fileOf(name), n
					continue
				}
			}
		}
		if len(s.files) == 0 {
			file = fileOf("program_source")
		}
		if t := strings.TrimSpace(l); strings.HasPrefix(t, "#pragma") {
			s.tokens = append(s.tokens, token{kind: pragma, text: t, file: file, line: line, col: 1})
			line++
			continue
		}
		first := len(s.tokens)
		for i := 0; i < len(l); {
			c := l[i]
			if c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' {
				i++
				continue
			}
			n, k := scan(l[i:])
			t := token{kind: k, text: l[i : i+n], file: file, line: line, col: i + 1, space: i > 0 && l[i-1] == ' '}
			for _, p := range s.tokens[first:] {
				if p.text == t.text {
					t.nth++
				}
			}
			s.tokens = append(s.tokens, t)
			i += n
		}
		line++
	}
	return s
}

// lexUnit is lex for a whole source: an empty token stands before the first, so that every token has
// one before it.
func lexUnit(in string) source {
	s := lex(in)
	if len(s.files) == 0 {
		s.files = []string{sourceName}
	}
	s.tokens = append([]token{{kind: punct, line: 1}}, s.tokens...)
	return s
}

// puncts are C++'s operators of more than one character, longest first. ">>" is left as two tokens,
// which is what a template argument list needs; emit joins what stood together.
var puncts = []string{"<<=", "...", "->*", "::", "->", "++", "--", "<<", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "##", ".*"}

// scan measures the token at the start of s, which does not start with a blank.
func scan(s string) (int, kind) {
	c := s[0]
	switch {
	case isLetter(c):
		i := 1
		for i < len(s) && (isLetter(s[i]) || isDigit(s[i])) {
			i++
		}
		return i, ident
	case isDigit(c) || c == '.' && len(s) > 1 && isDigit(s[1]):
		i := 1
		for i < len(s) {
			d := s[i]
			if (d == '+' || d == '-') && strings.IndexByte("eEpP", s[i-1]) >= 0 && !hexDigits(s[:i]) {
				i++
			} else if isLetter(d) || isDigit(d) || d == '.' || d == '\'' {
				i++
			} else {
				break
			}
		}
		return i, number
	case c == '"' || c == '\'':
		for i := 1; i < len(s); i++ {
			if s[i] == '\\' {
				i++
			} else if s[i] == c {
				return i + 1, text
			}
		}
		return len(s), text
	}
	for _, p := range puncts {
		if strings.HasPrefix(s, p) {
			return len(p), punct
		}
	}
	return 1, punct
}

// hexDigits reports whether s is a hexadecimal integer so far, in which e is a digit.
func hexDigits(s string) bool {
	return len(s) > 1 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && !strings.ContainsAny(s, "pP")
}

func isLetter(c byte) bool {
	return c == '_' || c == '$' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// match returns the index of the bracket that closes the one at i, or -1.
func match(t []token, i int) int {
	depth := 0
	for ; i < len(t); i++ {
		if t[i].kind != punct {
			continue
		}
		switch t[i].text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// matchAngle returns the index of the ">" that closes the "<" at i if what stands between can be a
// template argument list, else -1.
func matchAngle(t []token, i int) int {
	depth := 0
	for ; i < len(t); i++ {
		if t[i].kind != punct {
			continue
		}
		switch t[i].text {
		case "<":
			depth++
		case ">":
			if depth--; depth == 0 {
				return i
			}
		case "(", "[", "{":
			if i = match(t, i); i < 0 {
				return -1
			}
		case ";", ")", "]", "}", "&&", "||":
			return -1
		}
	}
	return -1
}
