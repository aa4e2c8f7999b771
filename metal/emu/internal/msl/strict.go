package msl

import (
	"strings"
)

// refusedWords are words of C++ that Metal does not have (MSL 1.5.4), with what is said of them.
var refusedWords = map[string]string{
	"double":                 "'double' is not supported in Metal",
	"goto":                   "'goto' is not supported in Metal",
	"try":                    "cannot use 'try' with exceptions disabled",
	"throw":                  "cannot use 'throw' with exceptions disabled",
	"catch":                  "cannot use 'catch' with exceptions disabled",
	"virtual":                "virtual functions are not supported in Metal",
	"new":                    "'new' is not supported in Metal",
	"delete":                 "'delete' is not supported in Metal",
	"dynamic_cast":           "'dynamic_cast' is not supported in Metal: RTTI is disabled",
	"typeid":                 "'typeid' is not supported in Metal: RTTI is disabled",
	"thread_local":           "'thread_local' is not supported in Metal",
	"register":               "'register' is not supported in Metal",
	"asm":                    "inline assembly is not supported in Metal",
	"__asm__":                "inline assembly is not supported in Metal",
	"__attribute__":          "", // looked at below
	"noexcept":               "'noexcept' is not supported in Metal",
	"_Float16":               "unknown type name '_Float16'",
	"__fp16":                 "unknown type name '__fp16'",
	"__int128":               "unknown type name '__int128'",
	"__bf16":                 "unknown type name '__bf16'",
	"__global":               "unknown type name '__global'",
	"__local":                "unknown type name '__local'",
	"__private":              "unknown type name '__private'",
	"__constant":             "unknown type name '__constant'",
	"__kernel":               "unknown type name '__kernel'",
	"__generic":              "unknown type name '__generic'",
	"convert_float4":         "use of undeclared identifier 'convert_float4'",
	"get_global_id":          "use of undeclared identifier 'get_global_id'",
	"get_local_id":           "use of undeclared identifier 'get_local_id'",
	"texture2d":              "textures are not emulated",
	"texture3d":              "textures are not emulated",
	"texture1d":              "textures are not emulated",
	"texture2d_array":        "textures are not emulated",
	"texture_buffer":         "textures are not emulated",
	"sampler":                "samplers are not emulated",
	"imageblock":             "image blocks are not emulated",
	"raytracing":             "ray tracing is not emulated",
	"vertex":                 "render functions are not emulated: only kernels",
	"fragment":               "render functions are not emulated: only kernels",
	"visible_function_table": "visible function tables are not emulated",
}

// knownAttributes are those of MSL that can stand in a compute source.
var knownAttributes = map[string]bool{"buffer": true, "threadgroup": true, "function_constant": true, "host_name": true, "kernel": true,
	"max_total_threads_per_threadgroup": true, "id": true, "unroll": true, "fallthrough": true, "maybe_unused": true, "nodiscard": true, "deprecated": true, "likely": true, "unlikely": true,
	"texture": true, "sampler": true, "visible": true, "stitchable": true, "max_total_threadgroups_per_mesh_grid": true, "required_threads_per_threadgroup": true,
	"clang::loop_unroll": true, "clang::always_inline": true, "clang::noinline": true, "gnu::always_inline": true, "gnu::noinline": true}

// check refuses what Apple's compiler refuses and clang does not. Only attributes that belong to
// textures and the like are refused without strict mode: they could not mean anything here.
func (u *unit) check() {
	if !u.opts.Strict {
		return
	}
	u.words()
	u.attributeNames()
	u.pointers()
	for _, d := range u.decls {
		u.checkDecl(d)
	}
}

