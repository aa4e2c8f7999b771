package msl

import "regexp"

// callee reports whether a "(" after t is a call's or a declarator's, not a cast's.
func callee(t token) bool {
	switch t.kind {
	case ident:
		switch t.text {
		case "return", "case", "else", "do", "in", "and", "or", "not":
			return false
		}
		return true
	case punct:
		return t.text == ")" || t.text == "]"
	}
	return false
}

// startsOperand reports whether an operand of a cast can start at t[i].
func startsOperand(t []token, i int) bool {
	if i >= len(t) {
		return false
	}
	x := t[i]
	if x.kind == ident || x.kind == number || x.kind == text {
		return !x.is("const")
	}
	return x.is("(") || x.is("-") || x.is("!") || x.is("~") || x.is("*") || x.is("&") || x.is("+") || x.is("++") || x.is("--")
}

// unaryEnd returns the index after the unary expression at t[i].
func unaryEnd(u *unit, t []token, i int) int {
	for i < len(t) && (t[i].is("-") || t[i].is("!") || t[i].is("~") || t[i].is("*") || t[i].is("&") || t[i].is("+") || t[i].is("++") || t[i].is("--")) {
		i++
	}
	if i >= len(t) {
		return i
	}
	switch {
	case t[i].is("("):
		j := match(t, i)
		if j < 0 {
			return len(t)
		}
		if u.castParen(t[i+1:j]) && startsOperand(t, j+1) {
			return unaryEnd(u, t, j+1)
		}
		i = j + 1
	case t[i].kind == ident:
		i++
		for i < len(t) {
			if t[i].is("::") {
				i = min(i+2, len(t))
			} else if t[i].is("<") {
				j := matchAngle(t, i)
				if j < 0 || j+1 >= len(t) || !(t[j+1].is("(") || t[j+1].is("::") || t[j+1].is("{")) {
					break
				}
				i = j + 1
			} else {
				break
			}
		}
	default:
		i++
	}
	for i < len(t) {
		switch {
		case t[i].is("(") || t[i].is("[") || t[i].is("{") && t[i-1].kind == ident:
			j := match(t, i)
			if j < 0 {
				return len(t)
			}
			i = j + 1
		case t[i].is(".") || t[i].is("->"):
			i = min(i+2, len(t))
		case t[i].is("++") || t[i].is("--"):
			i++
		default:
			return i
		}
	}
	return i
}

// scalarName matches the scalar types of Metal.
var scalarName = regexp.MustCompile(`^(bool|u?char|u?short|u?int|u?long|half|bfloat|float|double|unsigned|signed|size_t|ptrdiff_t|u?int(8|16|32|64)_t|void|auto)$`)

// castParen reports whether what stands between parentheses is a type.
func (u *unit) castParen(t []token) bool {
	if len(t) == 0 {
		return false
	}
	last := t[len(t)-1]
	first := t[0]
	if spaces[first.text] != "" || first.is("const") {
		return true
	}
	if last.is("*") || last.is("&") {
		return first.kind == ident
	}
	for _, x := range t {
		if x.kind != ident && !x.is("::") && !x.is("<") && !x.is(">") && !x.is(",") && x.kind != number {
			return false
		}
	}
	if first.is("metal") && len(t) > 2 {
		first = t[2]
	}
	return scalarName.MatchString(first.text) || vectorName.MatchString(first.text) || u.types[first.text] || u.structs[first.text]
}
