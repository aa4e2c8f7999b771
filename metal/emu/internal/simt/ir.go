package simt

import (
	"iter"
	"strconv"
	"strings"
)

// module is the text of one object.
type module struct {
	lines     []string
	functions map[string]*function
	globals   map[string]string // type by name
}

type function struct {
	name   string
	params []string
	lo, hi int // its lines
	defs   map[string]definition
	calls  []callSite // of this function, anywhere
	shared bool       // its address is taken, or it is called from outside
}

type callSite struct {
	in   *function
	args []string
}

// definition is what a value is computed from: one source, or other values.
type definition struct {
	from source
	of   []string
}

func parseModule(ir string) *module {
	m := &module{lines: strings.Split(strings.TrimSuffix(ir, "\n"), "\n"), functions: map[string]*function{}, globals: map[string]string{}}
	var f *function
	for i, l := range m.lines {
		switch {
		case f != nil && l == "}":
			f.hi = i
			f = nil
		case f != nil:
			f.define(l)
		case strings.HasPrefix(l, "define "):
			if name, args, ok := callee(l); ok {
				f = &function{name: name, lo: i + 1, defs: map[string]definition{}, shared: !strings.Contains(l[:strings.Index(l, "@")], " internal ")}
				for _, a := range args {
					f.params = append(f.params, lastWord(a))
				}
				m.functions[name] = f
			}
		case strings.HasPrefix(l, "@"):
			if name, rest, ok := strings.Cut(l, " = "); ok {
				for _, w := range []string{" constant ", " global "} {
					if at := strings.Index(" "+rest, w); at >= 0 && !strings.Contains(rest[:at], "external") {
						m.globals[name] = typeOf((" " + rest)[at+len(w):])
						break
					}
				}
			}
		}
	}
	for _, f := range m.functions {
		for _, l := range m.lines[f.lo:f.hi] {
			m.findCalls(f, l)
		}
	}
	return m
}

// findCalls notes which functions a line calls, and which it uses in any other way.
func (m *module) findCalls(f *function, l string) {
	name, args, isCall := "", []string(nil), false
	if strings.Contains(l, "call ") {
		name, args, isCall = callee(l)
	}
	for rest := l; ; {
		at := strings.IndexByte(rest, '@')
		if at < 0 {
			return
		}
		n := nameAt(rest[at:])
		if g := m.functions[n]; g != nil {
			if isCall && n == name {
				g.calls = append(g.calls, callSite{f, args})
				isCall = false // a second mention is an argument
			} else {
				g.shared = true
			}
		}
		rest = rest[at+max(len(n), 1):]
	}
}

// define reads one instruction, if it defines what may be a pointer.
func (f *function) define(l string) {
	name, rest, ok := strings.Cut(strings.TrimLeft(l, " "), " = ")
	if !ok || !strings.HasPrefix(name, "%") {
		return
	}
	op, rest, _ := strings.Cut(rest, " ")
	switch op {
	case "getelementptr":
		for _, p := range split(rest)[1:] {
			if strings.Contains(p, "ptr") { // the base comes first; indices are integers
				f.defs[name] = definition{of: []string{lastWord(p)}}
				return
			}
		}
	case "select":
		if p := split(rest); len(p) >= 3 {
			f.defs[name] = definition{of: []string{lastWord(p[1]), lastWord(p[2])}}
		}
	case "phi":
		var of []string
		for _, p := range split(rest) {
			if !strings.HasPrefix(p, "!") {
				of = append(of, phiValue(p))
			}
		}
		f.defs[name] = definition{of: of}
	case "freeze", "bitcast", "inttoptr", "ptrtoint", "addrspacecast", "extractelement":
		p := split(rest)[0]
		if at := strings.Index(p, " to "); at >= 0 {
			p = p[:at]
		}
		f.defs[name] = definition{of: []string{lastWord(p)}}
	case "alloca":
		p := split(rest)
		d := definition{from: source{kind: fromLocal, known: true, object: name, typ: p[0]}}
		if len(p) > 1 && !strings.HasPrefix(p[1], "align") {
			d.from.known = false // of a number of elements only the program knows
		}
		f.defs[name] = d
	case "call", "tail":
		fn, args, ok := callee(l)
		if !ok || len(args) != 2 {
			return
		}
		a, aerr := strconv.Atoi(lastWord(args[0]))
		b, berr := strconv.Atoi(lastWord(args[1]))
		switch {
		case fn == "@msl_rt_buffer" && berr == nil:
			f.defs[name] = definition{from: source{kind: b, known: true}}
		case fn == "@msl_rt_threadgroup_argument" && berr == nil:
			f.defs[name] = definition{from: source{kind: fromTGArg + b, known: true}}
		case fn == "@msl_rt_threadgroup_variable" && aerr == nil && berr == nil:
			f.defs[name] = definition{from: source{kind: fromVariable, known: true, offset: a, size: b}}
		case fn == "@msl_rt_threadgroup_variable":
			f.defs[name] = definition{from: source{kind: fromTG, known: true}}
		}
	}
}

