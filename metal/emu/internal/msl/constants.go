package msl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// constantTypes are the types a function constant may have here.
var constantTypes = map[string]kernel.DataType{
	"bool": kernel.Bool, "char": kernel.Char, "int8_t": kernel.Char, "uchar": kernel.UChar, "uint8_t": kernel.UChar,
	"short": kernel.Short, "int16_t": kernel.Short, "ushort": kernel.UShort, "uint16_t": kernel.UShort,
	"int": kernel.Int, "int32_t": kernel.Int, "uint": kernel.UInt, "uint32_t": kernel.UInt, "unsigned": kernel.UInt, "unsigned int": kernel.UInt,
	"long": kernel.Long, "int64_t": kernel.Long, "ulong": kernel.ULong, "uint64_t": kernel.ULong, "size_t": kernel.ULong,
	"half": kernel.Half, "float": kernel.Float, "bfloat": kernel.BFloat,
}

// readConstants finds the function constants, the integers that may name their indices, and the
// program-scope constants computed from function constants.
func (u *unit) readConstants() {
	t := u.src.tokens
	byIndex := map[int]string{}
	isConst := map[string]bool{}
	for _, d := range u.decls {
		if d.isFunc || d.name < 0 || d.isTemplate {
			continue
		}
		head := t[d.spec:d.name]
		inConstant := false
		var ty []token
		for _, x := range head {
			switch x.text {
			case "constant":
				inConstant = true
			case "static", "const", "constexpr", "inline", "extern":
			default:
				ty = append(ty, x)
			}
		}
		name := t[d.name].text
		var fc *attribute
		for _, a := range attributes(t[d.spec:d.hi]) {
			if a.name == "function_constant" {
				fc = &a
			}
		}
		if fc != nil {
			n, err := u.eval(fc.args, nil)
			if err != nil {
				u.errs.add(fc.tok, "'function_constant' attribute requires an integer constant: %v", err)
				continue
			}
			dt, ok := constantTypes[join(without(ty))]
			if !ok || !inConstant {
				u.errs.add(t[d.name], "invalid type '%s' for function constant '%s'", join(without(ty)), name)
				continue
			}
			if n < 0 || n > 65535 {
				u.errs.add(fc.tok, "'function_constant' attribute parameter is out of bounds: must be between 0 and 65535")
				continue
			}
			if other, ok := byIndex[int(n)]; ok {
				u.errs.add(fc.tok, "function constant index %d is already taken by '%s'", n, other)
				continue
			}
			byIndex[int(n)] = name
			c := &constant{Constant: kernel.Constant{Name: name, Index: int(n), Type: dt, Required: true}, TypeName: join(without(ty)), decl: d}
			u.constants = append(u.constants, c)
			isConst[name] = true
			continue
		}
		init := u.initializer(d)
		if init == nil {
			continue
		}
		if inConstant {
			dv := &derived{decl: d, init: init, ctype: ty}
			for _, x := range init {
				if x.kind == ident && isConst[x.text] {
					dv.uses = append(dv.uses, x.text)
				}
			}
			if len(dv.uses) > 0 {
				u.derived[name] = dv
				isConst[name] = true
				continue
			}
		}
		if n, err := u.eval(init, nil); err == nil {
			u.ints[name] = n
		}
	}
	for i, x := range t {
		if x.is("is_function_constant_defined") && i+2 < len(t) && t[i+1].is("(") {
			for _, c := range u.constants {
				if c.Name == t[i+2].text {
					c.guarded, c.Required = true, false
				}
			}
		}
	}
}

// initializer returns the tokens between = and ; of a variable's declaration.
func (u *unit) initializer(d *decl) []token {
	t := u.src.tokens[d.name:d.hi]
	if len(t) > 2 && t[1].is("=") {
		return t[2 : len(t)-1]
	}
	return nil
}

// errNotConstant says that an expression cannot be evaluated here.
var errNotConstant = errors.New("not an integer constant expression")

// eval computes an integer constant expression; env, if any, gives the function constants' values.
func (u *unit) eval(t []token, env func(string) (int64, bool)) (int64, error) {
	e := evaluator{t: t, u: u, env: env}
	v, err := e.binary(0)
	if err != nil {
		return 0, err
	}
	if e.i != len(t) {
		return 0, errNotConstant
	}
	return v, nil
}

