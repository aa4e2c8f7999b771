package jinja

import (
	"fmt"
	"strings"
)

// expr parses an expression with its conditions: x if c else y.
func (p *parser) expr() expr {
	p.enter()
	defer p.leave()
	unknown, line := len(p.unknown), p.cur().line
	x := p.or()
	for p.keyword("if") {
		c := &condExpr{line: line, then: x, cond: p.or()}
		line = p.cur().line
		if p.keyword("else") {
			c.other = p.expr()
		}
		x = c
		// jinja2 minds unknown filters inside a condition when they are reached.
		p.unknown = p.unknown[:unknown]
	}
	return x
}

// tuple parses expressions with commas between, which make a tuple, or a single
// one. conditions says whether x if c else y may stand there.
func (p *parser) tuple(conditions bool) expr {
	one := p.or
	if conditions {
		one = p.expr
	}
	var items []expr
	for {
		if t := p.cur(); items != nil && (t.kind == tokEnd || t.is(tokOp, ")")) {
			break
		}
		items = append(items, one())
		if !p.op(",") {
			if len(items) == 1 {
				return items[0]
			}
			break
		}
	}
	return &tupleExpr{items}
}

func (p *parser) or() expr {
	x := p.and()
	for p.keyword("or") {
		x = &orExpr{x, p.and()}
	}
	return x
}

func (p *parser) and() expr {
	x := p.not()
	for p.keyword("and") {
		x = &andExpr{x, p.not()}
	}
	return x
}

func (p *parser) not() expr {
	if !p.keyword("not") {
		return p.compare()
	}
	p.enter()
	defer p.leave()
	return &notExpr{p.not()}
}

func (p *parser) compare() expr {
	x := p.sum()
	var c *compareExpr
	for {
		op := ""
		switch t := p.cur(); {
		case t.kind == tokOp:
			switch t.s {
			case "==", "!=", "<", ">", "<=", ">=":
				op = t.s
				p.pos++
			}
		case t.is(tokName, "in"):
			op = "in"
			p.pos++
		case t.is(tokName, "not") && p.peek().is(tokName, "in"):
			op = "not in"
			p.pos += 2
		}
		if op == "" {
			if c == nil {
				return x
			}
			return c
		}
		if c == nil {
			c = &compareExpr{first: x}
		}
		c.ops, c.rest = append(c.ops, op), append(c.rest, p.sum())
	}
}

// binary parses operands with operators of one rank between them, from left to
// right.
func (p *parser) binary(operand func() expr, ops ...string) expr {
	x := operand()
next:
	for _, op := range ops {
		if p.op(op) {
			x = &arithExpr{op, x, operand()}
			goto next
		}
	}
	return x
}

func (p *parser) sum() expr { return p.binary(p.concat, "+", "-") }

func (p *parser) concat() expr {
	x := p.product()
	if !p.cur().is(tokOp, "~") {
		return x
	}
	c := &concatExpr{[]expr{x}}
	for p.op("~") {
		c.parts = append(c.parts, p.product())
	}
	return c
}

func (p *parser) product() expr { return p.binary(p.power, "*", "//", "/", "%") }

// power groups from the left, as jinja2 does and Python does not.
func (p *parser) power() expr { return p.binary(p.operand, "**") }

// operand is a signed primary with its subscripts, calls, filters and tests.
func (p *parser) operand() expr {
	x := p.signed()
	for {
		switch t := p.cur(); {
		case t.is(tokOp, "|"):
			p.pos++
			x = p.filter(x)
		case t.is(tokName, "is"):
			p.pos++
			x = p.test(x)
		case t.is(tokOp, "("):
			x = &callExpr{x, p.args()}
		default:
			return x
		}
	}
}

func (p *parser) signed() expr {
	p.enter()
	defer p.leave()
	if neg := p.op("-"); neg || p.op("+") {
		return p.postfix(&signExpr{neg, p.signed()})
	}
	return p.postfix(p.primary())
}

func (p *parser) dotted() string {
	name := p.ident()
	for p.op(".") {
		name += "." + p.ident()
	}
	return name
}

// filter parses a filter's name and arguments, after the bar.
func (p *parser) filter(x expr) *filterExpr {
	f := &filterExpr{x: x, name: p.dotted()}
	f.f = p.find(filters, "filter", f.name)
	if p.cur().is(tokOp, "(") {
		f.args = p.args()
	}
	return f
}

// filters parses more filters, each after a bar.
func (p *parser) filters(list []*filterExpr) []*filterExpr {
	for p.op("|") {
		list = append(list, p.filter(nil))
	}
	return list
}

func (p *parser) find(table map[string]*builtin, what, name string) *builtin {
	f, ok := table[name]
	if !ok && !p.lenient {
		p.unknown = append(p.unknown, Error{Line: p.line, Msg: fmt.Sprintf("No %s named %s.", what, quoteShort(name))})
	}
	return f
}

