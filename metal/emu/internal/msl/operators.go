package msl

import "strings"

// In Metal a scalar beside a vector takes the vector's element type, whatever its own: 2.0f * h4 is
// a half4. OpenCL, and so clang, refuses a scalar of a greater rank. Only clang knows the types, so
// its complaint is what shows where: each operator it names becomes a call that converts the scalar,
// and the text is compiled again.
const rankComplaint = "scalar operand type has greater rank than the type of the vector element"

// float4 v = {0} fills a vector with zeros in Metal, as it would an array; clang wants every element.
const fewComplaint = "too few elements in vector initialization (expected %d elements, have %d)"

// operatorNames are the functions of the library that stand for operators.
var operatorNames = map[string]string{"+": "add", "-": "sub", "*": "mul", "/": "div", "<": "less", ">": "greater", "<=": "less_equal", ">=": "greater_equal", "==": "equal", "!=": "not_equal",
	"&": "and_", "|": "or_", "^": "xor_", "%": "mod"}

// splat names a place where an operator has to convert its scalar operand, or where a vector's
// initializer lacks elements.
type splat struct {
	file      string
	line, col int
	lacks     int
}

// convertScalars rewrites the operators at the given places. It returns false when none was found.
func convertScalars(s *source, at []splat) bool {
	found := false
	for _, a := range at {
		for i := 0; i < len(s.tokens); i++ {
			x := s.tokens[i]
			if x.kind == punct && x.line == a.line && x.col == a.col && s.files[x.file] == a.file {
				if a.lacks > 0 && fill(s, i, a.lacks) || a.lacks == 0 && (x.text == "?" && choose(s, i) || convertScalar(s, i)) {
					found = true
				}
				break
			}
		}
	}
	return found
}

// fill adds zeros to the initializer at or around token i.
func fill(s *source, i, n int) bool {
	t := s.tokens
	if t[i].is("{") {
		i = match(t, i)
	}
	if i < 1 || !t[i].is("}") {
		return false
	}
	out := append([]token(nil), t[:i]...)
	zero := token{kind: number, text: "0", file: t[i].file, line: t[i].line, space: true}
	comma := zero
	comma.kind, comma.text = punct, ","
	for k := range n {
		if k > 0 || !t[i-1].is("{") {
			out = append(out, comma)
		}
		out = append(out, zero)
	}
	s.tokens = append(out, t[i:]...)
	return true
}

// choose makes the two sides of the ?: at token i one type, without evaluating the side not taken.
func choose(s *source, i int) bool {
	t := s.tokens
	colon, end, depth := -1, i+1, 0
scan:
	for ; end < len(t); end++ {
		switch x := t[end]; {
		case x.is("(") || x.is("[") || x.is("{"):
			if end = match(t, end); end < 0 {
				return false
			}
		case x.is("?"):
			depth++
		case x.is(":") && depth > 0:
			depth--
		case x.is(":") && colon < 0:
			colon = end
		case x.is(",") || x.is(";") || x.is(")") || x.is("]") || x.is("}") || x.is(":"):
			break scan
		}
	}
	if colon < 0 {
		return false
	}
	made := func(k kind, text string) token {
		return token{kind: k, text: text, file: t[i].file, line: t[i].line, space: true}
	}
	like := func(out, of, what []token) []token {
		out = append(out, made(ident, "msl_::like<msl_::value_t<decltype"), made(punct, "("))
		out = append(out, bare(of)...)
		out = append(out, made(punct, ")"), made(ident, ">>"), made(punct, "("))
		out = append(out, what...)
		return append(out, made(punct, ")"))
	}
	a, b := t[i+1:colon], t[colon+1:end]
	out := append([]token(nil), t[:i+1]...)
	out = like(out, b, a)
	out = append(out, t[colon])
	out = like(out, a, b)
	s.tokens = append(out, t[end:]...)
	return true
}

// bare copies tokens without their columns: a second copy of a text that is not a place.
func bare(t []token) []token {
	c := append([]token(nil), t...)
	for i := range c {
		c[i].col = 0
	}
	return c
}

func convertScalar(s *source, i int) bool {
	t := s.tokens
	op := t[i].text
	assign := len(op) == 2 && op[1] == '=' && strings.ContainsRune("+-*/%&|^", rune(op[0]))
	name := operatorNames[strings.TrimSuffix(op, "=")]
	if !assign {
		name = operatorNames[op]
	}
	if name == "" {
		return false
	}
	level := precedence[op]
	if assign {
		level = 0
	}
	lo := i
	for lo > 0 {
		p := t[lo-1]
		if p.kind == punct {
			if p.is(")") || p.is("]") || p.is("}") && !assign {
				lo = openOf(t, lo-1)
				continue
			}
			if p.is(">") && level > 0 { // template arguments, or a comparison
				if o := openAngle(t, lo-1); o >= 0 {
					lo = o
					continue
				}
			}
			if p.is(".") || p.is("->") || p.is("::") || p.is("++") || p.is("--") || p.is("!") || p.is("~") {
				lo--
				continue
			}
			if q := precedence[p.text]; q >= level && q > 0 && level > 0 {
				lo--
				continue
			}
			if (p.is("-") || p.is("*") || p.is("&") || p.is("+")) && lo > 1 && startsUnary(t[lo-2]) {
				lo--
				continue
			}
			break
		}
		if p.is("return") || p.is("else") || p.is("case") || p.kind == pragma {
			break
		}
		lo--
	}
	hi := unaryEnd(&unit{types: map[string]bool{}, structs: map[string]bool{}}, t, i+1)
	for hi < len(t) && t[hi].kind == punct {
		q := precedence[t[hi].text]
		if q == 0 || q <= level {
			break
		}
		hi = unaryEnd(&unit{types: map[string]bool{}, structs: map[string]bool{}}, t, hi+1)
	}
	if lo == i || hi <= i+1 {
		return false
	}
	made := func(text string) token {
		return token{kind: ident, text: text, file: t[i].file, line: t[i].line, space: true}
	}
	p := func(text string) token { x := made(text); x.kind = punct; return x }
	out := make([]token, 0, len(t)+8)
	out = append(out, t[:lo]...)
	if assign {
		out = append(out, bare(t[lo:i])...)
		out = append(out, p("="))
	}
	out = append(out, made("msl_"), p("::"), made("op_"+name), p("("))
	out = append(out, t[lo:i]...)
	out = append(out, p(","))
	out = append(out, t[i+1:hi]...)
	out = append(out, p(")"))
	out = append(out, t[hi:]...)
	s.tokens = out
	return true
}

// startsUnary reports whether an operator after t is a prefix.
func startsUnary(t token) bool {
	return t.kind == punct && !t.is(")") && !t.is("]") || t.is("return")
}

// openAngle returns the index of the "<" that the ">" at i closes, if that is a template argument
// list after a name, else -1.
func openAngle(t []token, i int) int {
	depth := 0
	for j := i; j > 0 && j > i-64; j-- {
		switch {
		case t[j].is(">"):
			depth++
		case t[j].is("<"):
			if depth--; depth == 0 {
				if t[j-1].kind == ident && matchAngle(t, j) == i {
					return j
				}
				return -1
			}
		case t[j].is(";") || t[j].is("{") || t[j].is("}"):
			return -1
		}
	}
	return -1
}