// phiValue is the value of "[ value, %block ]", with or without a type before it.
func phiValue(p string) string {
	at := strings.IndexByte(p, '[')
	if at < 0 {
		return ""
	}
	in := split(strings.TrimSuffix(strings.TrimSpace(p[at+1:]), "]"))
	return strings.TrimSpace(in[0])
}

// callee splits a call or a definition into the function's name and its arguments.
func callee(l string) (name string, args []string, ok bool) {
	at := strings.IndexByte(l, '@')
	if at < 0 {
		return "", nil, false
	}
	name = nameAt(l[at:])
	rest := l[at+len(name):]
	if !strings.HasPrefix(rest, "(") {
		return "", nil, false
	}
	end := closing(rest)
	if end < 0 {
		return "", nil, false
	}
	if s := strings.TrimSpace(rest[1:end]); s != "" {
		args = split(s)
	}
	return name, args, true
}

// nameAt is the @name or %name at the start of s.
func nameAt(s string) string {
	if strings.HasPrefix(s[1:], `"`) {
		if end := strings.IndexByte(s[2:], '"'); end >= 0 {
			return s[:end+3]
		}
	}
	n := 1
	for n < len(s) && (s[n] == '_' || s[n] == '.' || s[n] == '$' || s[n] == '-' || s[n] >= '0' && s[n] <= '9' || s[n]|32 >= 'a' && s[n]|32 <= 'z') {
		n++
	}
	return s[:n]
}

// lastWord is the value of "type attributes value".
func lastWord(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasSuffix(s, ")") || strings.HasSuffix(s, `"`) {
		if at := strings.IndexAny(s, "@%("); at >= 0 && s[at] != '(' && strings.HasSuffix(s, `"`) {
			return s[at:]
		}
		return ""
	}
	return s[strings.LastIndexByte(s, ' ')+1:]
}

// brackets ranges over the bytes of s outside quotes: where each is, and how many brackets are open
// after it.
func brackets(s string) iter.Seq2[int, int] {
	return func(yield func(at, open int) bool) {
		open, quoted := 0, false
		for i := range len(s) {
			switch c := s[i]; {
			case c == '"':
				quoted = !quoted
			case quoted:
				continue
			case strings.IndexByte("([{<", c) >= 0:
				open++
			case strings.IndexByte(")]}>", c) >= 0:
				open--
			}
			if !quoted && !yield(i, open) {
				return
			}
		}
	}
}

// closing finds the bracket that closes the one s begins with.
func closing(s string) int {
	for at, open := range brackets(s) {
		if open == 0 {
			return at
		}
	}
	return -1
}

// split cuts s at the commas outside brackets.
func split(s string) []string {
	var parts []string
	start := 0
	for at, open := range brackets(s) {
		if s[at] == ',' && open == 0 {
			parts = append(parts, strings.TrimSpace(s[start:at]))
			start = at + 1
		}
	}
	return append(parts, strings.TrimSpace(s[start:]))
}

// typeOf is the type s begins with.
func typeOf(s string) string {
	if s != "" && strings.IndexByte("[{<", s[0]) >= 0 {
		if end := closing(s); end > 0 {
			return s[:end+1]
		}
	}
	n := strings.IndexAny(s, " ,")
	if n < 0 {
		return s
	}
	return s[:n]
}