// test parses a test, after "is". A single argument needs no brackets.
func (p *parser) test(x expr) expr {
	not := p.keyword("not")
	t := &testExpr{x: x, name: p.dotted()}
	t.f = p.find(tests, "test", t.name)
	switch k := p.cur(); k.kind {
	case tokOp:
		switch k.s {
		case "(":
			t.args = p.args()
		case "[", "{":
			t.args.pos = []expr{p.postfix(p.primary())}
		}
	case tokString, tokInt, tokFloat:
		t.args.pos = []expr{p.postfix(p.primary())}
	case tokName:
		switch k.s {
		case "else", "or", "and":
		case "is":
			fail("tests cannot be chained with is")
		default:
			t.args.pos = []expr{p.postfix(p.primary())}
		}
	}
	if not {
		return &notExpr{t}
	}
	return t
}

func (p *parser) args() (a args) {
	p.expect(tokOp, "(")
	for first := true; !p.op(")"); first = false {
		if !first {
			p.expect(tokOp, ",")
			if p.op(")") {
				break
			}
		}
		switch t := p.cur(); {
		case p.op("**"):
			if a.dstars != nil {
				fail("two ** arguments")
			}
			a.dstars = p.expr()
		case a.dstars != nil:
			fail("argument after a ** argument")
		case p.op("*"):
			if a.star != nil {
				fail("two * arguments")
			}
			a.star = p.expr()
		case t.kind == tokName && p.peek().is(tokOp, "="):
			p.pos += 2
			for _, k := range a.kw {
				if k.name == t.s {
					fail("argument %q stands twice", t.s)
				}
			}
			a.kw = append(a.kw, kwExpr{t.s, p.expr()})
		case a.kw != nil || a.star != nil:
			fail("positional argument after a named one")
		default:
			a.pos = append(a.pos, p.expr())
		}
	}
	return a
}

func (p *parser) postfix(x expr) expr {
	for {
		switch t := p.cur(); {
		case p.op("."):
			switch t = p.next(); t.kind {
			case tokName:
				x = &attrExpr{x, t.s}
			case tokInt:
				x = &itemExpr{x, &litExpr{t.v}}
			default:
				fail("expected a name or a number after the dot, got %s", t)
			}
		case p.op("["):
			x = p.subscript(x)
		case t.is(tokOp, "("):
			x = &callExpr{x, p.args()}
		default:
			return x
		}
	}
}

// subscript parses what stands in x[...], after the bracket.
func (p *parser) subscript(x expr) expr {
	if p.cur().is(tokOp, "]") {
		fail("expected a subscript")
	}
	part := func() expr {
		if t := p.cur(); t.is(tokOp, ":") || t.is(tokOp, "]") {
			return nil
		}
		return p.expr()
	}
	lo := part()
	if !p.op(":") {
		if p.op(",") {
			fail("a subscript of several values is not supported")
		}
		p.expect(tokOp, "]")
		return &itemExpr{x, lo}
	}
	s := &sliceExpr{x: x, lo: lo, hi: part()}
	if p.op(":") {
		s.step = part()
	}
	p.expect(tokOp, "]")
	return s
}

func (p *parser) primary() expr {
	t := p.next()
	switch t.kind {
	case tokName:
		return p.name(t.s)
	case tokInt, tokFloat:
		return &litExpr{t.v}
	case tokString:
		s := t.s
		if p.cur().kind == tokString {
			var b strings.Builder
			for b.WriteString(s); p.cur().kind == tokString; p.pos++ {
				b.WriteString(p.cur().s)
			}
			s = b.String()
		}
		return &litExpr{s}
	case tokOp:
		switch t.s {
		case "(":
			if p.op(")") {
				return &tupleExpr{}
			}
			x := p.tuple(true)
			p.expect(tokOp, ")")
			return x
		case "[":
			l := &listExpr{}
			for p.item("]", len(l.items) == 0) {
				l.items = append(l.items, p.expr())
			}
			return l
		case "{":
			d := &dictExpr{}
			for p.item("}", len(d.keys) == 0) {
				d.keys = append(d.keys, p.expr())
				p.expect(tokOp, ":")
				d.vals = append(d.vals, p.expr())
			}
			return d
		}
	}
	fail("unexpected %s", t)
	return nil
}

// item reads the comma before the next item of a list, or its end; a last
// comma is allowed.
func (p *parser) item(end string, first bool) bool {
	if !first && !p.cur().is(tokOp, end) {
		p.expect(tokOp, ",")
	}
	return !p.op(end)
}

func (p *parser) name(s string) expr {
	switch s {
	case "true", "True":
		return &litExpr{true}
	case "false", "False":
		return &litExpr{false}
	case "none", "None":
		return &litExpr{nil}
	case "varargs":
		p.varargs = true
	case "kwargs":
		p.kwargs = true
	case "caller":
		p.caller = true
	}
	return &nameExpr{p.id(s), s}
}
