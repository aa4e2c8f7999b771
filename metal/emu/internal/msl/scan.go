package msl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// decl is one declaration at namespace scope, as ranges of token indices.
type decl struct {
	lo, hi         int // [lo,hi), with the final ; or }
	tmplLo, tmplHi int // inside the template parameter list's <>, or 0,0
	isTemplate     bool
	instantiation  bool // template without a parameter list: an explicit instantiation
	spec           int  // first token after the template head
	name           int  // the function's or variable's name, or -1
	parLo, parHi   int  // inside the parameter list's ()
	bodyLo, bodyHi int  // inside the body's {}, or 0,0
	isFunc         bool
	isKernel       bool
	hostName       string
	scope          string // "ns::" of the namespaces around
}

// unit is one source being compiled.
type unit struct {
	src       source
	opts      kernel.Options
	errs      errorList
	decls     []*decl
	types     map[string]bool // names that may stand for a vector: aliases and type template parameters
	structs   map[string]bool
	bfloats   bool             // bfloat is used: conversions between it and half go through the library
	params    map[string]bool  // those of types that are template parameters
	ints      map[string]int64 // constant integers known by name
	constants []*constant
	derived   map[string]*derived
	entries   []*entry
	defs      map[string]*decl // kernel definitions by name
}

// constant is a function constant.
type constant struct {
	kernel.Constant
	TypeName string
	guarded  bool
	decl     *decl
}

// derived is a program-scope constant computed from function constants.
type derived struct {
	decl  *decl
	init  []token
	uses  []string
	ctype []token
}

// entry is one kernel a library offers.
type entry struct {
	Name      string  // as the library lists it
	Expr      string  // what to call: "f" or "f<A, B>"
	Layout    string  // the constexpr function that lays out its threadgroup variables, with arguments; "" if none
	Params    []param // in the order of the declaration
	MaxThread int     // [[max_total_threads_per_threadgroup]], or 0
	StaticTG  int     // filled from the compiled table
	Uses      []int   // indices of the function constants it may read
	tok       token
}

// param is one parameter of a kernel.
type param struct {
	Name      string
	Type      string
	Kind      kernel.ArgKind // 0 for a builtin
	Index     int
	Access    kernel.Access
	Builtin   string
	Condition string // the expression of a function_constant attribute
	ElemSize  int
	ElemAlign int
	tok       token
}

// parse reads the structure of the source: declarations, types, kernels, constants, instantiations.
func parse(src source, o kernel.Options) *unit {
	u := &unit{src: src, opts: o, types: map[string]bool{}, structs: map[string]bool{}, params: map[string]bool{}, ints: map[string]int64{},
		derived: map[string]*derived{}, defs: map[string]*decl{}}
	u.errs.src = &u.src
	u.collectTypes()
	u.scope(1, len(src.tokens), "")
	u.readConstants()
	u.readEntries()
	return u
}

// collectTypes notes every name that a typedef, a using or a type template parameter introduces.
func (u *unit) collectTypes() {
	t := u.src.tokens
	for i := range t {
		if t[i].kind != ident || i+1 >= len(t) {
			continue
		}
		u.bfloats = u.bfloats || strings.HasPrefix(t[i].text, "bfloat")
		switch t[i].text {
		case "typedef":
			j := i + 1
			for j < len(t) && !t[j].is(";") {
				if t[j].is("{") || t[j].is("(") {
					if j = match(t, j); j < 0 {
						return
					}
				}
				j++
			}
			if t[j-1].kind == ident {
				u.types[t[j-1].text] = true
			}
		case "using":
			if t[i+1].kind == ident && i+2 < len(t) && t[i+2].is("=") {
				u.types[t[i+1].text] = true
			}
		case "typename", "class":
			if prev := t[max(i-1, 0)]; t[i+1].kind == ident && (prev.is("<") || prev.is(",")) && i+2 < len(t) && (t[i+2].is(",") || t[i+2].is(">") || t[i+2].is("=")) {
				u.types[t[i+1].text] = true
				u.params[t[i+1].text] = true
			}
		case "struct", "union", "enum":
			if t[i+1].kind == ident {
				n := i + 1
				if t[n].is("class") {
					n++
				}
				u.structs[t[n].text] = true
			}
		}
	}
	for n := range u.structs {
		delete(u.types, n)
	}
}