type evaluator struct {
	t   []token
	i   int
	u   *unit
	env func(string) (int64, bool)
}

var precedence = map[string]int{"||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, ">": 7, "<=": 7, ">=": 7, "<<": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10}

func (e *evaluator) binary(least int) (int64, error) {
	a, err := e.unary()
	if err != nil {
		return 0, err
	}
	for e.i < len(e.t) {
		op := e.t[e.i].text
		skip := 1
		if op == ">" && e.i+1 < len(e.t) && e.t[e.i+1].is(">") {
			op, skip = ">>", 2
		}
		p := precedence[op]
		if op == ">>" {
			p = 8
		}
		if p == 0 || p <= least {
			break
		}
		e.i += skip
		b, err := e.binary(p)
		if err != nil {
			return 0, err
		}
		if (op == "/" || op == "%") && b == 0 {
			return 0, errors.New("division by zero")
		}
		if a, err = apply(op, a, b); err != nil {
			return 0, err
		}
	}
	if least == 0 && e.i < len(e.t) && e.t[e.i].is("?") {
		e.i++
		b, err := e.binary(0)
		if err != nil || e.i >= len(e.t) || !e.t[e.i].is(":") {
			return 0, errNotConstant
		}
		e.i++
		c, err := e.binary(0)
		if err != nil {
			return 0, err
		}
		if a != 0 {
			return b, nil
		}
		return c, nil
	}
	return a, nil
}

func apply(op string, a, b int64) (int64, error) {
	truth := func(t bool) (int64, error) {
		if t {
			return 1, nil
		}
		return 0, nil
	}
	switch op {
	case "||":
		return truth(a != 0 || b != 0)
	case "&&":
		return truth(a != 0 && b != 0)
	case "|":
		return a | b, nil
	case "^":
		return a ^ b, nil
	case "&":
		return a & b, nil
	case "==":
		return truth(a == b)
	case "!=":
		return truth(a != b)
	case "<":
		return truth(a < b)
	case ">":
		return truth(a > b)
	case "<=":
		return truth(a <= b)
	case ">=":
		return truth(a >= b)
	case "<<":
		return a << (uint64(b) & 63), nil
	case ">>":
		return a >> (uint64(b) & 63), nil
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	case "/":
		return a / b, nil
	case "%":
		return a % b, nil
	}
	return 0, errNotConstant
}

func (e *evaluator) unary() (int64, error) {
	if e.i >= len(e.t) {
		return 0, errNotConstant
	}
	x := e.t[e.i]
	e.i++
	switch {
	case x.is("-") || x.is("+") || x.is("!") || x.is("~"):
		v, err := e.unary()
		switch {
		case err != nil:
		case x.text == "-":
			v = -v
		case x.text == "~":
			v = ^v
		case x.text == "!":
			v, err = apply("==", v, 0)
		}
		return v, err
	case x.is("("):
		v, err := e.binary(0)
		if err != nil || e.i >= len(e.t) || !e.t[e.i].is(")") {
			return 0, errNotConstant
		}
		e.i++
		return v, nil
	case x.kind == number:
		v, err := strconv.ParseInt(strings.TrimRight(strings.ReplaceAll(x.text, "'", ""), "uUlL"), 0, 64)
		if err != nil {
			return 0, errNotConstant
		}
		return v, nil
	case x.is("true"):
		return 1, nil
	case x.is("false"):
		return 0, nil
	case x.is("is_function_constant_defined") && e.env != nil && e.i+2 < len(e.t):
		_, ok := e.env(e.t[e.i+1].text)
		e.i += 3
		return apply("!=", 0, map[bool]int64{true: 1}[ok])
	case x.kind == ident:
		if e.env != nil {
			if v, ok := e.env(x.text); ok {
				return v, nil
			}
			if d := e.u.derived[x.text]; d != nil {
				return e.u.eval(d.init, e.env)
			}
		}
		if v, ok := e.u.ints[x.text]; ok {
			return v, nil
		}
		return 0, fmt.Errorf("%w: %q is unknown", errNotConstant, x.text)
	}
	return 0, errNotConstant
}
