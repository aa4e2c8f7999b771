package msl

import (
	"regexp"
	"strings"
)

// vectorName matches Metal's vector types that clang knows as plain ext vectors.
var vectorName = regexp.MustCompile(`^(float|half|bfloat|int|uint|short|ushort|char|uchar|long|ulong|bool)[234]$`)

// renamed are words that are reserved in OpenCL and ordinary in Metal.
var renamed = map[string]bool{"local": true, "global": true, "generic": true, "pipe": true, "read_only": true, "write_only": true,
	"read_write": true, "event_t": true, "sampler_t": true, "queue_t": true, "vec_step": true, "addrspace_cast": true,
	"__global": true, "__local": true, "__private": true, "__constant": true, "__kernel": true, "__generic": true,
	"atomic_int": true, "atomic_uint": true, "atomic_long": true, "atomic_ulong": true, "atomic_float": true, "atomic_double": true, "atomic_flag": true,
	"double2": true, "double3": true, "double4": true, "complex": true, "imaginary": true}

const deviceSpace = "__attribute__((opencl_global_device))"

// spaces maps Metal's address spaces. The constant space is const __global and not OpenCL's
// __constant, out of which no struct can be copied; device is a subspace of __global that is a type
// of its own, so that overloads on the two stay apart and a constant pointer cannot become a device one.
var spaces = map[string]string{"device": deviceSpace, "constant": "const __global", "threadgroup": "__local", "thread": "__private"}

// methodSpaces are the same after a method's parameters, where clang wants a plain keyword.
var methodSpaces = map[string]string{"device": "__global", "constant": "const __global", "threadgroup": "__local", "thread": "__private"}

// rewriter turns the tokens of a unit into C++ for OpenCL.
type rewriter struct {
	u   *unit
	out []token
}

// rewrite returns the whole unit as tokens for clang.
func (u *unit) rewrite() []token {
	r := &rewriter{u: u, out: make([]token, 0, len(u.src.tokens)*5/4)}
	t := u.src.tokens
	i := 0
	for _, d := range u.decls {
		r.copy(t[i:d.lo], false)
		r.decl(d)
		i = d.hi
	}
	r.copy(t[i:], false)
	return r.out
}

// put appends synthetic text at the place of a token.
func (r *rewriter) put(at token, s string) {
	if s != "" {
		r.out = append(r.out, token{kind: ident, text: s, file: at.file, line: at.line, space: true})
	}
}

func (r *rewriter) decl(d *decl) {
	t := r.u.src.tokens
	if d.instantiation {
		if !d.isKernel && d.hostName == "" {
			r.copy(t[d.lo:d.hi], false)
		}
		return
	}
	if d.name >= 0 && !d.isFunc {
		at, name := t[d.name], t[d.name].text
		for _, c := range r.u.constants {
			if c.decl == d {
				// A writable variable, set before a dispatch: one compiled object serves all values.
				r.put(at, "static __global "+c.TypeName+" "+name+", msl_defined_"+name+";")
				return
			}
		}
		if dv := r.u.derived[name]; dv != nil && dv.decl == d {
			r.put(at, "static inline")
			r.copy(dv.ctype, false)
			r.put(at, "msl_get_"+name+"() { return (")
			r.copy(dv.init, true)
			r.put(at, "); }")
			return
		}
	}
	if d.isFunc && d.bodyHi > 0 {
		vars := r.u.threadgroupVars(d)
		if d.isKernel && len(vars) > 0 {
			r.layout(d, vars)
		}
		r.head(d)
		i := d.bodyLo
		r.copy(t[d.bodyLo-1:d.bodyLo], false)
		if d.isKernel {
			k := 0
			for _, v := range vars {
				r.copy(t[i:v.lo], true)
				for _, x := range v.names {
					ty := "msl_::type_t<" + r.typeText(v.typ) + " " + r.typeText(x.dims) + ">"
					r.put(t[v.lo], "__local "+ty+" & "+x.name.text+" = *(__local "+ty+" *)msl_tg_variable(msl_::constant_t<uint, "+
						strings.TrimPrefix(layoutName(r.u, d), d.scope)+r.u.templateArgs(d)+"("+itoa(k)+")>::value, sizeof("+ty+"));")
					k++
				}
				i = v.hi
			}
		}
		r.copy(t[i:d.hi], true)
		return
	}
	if d.isFunc {
		r.head(d)
		r.copy(t[d.parHi+1:d.hi], false)
		return
	}
	r.copy(t[d.lo:d.hi], false)
}

// head writes a function up to and with its parameters and what follows them before the body.
// Whatever is not a template gets internal linkage, so that only what the chosen entry points
// reach is compiled.
func (r *rewriter) head(d *decl) {
	t := r.u.src.tokens
	if d.isTemplate {
		r.templateHead(t[d.lo:d.spec])
	}
	static := d.isTemplate && len(t[d.tmplLo:d.tmplHi]) == 0 // a specialisation takes no storage class
	for _, x := range t[d.spec:d.name] {
		if x.is("static") || x.is("extern") || x.is("::") || x.is("friend") {
			static = true
		}
	}
	if d.name > 0 && t[d.name-1].is("::") {
		static = true
	}
	if !static {
		r.put(t[d.spec], "static")
	}
	r.copy(t[d.spec:d.name], false)
	end := d.parHi + 1
	if d.bodyHi > 0 {
		end = d.bodyLo - 1
	}
	r.copy(t[d.name:end], false)
}

