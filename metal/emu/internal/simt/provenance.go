package simt

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Where a pointer may come from, as rt/machine.c has it. Numbers up to fromTG are bits of a mask.
const (
	fromTGArg    = maxBuffers     // and the index of the threadgroup argument
	fromTG       = 2 * maxBuffers // anywhere in threadgroup memory
	fromVariable = 2*maxBuffers + 3
	fromLocal    = 2*maxBuffers + 4
	fromConstant = 2*maxBuffers + 5
	fromAnywhere = 2*maxBuffers + 6
)

// provenance rewrites LLVM's assembler text of optimised kernels: a check that clang's address
// sanitizer put before an access becomes one against what the pointer was computed from (an
// argument, a threadgroup variable, a variable of the thread, a constant of the program), where the
// text tells. An access past the end of one buffer is then found even if it meets another.
//
// Before each call of a function that was not inlined comes a check that the stack has room for it.
//
// A pointer is followed back through address arithmetic, choices, loops and the parameters of
// functions that were not inlined. One that was read from memory may come from anywhere; its check
// stays as it is, against all that is bound.
func provenance(ir string) string {
	m := parseModule(ir)
	used := map[string]string{}
	for _, f := range m.functions {
		for i := f.lo; i < f.hi; i++ {
			m.lines[i] = m.instrument(f, m.lines[i], used)
		}
	}
	var b strings.Builder
	b.Grow(len(ir) + len(ir)/8)
	for _, l := range m.lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		fmt.Fprintf(&b, "declare void @%s(%s)\n", name, used[name])
	}
	return b.String()
}

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