// scope walks the declarations in [i,hi).
func (u *unit) scope(i, hi int, ns string) {
	t := u.src.tokens
	for i < hi {
		switch {
		case t[i].kind == pragma || t[i].is(";"):
			i++
			continue
		case t[i].is("namespace") || t[i].is("extern") && i+2 < hi && t[i+1].kind == text && t[i+2].is("{"):
			j, name := i+1, ""
			for j < hi && !t[j].is("{") && !t[j].is(";") {
				if t[j].kind == ident || t[j].is("::") {
					name += t[j].text
				}
				j++
			}
			if j < hi && t[j].is("{") {
				end := match(t[:hi], j)
				if end < 0 {
					return
				}
				inner := ns
				if name != "" {
					inner += name + "::"
				}
				u.scope(j+1, end, inner)
				i = end + 1
				continue
			}
			i = j + 1
			continue
		}
		d := u.declaration(i, hi)
		if d == nil {
			return
		}
		d.scope = ns
		u.decls = append(u.decls, d)
		i = d.hi
	}
}

// skipAttributes returns the index after any [[…]], __attribute__((…)) and alignas(…) at i.
func skipAttributes(t []token, i int) int {
	for i < len(t) {
		switch {
		case t[i].is("[") && i+1 < len(t) && t[i+1].is("["):
		case (t[i].is("__attribute__") || t[i].is("alignas")) && i+1 < len(t) && t[i+1].is("("):
			i++
		default:
			return i
		}
		j := match(t, i)
		if j < 0 {
			return len(t)
		}
		i = j + 1
	}
	return i
}

// declaration reads the one that starts at i.
func (u *unit) declaration(i, hi int) *decl {
	t := u.src.tokens[:hi]
	d := &decl{lo: i, name: -1}
	for i < hi && t[i].is("template") {
		i++
		if i < hi && t[i].is("<") {
			j := matchAngle(t, i)
			if j < 0 {
				break
			}
			if !d.isTemplate || d.tmplLo == d.tmplHi {
				d.tmplLo, d.tmplHi = i+1, j
			}
			d.isTemplate = true
			i = j + 1
		} else {
			d.instantiation = true
			j := skipAttributes(t, i)
			for k := i; k < j; k++ {
				if t[k].is("host_name") && k+2 < j && t[k+1].is("(") {
					d.hostName = literals(t[k+2 : j])
				}
			}
		}
	}
	d.spec = i
	record := false // struct, class, union, enum with a body: ends at ;
	assigned := false
	for i < hi {
		if j := skipAttributes(t, i); j != i {
			if d.name < 0 && !record && !assigned && i > d.spec+1 && t[i].is("[") && t[i-1].kind == ident {
				d.name = i - 1 // what an attribute follows is the name: T x [[function_constant(0)]]
			}
			for k := i; k < j; k++ {
				if t[k].is("kernel") {
					d.isKernel = true
				}
			}
			i = j
			continue
		}
		x := t[i]
		switch {
		case x.kind == pragma:
			i++
		case x.is(";"):
			d.hi = i + 1
			if d.name < 0 && !record {
				for k := i - 1; k > d.spec; k-- {
					if t[k].kind == ident && !assigned {
						d.name = k
						break
					}
				}
			}
			return d
		case x.is("kernel") && !assigned:
			d.isKernel = true
			i++
		case (x.is("struct") || x.is("class") || x.is("union") || x.is("enum") || x.is("typedef") || x.is("using")) && !assigned && !d.isFunc:
			record = true
			i++
		case x.is("=") && !d.isFunc:
			if d.name < 0 {
				for k := i - 1; k >= d.spec; k-- {
					if t[k].kind == ident && (k == 0 || !t[k-1].is("[")) {
						d.name = k
						break
					}
					if t[k].is("]") {
						k = openOf(t, k)
					}
				}
			}
			assigned = true
			i++
		case x.is("decltype") && i+1 < hi && t[i+1].is("("):
			j := match(t, i+1)
			if j < 0 {
				return nil
			}
			i = j + 1
		case x.is("<") && !assigned:
			if j := matchAngle(t, i); j > 0 {
				i = j + 1
			} else {
				i++
			}
		case x.is("operator"):
			for i++; i < hi && !t[i].is("("); i++ {
			}
			if i+1 < hi && t[i+1].is(")") && i+2 < hi && t[i+2].is("(") {
				i += 2
			}
		case x.is("("):
			j := match(t, i)
			if j < 0 {
				return nil
			}
			if !assigned && !record && !d.isFunc && i > d.spec {
				k := i - 1
				if t[k].is(">") { // a specialisation: f<float>(…)
					for ; k > d.spec && !t[k].is("<"); k-- {
					}
					k--
				}
				if t[k].kind == ident && !t[k].is("static_assert") {
					d.isFunc, d.name, d.parLo, d.parHi = true, k, i+1, j
				}
			}
			i = j + 1
		case x.is("{"):
			j := match(t, i)
			if j < 0 {
				u.errs.add(x, "expected '}'")
				return nil
			}
			if d.isFunc && !assigned {
				d.bodyLo, d.bodyHi, d.hi = i+1, j, j+1
				return d
			}
			i = j + 1
		case x.is("[") || x.is("]") || x.kind != punct:
			if x.is("[") {
				j := match(t, i)
				if j < 0 {
					return nil
				}
				if d.name < 0 && !record && i > d.spec && t[i-1].kind == ident {
					d.name = i - 1
				}
				i = j
			}
			i++
		default:
			i++
		}
	}
	return nil
}