func (u *unit) words() {
	t := u.src.tokens
	bfloat := metalVersion(u.opts.LanguageVersion) >= 310
	for i, x := range t {
		if x.kind == number && x.text != literal(x.text) && strings.HasSuffix(strings.ToLower(x.text), "bf") && !bfloat {
			u.errs.add(x, "invalid suffix 'bf' on floating constant: it needs Metal 3.1")
		}
		if x.kind != ident || i > 0 && (t[i-1].is(".") || t[i-1].is("->")) {
			continue
		}
		switch msg := refusedWords[x.text]; {
		case x.text == "delete" && i > 0 && t[i-1].is("="):
		case x.text == "sampler" && i+1 < len(t) && t[i+1].is("("):
		case msg != "":
			u.errs.add(x, "%s", msg)
		case !bfloat && (x.text == "bfloat" || strings.HasPrefix(x.text, "bfloat") && len(x.text) == 7 || strings.HasPrefix(x.text, "simdgroup_bfloat")):
			u.errs.add(x, "unknown type name '%s': it needs Metal 3.1", x.text)
		case metalVersion(u.opts.LanguageVersion) < 320 && strings.HasPrefix(x.text, "memory_order_") && x.text != "memory_order_relaxed":
			u.errs.add(x, "use of undeclared identifier '%s'", x.text)
		case x.text == "main" && i+1 < len(t) && t[i+1].is("("):
			u.errs.add(x, "a function cannot be named 'main'")
		}
	}
}

func (u *unit) attributeNames() {
	for _, a := range attributes(u.src.tokens) {
		if !knownAttributes[a.name] && builtins[a.name] == 0 {
			u.errs.add(a.tok, "unknown attribute '%s'", a.name)
		}
	}
}

// isType reports whether a name is a type that carries no address space of its own: a scalar, a
// vector, a structure, an alias; not a template parameter, whose argument may.
func (u *unit) isType(name string) bool {
	return scalarName.MatchString(name) && name != "auto" || vectorName.MatchString(name) || u.structs[name] || u.types[name] && !u.params[name]
}

// pointers refuses pointers and references without an address space.
func (u *unit) pointers() {
	t := u.src.tokens
	for i := 1; i+1 < len(t); i++ {
		if !t[i].is("*") && !t[i].is("&") {
			continue
		}
		j := i - 1
		if t[j].is("const") || t[j].is("volatile") {
			j--
		}
		if j >= 0 && t[j].is(">") {
			o := openAngle(t, j)
			if o < 1 || !(t[o-1].is("vec") || t[o-1].is("matrix") || t[o-1].is("atomic") || t[o-1].is("array") || u.structs[t[o-1].text]) {
				continue
			}
			j = o - 1
		} else if j < 0 || t[j].kind != ident || !u.isType(t[j].text) {
			continue
		}
		if next := t[i+1]; !(next.kind == ident || next.is(")") || next.is(",") || next.is("*") || next.is("&") || next.is(";")) {
			continue
		}
		qualified := false
		for j--; j >= 0; j-- {
			x := t[j]
			if spaces[x.text] != "" || x.is("ray_data") || x.is("object_data") || x.is("threadgroup_imageblock") {
				qualified = true
				break
			}
			if x.kind != ident && !x.is("::") || x.kind == ident && !declWord[x.text] && !u.isType(x.text) && x.text != "metal" {
				break
			}
		}
		if k := j + 1; !qualified && k > 0 && t[k-1].is("<") && matchAngle(t, k-1) > 0 {
			continue // a template's argument
		}
		if qualified {
			continue
		}
		what := "pointer"
		if t[i].is("&") {
			what = "reference"
		}
		u.errs.add(t[i], "%s type must have explicit address space qualifier", what)
	}
}

var declWord = map[string]bool{"const": true, "volatile": true, "constexpr": true, "static": true, "inline": true, "typename": true, "struct": true, "unsigned": true, "signed": true, "typedef": true, "friend": true, "extern": true}

