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

// source is where pointers begin. The zero source is unknown.
type source struct {
	kind         int // a number above, or 0 with known false
	known        bool
	object, typ  string // of a variable or a constant: its name and type
	offset, size int    // of a threadgroup variable
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
