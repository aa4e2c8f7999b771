package msl

import (
	"regexp"
	"strconv"
)

// inputType matches the types that the attributes of a thread's place may have (MSL 5.2.3.6).
var inputType = regexp.MustCompile(`^(?:ushort|uint16_t|unsigned short|uint|uint32_t|unsigned|unsigned int|(?:ushort|uint)([23])|vec ?< ?(?:ushort|uint) ?, ?([23]) ?>)$`)

// inputSize is the number of elements of an input's type, 0 for a name that only clang knows. ok is
// false for a type no input can have.
func inputSize(typ string) (n int, ok bool) {
	if m := inputType.FindStringSubmatch(typ); m != nil {
		n, _ = strconv.Atoi(m[1] + m[2])
		return max(n, 1), true
	}
	return 0, !scalarName.MatchString(typ) && !vectorName.MatchString(typ)
}

// inputs refuses what Apple's compiler refuses of a kernel's inputs: types that are no place, and
// positions and sizes that are not all scalars or all vectors of one size. Indices are scalars
// whatever those are.
func (u *unit) inputs(d *decl, ps []param) {
	var first *param
	reported := false
	for i := range ps {
		p := &ps[i]
		if p.Builtin == "" {
			continue
		}
		n, ok := inputSize(p.Type)
		if !ok || n > builtins[p.Builtin] {
			u.errs.add(p.tok, "invalid type '%s' for input declaration in a kernel function", p.Type)
			continue
		}
		switch {
		case n == 0 || builtins[p.Builtin] == 1:
		case first == nil:
			first = p
		default:
			if m, _ := inputSize(first.Type); n == m || reported {
				continue
			}
			u.errs.add(u.src.tokens[d.name], "expecting input declarations with either all scalar types or all vector types with the same number of elements")
			u.errs.note(first.tok, "declaration with attribute '%s' of type '%s' here", first.Builtin, first.Type)
			u.errs.note(p.tok, "declaration with attribute '%s' of type '%s' here", p.Builtin, p.Type)
			reported = true
		}
	}
}

// functionAttributes refuses attributes behind a function's parameters, where they would be its type's.
func (u *unit) functionAttributes(d *decl) {
	for _, a := range attributes(u.src.tokens[d.parHi:d.bodyLo]) {
		u.errs.add(a.tok, "'%s' attribute cannot be applied to types", a.name)
	}
}

// lambdas refuses the functions without a name that Metal has from version 4 on.
func (u *unit) lambdas(d *decl) {
	if metalVersion(u.opts.LanguageVersion) >= 400 {
		return
	}
	t := u.src.tokens
	for i := d.bodyLo + 1; i < d.bodyHi; i++ {
		before := t[i-1]
		if !t[i].is("[") || t[i+1].is("[") || !(before.is("=") || before.is("(") || before.is(",") || before.is("return")) {
			continue
		}
		if j := match(t, i); j > 0 && j+1 < d.bodyHi && (t[j+1].is("(") || t[j+1].is("{")) {
			u.errs.add(t[i], "lambda expressions are not supported in Metal")
		}
	}
}