func (u *unit) checkDecl(d *decl) {
	t := u.src.tokens
	if d.instantiation {
		return
	}
	if d.isKernel && d.isFunc {
		void := false
		for _, x := range t[d.spec:d.name] {
			void = void || x.is("void")
		}
		if !void {
			u.errs.add(t[d.name], "kernel '%s' must have void return type", t[d.name].text)
		}
		if d.bodyHi > 0 {
			u.functionAttributes(d)
		}
	}
	if d.isFunc && d.bodyHi > 0 {
		u.checkBody(d)
		return
	}
	if d.isFunc || d.name < 0 || d.isTemplate {
		return
	}
	head := t[d.spec:d.name]
	if len(head) == 0 || head[0].is("using") || head[0].is("typedef") || head[0].is("static_assert") {
		return
	}
	constant := false
	for _, x := range head {
		if x.is("struct") || x.is("class") || x.is("enum") || x.is("union") || x.is("typedef") || x.is("using") || x.is("operator") {
			return
		}
		constant = constant || x.is("constant")
	}
	if !constant {
		u.errs.add(t[d.name], "program scope variable '%s' must reside in constant address space", t[d.name].text)
		return
	}
	if u.initializer(d) == nil && len(attributes(t[d.spec:d.hi])) == 0 && d.name+1 < d.hi && (t[d.name+1].is(";") || t[d.name+1].is("[") && t[d.hi-2].is("]")) {
		u.errs.add(t[d.name], "variable '%s' in constant address space must be initialized", t[d.name].text)
	}
}

func (u *unit) checkBody(d *decl) {
	t := u.src.tokens
	u.lambdas(d)
	if !d.isKernel {
		for _, v := range u.threadgroupVars(d) {
			for _, n := range v.names {
				u.errs.add(n.name, "variable '%s' in threadgroup address space can only be declared in a kernel function", n.name.text)
			}
		}
	}
	for i := d.bodyLo; i < d.bodyHi; i++ {
		switch x := t[i]; {
		case x.is("static") && (t[i-1].is(";") || t[i-1].is("{") || t[i-1].is("}")):
			ok := false
			for j := i; j < d.bodyHi && !t[j].is(";") && !t[j].is("="); j++ {
				ok = ok || t[j].is("constant") || t[j].is("constexpr")
				if t[j].is("(") { // a member function of a local structure has a body
					if k := match(t, j); k > 0 && k+1 < d.bodyHi && (t[k+1].is("{") || t[k+1].is("const")) {
						ok = true
						break
					}
				}
			}
			if !ok {
				u.errs.add(x, "static local variable must reside in constant address space")
			}
		case x.is("(") && i+4 < d.bodyHi && t[i+1].is("*") && t[i+2].kind == ident && t[i+3].is(")") && t[i+4].is("(") && (u.isType(t[i-1].text) || u.types[t[i-1].text]):
			u.errs.add(t[i+2], "function pointer '%s' is not supported: functions are called through a visible function table", t[i+2].text)
		}
	}
	for _, p := range split(t[d.parLo:d.parHi]) {
		for i := 1; i+3 < len(p); i++ {
			if p[i].is("(") && p[i+1].is("*") && p[i+2].kind == ident && p[i+3].is(")") {
				u.errs.add(p[i+2], "function pointer '%s' is not supported: functions are called through a visible function table", p[i+2].text)
			}
		}
	}
}

// recursive names the functions that a call graph by name alone shows in a cycle. Overloads make
// it find too many, so that clang has the last word.
func (u *unit) recursive() []*decl {
	t := u.src.tokens
	byName := map[string][]*decl{}
	for _, d := range u.decls {
		if d.isFunc && d.bodyHi > 0 {
			byName[t[d.name].text] = append(byName[t[d.name].text], d)
		}
	}
	calls := map[string]map[string]bool{}
	for name, ds := range byName {
		calls[name] = map[string]bool{}
		for _, d := range ds {
			for i := d.bodyLo; i < d.bodyHi; i++ {
				if t[i].kind == ident && byName[t[i].text] != nil && (i == 0 || !t[i-1].is(".") && !t[i-1].is("->")) {
					calls[name][t[i].text] = true
				}
			}
		}
	}
	var found []*decl
	for name, ds := range byName {
		seen := map[string]bool{}
		stack := []string{name}
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for c := range calls[n] {
				if c == name {
					found = append(found, ds...)
					stack = nil
					break
				}
				if !seen[c] {
					seen[c] = true
					stack = append(stack, c)
				}
			}
		}
	}
	return found
}