// templateHead copies a template parameter list. A function pointer parameter becomes a reference:
// a pointer type there would get an address space no function has.
func (r *rewriter) templateHead(t []token) {
	c := append([]token(nil), t...)
	for i := 0; i+4 < len(c); i++ {
		if c[i].is("(") && c[i+1].is("*") && c[i+2].kind == ident && c[i+3].is(")") && c[i+4].is("(") {
			c[i+1].text = "&"
		}
	}
	r.copy(c, false)
}

// templateArgs spells a kernel template's own parameters as arguments: "<T, N>".
func (u *unit) templateArgs(d *decl) string {
	if !d.isTemplate {
		return ""
	}
	var names []string
	for _, p := range split(u.src.tokens[d.tmplLo:d.tmplHi]) {
		name, pack := "", ""
		for i, x := range p {
			if x.is("=") {
				break
			}
			if x.is("...") {
				pack = "..."
			}
			if x.kind == ident {
				name = x.text
			}
			if x.is("(") && i+2 < len(p) && (p[i+1].is("*") || p[i+1].is("&")) {
				name = p[i+2].text
				break
			}
		}
		names = append(names, name+pack)
	}
	return "<" + strings.Join(names, ", ") + ">"
}

// typeText spells tokens as rewritten text.
func (r *rewriter) typeText(t []token) string {
	s := &rewriter{u: r.u}
	s.copy(t, true)
	return join(s.out)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// typeAt measures a type name at t[i] that may stand for a vector: float4, vec<T, 4>, an alias, a
// template parameter. It returns the index after it, or 0.
func (r *rewriter) typeAt(t []token, i int) int {
	if i < len(t) && t[i].is("metal") && i+2 < len(t) && t[i+1].is("::") {
		i += 2
	}
	if i >= len(t) || t[i].kind != ident {
		return 0
	}
	name := t[i].text
	switch {
	case vectorName.MatchString(name) || r.u.bfloats && (name == "half" || name == "bfloat"):
		return i + 1
	case name == "vec" || r.u.types[name]:
		if i+1 < len(t) && t[i+1].is("<") {
			if j := matchAngle(t, i+1); j > 0 {
				return j + 1
			}
		}
		if name != "vec" {
			return i + 1
		}
	}
	return 0
}

// copy rewrites t and appends it. In a body, variables may be declared with constructor arguments.
func (r *rewriter) copy(t []token, body bool) {
	for i := 0; i < len(t); i++ {
		x := t[i]
		var prev token
		if i > 0 {
			prev = t[i-1]
		}
		switch {
		case x.kind == pragma:
			switch {
			case strings.HasPrefix(x.text, "#pragma METAL") || strings.HasPrefix(x.text, "#pragma once"):
			case strings.HasPrefix(x.text, "#pragma unroll"):
				x.text = "#pragma unroll" // its count may hold macros, which the preprocessor leaves alone there
				fallthrough
			default:
				r.out = append(r.out, x)
			}
			continue
		case x.kind == number:
			x.was, x.text = x.text, literal(x.text)
		case x.is("[") && i+1 < len(t) && t[i+1].is("["):
			if j := match(t, i); j > 0 {
				i = j
				continue
			}
		case x.is("(") && !callee(prev):
			// (float4)x: a cast between vectors, which clang refuses.
			end := i + 1
			if end < len(t) && t[end].is("const") {
				end++
			}
			if j := r.typeAt(t, end); j > 0 && j < len(t) && t[j].is(")") && startsOperand(t, j+1) {
				k := unaryEnd(r.u, t, j+1)
				r.put(x, "msl_::cast<")
				r.copy(t[end:j], false)
				r.put(x, ">(")
				r.operand(t[j+1:k], body)
				r.put(x, ")")
				i = k - 1
				continue
			}
		case x.is("static_cast") && i+1 < len(t) && t[i+1].is("<"):
			if j := r.typeAt(t, i+2); j > 0 && j+1 < len(t) && t[j].is(">") && t[j+1].is("(") {
				if k := match(t, j+1); k > 0 {
					r.put(x, "msl_::cast<")
					r.copy(t[i+2:j], false)
					r.put(x, ">(")
					r.operand(t[j+2:k], body)
					r.put(x, ")")
					i = k
					continue
				}
			}
		case x.kind == ident:
			if j := r.typeAt(t, i); j > 0 && !prev.is(".") && !prev.is("->") && !prev.is("operator") && !(prev.is("::") && !(i > 1 && t[i-2].is("metal"))) {
				if r.construct(t, i, j, body) {
					k := match(t, j)
					if !t[j].is("(") {
						k = match(t, j+1)
					}
					i = k
					continue
				}
				r.words(t, i, j)
				i = j - 1
				continue
			}
			i += r.word(t, i)
			continue
		}
		r.out = append(r.out, x)
	}
}

// words copies a type name.
func (r *rewriter) words(t []token, i, j int) {
	for k := i; k < j; k++ {
		if t[k].kind == ident {
			k += r.word(t, k)
		} else {
			r.out = append(r.out, t[k])
		}
	}
}

// construct rewrites T(args) and, in a body, the declaration T name(args). j is the index after T.
func (r *rewriter) construct(t []token, i, j int, body bool) bool {
	if j >= len(t) {
		return false
	}
	open := j
	if t[j].kind == ident && body && j+1 < len(t) && t[j+1].is("(") && i > 0 && (t[i-1].is(";") || t[i-1].is("{") || t[i-1].is("}") || t[i-1].is("const")) {
		open = j + 1
	}
	if !t[open].is("(") {
		return false
	}
	end := match(t, open)
	if end < 0 {
		return false
	}
	if open == j {
		// A declarator, not a constructor: T (*f)(…), T (&a)[n].
		if end-open >= 2 && (t[open+1].is("*") || t[open+1].is("&")) && end+1 < len(t) && (t[end+1].is("(") || t[end+1].is("[")) {
			return false
		}
	} else if end+1 >= len(t) || !(t[end+1].is(";") || t[end+1].is(",")) {
		return false
	}
	if open != j {
		r.words(t, i, j)
		r.out = append(r.out, t[j])
		r.put(t[j], "=")
	}
	r.put(t[i], "msl_::make<")
	r.words(t, i, j)
	r.put(t[i], ">(")
	r.operand(t[open+1:end], body)
	r.put(t[end], ")")
	return true
}

// operand copies what a vector is made from. A comparison of vectors is a mask of 0 and -1 to
// clang and a boolN to Metal: say so before it is converted.
func (r *rewriter) operand(t []token, body bool) {
	inner := t
	for len(inner) > 2 && inner[0].is("(") && match(inner, 0) == len(inner)-1 {
		inner = inner[1 : len(inner)-1]
	}
	if len(split(inner)) == 1 && truth(inner) {
		r.put(t[0], "msl_::truth(")
		r.copy(t, body)
		r.put(t[0], ")")
		return
	}
	r.copy(t, body)
}

// truth reports whether an expression's outermost operator gives a truth value.
func truth(t []token) bool {
	found := len(t) > 0 && t[0].is("!")
	for i := 0; i < len(t); i++ {
		switch {
		case t[i].is("(") || t[i].is("["):
			if j := match(t, i); j > 0 {
				i = j
			}
		case t[i].is("?") || t[i].is("="):
			return false
		case t[i].is("<"):
			if j := matchAngle(t, i); j > 0 && j+1 < len(t) && (t[j+1].is("(") || t[j+1].is("::") || t[j+1].is("{")) {
				i = j
				continue
			}
			found = true
		case t[i].is(">") || t[i].is("<=") || t[i].is(">=") || t[i].is("==") || t[i].is("!=") || t[i].is("&&") || t[i].is("||"):
			found = true
		}
	}
	return found
}

// word appends the identifier at t[i], translated, and returns how many more tokens it took.
func (r *rewriter) word(t []token, i int) int {
	x := t[i]
	x.was = x.text
	var prev token
	if i > 0 {
		prev = t[i-1]
	}
	member := prev.is(".") || prev.is("->")
	switch {
	case member && !renamed[x.text]:
	case spaces[x.text] != "":
		x.text = spaces[t[i].text]
		if prev.is(")") || prev.is("const") && i > 1 && t[i-2].is(")") {
			x.text = methodSpaces[t[i].text]
		}
	case renamed[x.text]:
		x.text = "msl_" + x.text
	case x.text == "kernel" || x.text == "vertex" || x.text == "fragment":
		x.text = ""
	case x.text == "is_function_constant_defined" && i+3 < len(t) && t[i+1].is("("):
		x.text = "msl_defined_" + t[i+2].text
		r.out = append(r.out, x)
		return 3
	case r.u.derived[x.text] != nil && !prev.is("::"):
		x.text = "msl_get_" + x.text + "()"
	}
	r.out = append(r.out, x)
	return 0
}

// literal translates a number. 1.0 is a float in Metal; clang's flag for that does not reach into
// templates, so the suffix is written out. 1.0bf is a bfloat.
func literal(s string) string {
	hex := strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X")
	last := s[len(s)-1]
	switch {
	case !hex && (strings.HasSuffix(s, "bf") || strings.HasSuffix(s, "BF")):
		return "((bfloat)" + s[:len(s)-2] + "f)"
	case hex && strings.ContainsAny(s, "pP") && isDigit(last),
		!hex && strings.ContainsAny(s, ".eE") && (isDigit(last) || last == '.'):
		return s + "f"
	}
	return s
}