// source is where pointers begin. The zero source is unknown.
type source struct {
	kind         int // a number above, or 0 with known false
	known        bool
	object, typ  string // of a variable or a constant: its name and type
	offset, size int    // of a threadgroup variable
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

// sources adds what a value of f comes from to set, as seen from home; false: it may come from anywhere.
func (m *module) sources(home, f *function, value string, set map[source]bool, seen map[string]bool) bool {
	value = strings.TrimSpace(value)
	switch {
	case value == "null" || value == "undef" || value == "poison":
		return true
	case strings.HasPrefix(value, "@"):
		if t := m.globals[value]; t != "" {
			set[source{kind: fromConstant, known: true, object: value, typ: t}] = true
			return true
		}
		return false
	case !strings.HasPrefix(value, "%"):
		return false
	}
	key := f.name + " " + value
	if seen[key] {
		return true
	}
	seen[key] = true
	if d, ok := f.defs[value]; ok {
		if d.of == nil {
			if !d.from.known || d.from.kind == fromLocal && f != home {
				return false // another function's variable has no name here
			}
			set[d.from] = true
			return true
		}
		for _, v := range d.of {
			if !m.sources(home, f, v, set, seen) {
				return false
			}
		}
		return true
	}
	i := slices.Index(f.params, value)
	if i < 0 || f.shared || len(f.calls) == 0 {
		return false
	}
	for _, c := range f.calls {
		if i >= len(c.args) || !m.sources(home, c.in, lastWord(c.args[i]), set, seen) {
			return false
		}
	}
	return true
}

// How memory is accessed, with the alignment times 4.
const (
	howWrite  = 1
	howAtomic = 2
)

// sanitizer maps the checks of clang's to their size; those of any size have 0.
var sanitizer = map[string]struct{ bytes, how int }{
	"@__asan_load1_noabort": {1, 0}, "@__asan_load2_noabort": {2, 0}, "@__asan_load4_noabort": {4, 0}, "@__asan_load8_noabort": {8, 0}, "@__asan_load16_noabort": {16, 0}, "@__asan_loadN_noabort": {0, 0},
	"@__asan_store1_noabort": {1, 1}, "@__asan_store2_noabort": {2, 1}, "@__asan_store4_noabort": {4, 1}, "@__asan_store8_noabort": {8, 1}, "@__asan_store16_noabort": {16, 1}, "@__asan_storeN_noabort": {0, 1},
}

// instrument returns a line with its check made exact, or the line as it is.
func (m *module) instrument(f *function, l string, used map[string]string) string {
	if !strings.Contains(l, "call ") {
		return l
	}
	if name, _, ok := callee(l); ok && m.functions[name] != nil {
		used["msl_rt_stack"] = ""
		return "  call void @msl_rt_stack()" + dbg(l) + "\n" + l
	}
	if !strings.Contains(l, "@__asan_") && !strings.Contains(l, "@msl_rt_atomic") && !strings.Contains(l, "@msl_rt_compare_exchange") {
		return l
	}
	name, args, ok := callee(l)
	if !ok {
		return l
	}
	tail := dbg(l)
	before := func(pointer, bytes string, how, align int) {
		if c := m.check(f, pointer, bytes, 0, how|align<<2, used); c != "" {
			l = "  " + c + tail + "\n" + l
		}
	}
	switch s, access := sanitizer[name]; {
	case access:
		bytes := "i64 " + strconv.Itoa(s.bytes)
		align := min(s.bytes, 8)
		if s.bytes == 0 {
			bytes, align = args[1], 1
		}
		if c := m.check(f, args[0], bytes, s.bytes, s.how|align<<2, used); c != "" {
			return "  " + c + tail
		}
	case name == "@__asan_memcpy" || name == "@__asan_memmove":
		before(args[0], args[2], howWrite, 1)
		before(args[1], args[2], 0, 1)
	case name == "@__asan_memset":
		before(args[0], args[2], howWrite, 1)
	case name == "@msl_rt_atomic":
		bytes := 4
		if t, err := strconv.Atoi(lastWord(args[1])); err != nil || t >= 16 {
			bytes = 1
		} else if t >= 3 {
			bytes = 8
		}
		before(args[2], "i64 "+strconv.Itoa(bytes), howWrite|howAtomic, bytes)
	case name == "@msl_rt_compare_exchange":
		if n, err := strconv.Atoi(lastWord(args[0])); err == nil {
			before(args[1], "i64 "+strconv.Itoa(n), howWrite|howAtomic, n)
		}
	}
	return l
}

// dbg is the place in the source that a line ends with.
func dbg(l string) string {
	if i := strings.Index(l, ", !dbg "); i >= 0 {
		return l[i:]
	}
	return ""
}

// check spells the call that checks an access, or "" if the pointer may come from anywhere. exact
// is the number of bytes if there is a function for just so many; how is rt/access.c's.
func (m *module) check(f *function, pointer, bytes string, exact, how int, used map[string]string) string {
	value := lastWord(pointer)
	set := map[source]bool{}
	if !m.sources(f, f, value, set, map[string]bool{}) || len(set) == 0 {
		return ""
	}
	word := "i64"
	if strings.HasPrefix(pointer, "ptr") {
		word = "ptr"
	}
	bytes = "i64 " + lastWord(bytes)
	call := func(name, types, args string) string {
		used[name] = "i64" + types
		return fmt.Sprintf("call void @%s(%s %s%s)", name, word, value, args)
	}
	var mask uint64
	for s := range set {
		switch {
		case s.kind <= fromTG:
			mask |= 1 << s.kind
		case s.kind == fromVariable && len(set) > 1:
			mask |= 1 << fromTG
		case len(set) > 1:
			return ""
		case s.kind == fromVariable:
			return call("msl_rt_access_variable", ", i64, i32, i32, i32", fmt.Sprintf(", %s, i32 %d, i32 %d, i32 %d", bytes, how, s.offset, s.size))
		default:
			return call("msl_rt_access_object", ", i64, i32, ptr, i64",
				fmt.Sprintf(", %s, i32 %d, ptr %s, i64 ptrtoint (ptr getelementptr (%s, ptr null, i64 1) to i64)", bytes, how, s.object, s.typ))
		}
	}
	if len(set) > 1 {
		return call("msl_rt_access_of", ", i64, i32, i64", fmt.Sprintf(", %s, i32 %d, i64 %d", bytes, how, mask))
	}
	for s := range set {
		if exact > 0 && word == "i64" {
			kind := [2]string{"load", "store"}[how&howWrite]
			return call(fmt.Sprintf("msl_rt_%s%d_at", kind, exact), ", i32", fmt.Sprintf(", i32 %d", s.kind))
		}
		return call("msl_rt_access_at", ", i64, i32, i32", fmt.Sprintf(", %s, i32 %d, i32 %d", bytes, how, s.kind))
	}
	return ""
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

// closing finds the bracket that closes the one s begins with.
func closing(s string) int {
	depth, quoted := 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte("([{<", c) >= 0:
			depth++
		case strings.IndexByte(")]}>", c) >= 0:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// split cuts s at the commas outside brackets.
func split(s string) []string {
	var parts []string
	depth, start, quoted := 0, 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte("([{<", c) >= 0:
			depth++
		case strings.IndexByte(")]}>", c) >= 0:
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(s[start:i]))
			start = i + 1
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