// openOf returns the index of the bracket that opens the one closed at i.
func openOf(t []token, i int) int {
	for depth := 0; i >= 0; i-- {
		switch {
		case t[i].kind != punct:
		case t[i].text == ")" || t[i].text == "]" || t[i].text == "}":
			depth++
		case t[i].text == "(" || t[i].text == "[" || t[i].text == "{":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return 0
}

// attribute is one name(arguments) of a [[…]].
type attribute struct {
	tok  token
	name string
	args []token
}

// attributes reads every [[…]] in t.
func attributes(t []token) []attribute {
	var as []attribute
	for i := 0; i+1 < len(t); i++ {
		if !t[i].is("[") || !t[i+1].is("[") {
			continue
		}
		end := match(t, i)
		if end < 0 {
			return as
		}
		for j := i + 2; j < end-1; j++ {
			if t[j].kind != ident {
				continue
			}
			a := attribute{tok: t[j], name: t[j].text}
			for j+2 < end && t[j+1].is("::") {
				j += 2
				a.name += "::" + t[j].text
			}
			if j+1 < end && t[j+1].is("(") {
				k := match(t, j+1)
				if k < 0 {
					return as
				}
				a.args = t[j+2 : k]
				j = k
			}
			as = append(as, a)
		}
		i = end
	}
	return as
}

// literals joins the string literals t begins with, as C++ joins neighbours.
func literals(t []token) string {
	var b strings.Builder
	for _, x := range t {
		if x.kind != text {
			break
		}
		s, err := strconv.Unquote(x.text)
		if err != nil {
			s = strings.Trim(x.text, `"`)
		}
		b.WriteString(s)
	}
	return b.String()
}

// without returns t with every [[…]] removed.
func without(t []token) []token {
	out := make([]token, 0, len(t))
	for i := 0; i < len(t); i++ {
		if t[i].is("[") && i+1 < len(t) && t[i+1].is("[") {
			if j := match(t, i); j > 0 {
				i = j
				continue
			}
		}
		out = append(out, t[i])
	}
	return out
}

// split cuts t at its top-level commas.
func split(t []token) [][]token {
	var parts [][]token
	start := 0
	for i := 0; i < len(t); i++ {
		switch {
		case t[i].is("(") || t[i].is("[") || t[i].is("{"):
			if j := match(t, i); j > 0 {
				i = j
			}
		case t[i].is("<"):
			if j := matchAngle(t, i); j > 0 {
				i = j
			}
		case t[i].is(","):
			parts = append(parts, t[start:i])
			start = i + 1
		}
	}
	if start < len(t) {
		parts = append(parts, t[start:])
	}
	return parts
}

// join spells tokens as text.
func join(t []token) string {
	var b strings.Builder
	for i, x := range t {
		if i > 0 && (x.space || x.line != t[i-1].line || wordy(t[i-1]) && wordy(x)) {
			b.WriteByte(' ')
		}
		b.WriteString(x.text)
	}
	return b.String()
}

func wordy(t token) bool { return t.kind == ident || t.kind == number }

// readEntries lists the kernels: plain kernel functions, and explicit instantiations by host_name.
func (u *unit) readEntries() {
	t := u.src.tokens
	for _, d := range u.decls {
		if d.isKernel && d.isFunc && d.bodyHi > 0 && !d.instantiation {
			u.defs[d.scope+t[d.name].text] = d
			u.defs[t[d.name].text] = d
		}
	}
	seen := map[string]bool{}
	add := func(e *entry) {
		if seen[e.Name] {
			u.errs.add(e.tok, "a kernel named '%s' is already defined", e.Name)
			return
		}
		seen[e.Name] = true
		u.entries = append(u.entries, e)
	}
	params := map[*decl][]param{}
	paramsOf := func(d *decl) []param {
		if _, ok := params[d]; !ok {
			params[d] = u.readParams(d)
		}
		return append([]param(nil), params[d]...)
	}
	for _, d := range u.decls {
		switch {
		case d.instantiation && (d.isKernel || d.hostName != ""):
			expr, name, args := instantiated(t[d.spec : d.hi-1])
			def := u.defs[d.scope+name]
			if def == nil {
				def = u.defs[name]
			}
			if def == nil {
				u.errs.add(t[d.spec], "explicit instantiation of '%s' does not refer to a kernel function template", name)
				continue
			}
			e := &entry{Name: d.hostName, Expr: d.scope + expr, Params: paramsOf(def), tok: t[d.lo], MaxThread: u.maxThreads(def)}
			if e.Name == "" {
				e.Name = name
			}
			if u.hasThreadgroupVars(def) {
				e.Layout = layoutName(u, def) + args
			}
			add(e)
		case d.isKernel && d.isFunc && d.bodyHi > 0 && !d.isTemplate:
			e := &entry{Name: t[d.name].text, Expr: d.scope + t[d.name].text, Params: paramsOf(d), tok: t[d.name], MaxThread: u.maxThreads(d)}
			for _, a := range attributes(t[d.lo:d.bodyLo]) {
				if name := literals(a.args); a.name == "host_name" && name != "" {
					e.Name = name
				}
			}
			if u.hasThreadgroupVars(d) {
				e.Layout = layoutName(u, d)
			}
			add(e)
		}
	}
}

func (u *unit) maxThreads(d *decl) int {
	for _, a := range attributes(u.src.tokens[d.lo:max(d.bodyLo, d.spec)]) {
		if a.name == "max_total_threads_per_threadgroup" {
			if n, err := u.eval(a.args, nil); err == nil {
				return int(n)
			}
		}
	}
	return 0
}

// instantiated reads "kernel TYPE f<A>" or "kernel void f<A>(params)" and returns f<A>, f and <A>.
func instantiated(t []token) (expr, name, args string) {
	t = without(t)
	n := len(t)
	if n > 0 && t[n-1].is(")") {
		if o := openOf(t, n-1); o > 0 && !t[o-1].is("decltype") {
			n = o
		}
	}
	if n == 0 {
		return "", "", ""
	}
	i := n - 1
	if t[i].is(">") {
		for depth := 0; i >= 0; i-- {
			if t[i].is(")") {
				i = openOf(t, i)
			} else if t[i].is(">") {
				depth++
			} else if t[i].is("<") {
				if depth--; depth == 0 {
					break
				}
			}
		}
		if i < 1 {
			return "", "", ""
		}
		args = join(t[i:n])
		i--
	}
	name = t[i].text
	expr = name
	for i >= 2 && t[i-1].is("::") {
		i -= 2
		expr = t[i].text + "::" + expr
	}
	return expr + args, name, args
}

func layoutName(u *unit, d *decl) string {
	return d.scope + fmt.Sprintf("msl_layout_%s_%d", u.src.tokens[d.name].text, d.lo)
}
