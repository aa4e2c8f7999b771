package msl

import "strings"

// tgVars is one statement that declares threadgroup variables.
type tgVars struct {
	lo, hi int
	typ    []token
	align  []token
	names  []tgName
}

type tgName struct {
	name token
	dims []token
}

func (u *unit) hasThreadgroupVars(d *decl) bool { return len(u.threadgroupVars(d)) > 0 }

// threadgroupVars finds the threadgroup variables declared in a function's body.
func (u *unit) threadgroupVars(d *decl) []tgVars {
	t := u.src.tokens
	var vs []tgVars
	for i := d.bodyLo; i < d.bodyHi; i++ {
		if !t[i].is("threadgroup") {
			continue
		}
		v := tgVars{lo: i}
		for v.lo > d.bodyLo && !t[v.lo-1].is(";") && !t[v.lo-1].is("{") && !t[v.lo-1].is("}") && t[v.lo-1].kind != pragma {
			v.lo--
		}
		end := v.lo
		for end < d.bodyHi && !t[end].is(";") {
			if t[end].is("(") || t[end].is("{") {
				if j := match(t, end); j > 0 {
					end = j
				}
			}
			end++
		}
		v.hi = min(end+1, d.bodyHi)
		plain := true
		for _, x := range t[v.lo:i] {
			if x.is("(") || x.is("=") || x.is("return") || x.is("<") {
				plain = x.is("(") && t[v.lo].is("alignas")
			}
		}
		spec := without(t[v.lo:end])
		for k := 0; k < len(spec); k++ {
			if spec[k].is("alignas") && k+1 < len(spec) {
				if j := match(spec, k+1); j > 0 {
					v.align = spec[k+2 : j]
					spec = append(append([]token(nil), spec[:k]...), spec[j+1:]...)
				}
			}
		}
		parts := split(spec)
		for k, p := range parts {
			var name int
			for name = len(p) - 1; name >= 0 && p[name].is("]"); name-- {
				name = openOf(p, name)
			}
			if name < 0 || p[name].kind != ident {
				plain = false
				break
			}
			for _, x := range p[:name] {
				if x.is("*") || x.is("&") || x.is("=") || x.is("(") {
					plain = false
				}
			}
			if k == 0 {
				for _, x := range p[:name] {
					if !x.is("threadgroup") && !x.is("static") && !x.is("volatile") {
						v.typ = append(v.typ, x)
					}
				}
			}
			v.names = append(v.names, tgName{p[name], p[name+1:]})
		}
		if plain && len(v.typ) > 0 {
			vs = append(vs, v)
			i = v.hi - 1
		}
	}
	return vs
}

// layout writes the constexpr function that places a kernel's threadgroup variables: the offset of
// the kth, or with k < 0 the size of all. It repeats the constants, types and blocks of the kernel's
// body that the declarations may depend on.
func (r *rewriter) layout(d *decl, vars []tgVars) {
	t := r.u.src.tokens
	at := t[d.spec]
	if d.isTemplate {
		r.templateHead(t[d.lo:d.spec])
	}
	r.put(at, "static constexpr uint "+strings.TrimPrefix(layoutName(r.u, d), d.scope)+"(int msl_k) { uint msl_o = 0; int msl_n = 0;")
	used := map[string]bool{}
	for _, v := range vars {
		for _, x := range v.names {
			for _, y := range x.dims {
				used[y.text] = true
			}
		}
		for _, y := range v.typ {
			used[y.text] = true
		}
	}
	next := 0
	start := true // at the start of a statement
	for i := d.bodyLo; i < d.bodyHi && next < len(vars); i++ {
		if v := vars[next]; i == v.lo {
			for _, x := range v.names {
				ty := "msl_::type_t<" + r.typeText(v.typ) + " " + r.typeText(x.dims) + ">"
				align := "alignof(" + r.typeText(v.typ) + ")"
				if len(v.align) > 0 {
					align = "msl_::align_t<" + r.typeText(v.align) + ">::value"
				}
				r.put(at, "{ msl_o = msl_::align_up(msl_o, "+align+"); if (msl_n++ == msl_k) return msl_o; msl_o += sizeof("+ty+"); }")
			}
			next++
			i = v.hi - 1
			start = true
			continue
		}
		x := t[i]
		if start && (x.is("constexpr") || x.is("using") || x.is("typedef") || x.is("const") || x.is("static")) {
			end := i
			keep := x.is("using") || x.is("typedef")
			for end < d.bodyHi && !t[end].is(";") {
				keep = keep || t[end].is("constexpr") || t[end].kind == ident && used[t[end].text] && t[end+1].is("=")
				end++
			}
			if keep && end < d.bodyHi {
				r.copy(t[i:end+1], true)
			}
			i = end
			continue
		}
		switch {
		case x.is("("):
			if j := match(t, i); j > 0 {
				i = j
			}
		case x.is("{") || x.is("}"):
			r.put(at, x.text)
		}
		start = x.is(";") || x.is("{") || x.is("}") || x.kind == pragma
	}
	depth := 0
	for i := d.bodyLo; i < vars[len(vars)-1].lo; i++ { // close the blocks still open
		if t[i].is("(") {
			if j := match(t, i); j > 0 {
				i = j
			}
			continue
		}
		if t[i].is("{") {
			depth++
		} else if t[i].is("}") {
			depth--
		}
	}
	r.put(at, strings.Repeat("}", max(depth, 0))+" return msl_o; }")
}
