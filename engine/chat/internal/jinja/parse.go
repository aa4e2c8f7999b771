package jinja

import (
	"slices"
	"strings"
)

type parser struct {
	toks  []token
	pos   int
	depth int
	line  int // of the token last looked at, for errors
	ids   map[string]int
	names []string
	// lenient: directly inside an if, where jinja2 minds an unknown filter or
	// test only when it is reached. Elsewhere they collect in unknown.
	lenient bool
	unknown []Error
	// loops counts the for loops around, within the innermost macro; inFor
	// counts all.
	loops, inFor int
	// used are the special names met since the innermost macro began.
	varargs, kwargs, caller bool
}

func (p *parser) cur() *token {
	t := &p.toks[p.pos]
	p.line = t.line
	return t
}

func (p *parser) next() *token {
	t := p.cur()
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

// peek looks at the token after the current one.
func (p *parser) peek() *token { return &p.toks[min(p.pos+1, len(p.toks)-1)] }

func (t *token) is(kind tokenKind, s string) bool { return t.kind == kind && t.s == s }

func (p *parser) skip(kind tokenKind, s string) bool {
	if p.cur().is(kind, s) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) op(s string) bool      { return p.skip(tokOp, s) }
func (p *parser) keyword(s string) bool { return p.skip(tokName, s) }

func (p *parser) expect(kind tokenKind, s string) {
	if !p.skip(kind, s) {
		fail("expected %q, got %s", s, p.cur())
	}
}

func (t *token) String() string {
	switch t.kind {
	case tokEOF:
		return "the end of the template"
	case tokEnd:
		return "the end of the tag"
	case tokData:
		return "text"
	case tokPrint:
		return `"{{"`
	case tokBlock:
		return `"{%"`
	}
	return quoteShort(t.s)
}

func (p *parser) ident() string {
	t := p.next()
	if t.kind != tokName {
		fail("expected a name, got %s", t)
	}
	return t.s
}

func (p *parser) endTag() {
	if t := p.next(); t.kind != tokEnd {
		fail("expected the end of the tag, got %s", t)
	}
}

func (p *parser) enter() {
	if p.depth++; p.depth > maxNest {
		failLimit("nests too deeply")
	}
}

func (p *parser) leave() { p.depth-- }

// id numbers a variable name.
func (p *parser) id(name string) int {
	id, ok := p.ids[name]
	if !ok {
		id = len(p.names)
		p.ids[name] = id
		p.names = append(p.names, name)
	}
	return id
}

// statements parses up to one of the block tags ends and returns which it was;
// the tag is consumed up to its name. With no ends it parses to the end.
func (p *parser) statements(ends ...string) ([]stmt, string) {
	p.enter()
	defer p.leave()
	var list []stmt
	for {
		t := p.next()
		switch t.kind {
		case tokEOF:
			if ends != nil {
				fail("unexpected end of the template: %s is missing", strings.Join(ends, " or "))
			}
			return list, ""
		case tokData:
			list = append(list, &textStmt{t.s})
		case tokPrint:
			list = append(list, &printStmt{t.line, p.tuple(true)})
			p.endTag()
		case tokBlock:
			name := p.ident()
			if slices.Contains(ends, name) {
				return list, name
			}
			list = append(list, p.statement(name, t.line)...)
		default:
			fail("unexpected %s", t)
		}
	}
}

// body parses the rest of a tag and the statements up to end, in a block of
// its own.
func (p *parser) body(end string) []stmt {
	defer func(old bool) { p.lenient = old }(p.lenient)
	p.lenient = false
	p.bodyStart()
	list, _ := p.statements(end)
	p.endTag()
	return list
}

// bodyStart reads the end of the tag before a body; a colon may stand before
// it, as in Python.
func (p *parser) bodyStart() {
	p.op(":")
	p.endTag()
}

func (p *parser) statement(name string, line int) []stmt {
	switch name {
	case "if":
		return []stmt{p.ifStmt(line)}
	case "for":
		return []stmt{p.forStmt(line)}
	case "set":
		return []stmt{p.setStmt(line)}
	case "macro":
		m := &macroStmt{line: line, title: p.ident()}
		m.name = p.id(m.title)
		p.macroBody(m, true, "endmacro")
		return []stmt{m}
	case "call":
		return []stmt{p.callStmt(line)}
	case "filter":
		st := &filterStmt{line: line}
		defer func(old bool) { p.lenient = old }(p.lenient)
		p.lenient = false
		st.filters = p.filters([]*filterExpr{p.filter(nil)})
		st.body = p.body("endfilter")
		return []stmt{st}
	case "with":
		return []stmt{p.withStmt(line)}
	case "generation":
		// transformers renders it as a call of its body.
		loops := p.loops
		p.loops = 0
		st := &scopeStmt{p.body("endgeneration")}
		p.loops = loops
		return []stmt{st}
	case "break", "continue":
		if p.loops == 0 {
			fail("%s outside of a loop", name)
		}
		p.endTag()
		if name == "break" {
			return []stmt{breakStmt{}}
		}
		return []stmt{continueStmt{}}
	case "print":
		var list []stmt
		for p.cur().kind != tokEnd {
			if list != nil {
				p.expect(tokOp, ",")
			}
			list = append(list, &printStmt{line, p.expr()})
		}
		p.endTag()
		return list
	case "include", "import", "from", "extends", "block", "autoescape":
		fail("tag %q is not supported: a chat template stands alone", name)
	}
	fail("unknown tag %q", name)
	return nil
}

func (p *parser) ifStmt(line int) *ifStmt {
	defer func(old bool) { p.lenient = old }(p.lenient)
	p.lenient = true
	st := &ifStmt{line: line}
	for tag := "elif"; tag == "elif"; {
		st.conds = append(st.conds, p.tuple(false))
		p.bodyStart()
		var body []stmt
		body, tag = p.statements("elif", "else", "endif")
		st.bodies = append(st.bodies, body)
		if tag == "else" {
			p.bodyStart()
			body, _ = p.statements("endif")
			st.bodies = append(st.bodies, body)
		}
	}
	p.endTag()
	return st
}

func (p *parser) forStmt(line int) *forStmt {
	st := &forStmt{line: line, loop: p.id("loop")}
	p.inFor++
	defer func() { p.inFor-- }()
	st.vars = p.target(false)
	p.expect(tokName, "in")
	st.iter = p.tuple(false)
	defer func(old bool) { p.lenient = old }(p.lenient)
	p.lenient = false
	if p.keyword("if") {
		st.cond = p.expr()
	}
	st.recursive = p.keyword("recursive")
	p.bodyStart()
	p.loops++
	body, tag := p.statements("endfor", "else")
	p.loops--
	st.body = body
	if tag == "else" {
		p.bodyStart()
		st.els, _ = p.statements("endfor")
	}
	p.endTag()
	return st
}

func (p *parser) setStmt(line int) stmt {
	to := p.target(true)
	if p.op("=") {
		st := &setStmt{line, to, p.tuple(true)}
		p.endTag()
		return st
	}
	defer func(old bool) { p.lenient = old }(p.lenient)
	p.lenient = false
	filters := p.filters(nil)
	return &setBlockStmt{line, to, filters, p.body("endset")}
}

// target parses what is assigned to: a name, names with commas, in brackets or
// not, or, where namespaces may stand, ns.name.
func (p *parser) target(namespaces bool) target {
	var items []target
	for {
		if t := p.cur(); items != nil && (t.kind == tokEnd || t.is(tokOp, ")")) { // a last comma
			break
		}
		items = append(items, p.target1(namespaces))
		if !p.op(",") {
			if len(items) == 1 {
				return items[0]
			}
			break
		}
	}
	return &tupleTarget{items}
}

func (p *parser) target1(namespaces bool) target {
	if p.op("(") {
		p.enter()
		defer p.leave()
		t := p.target(namespaces)
		p.expect(tokOp, ")")
		return t
	}
	name := p.ident()
	switch name {
	case "true", "false", "none", "True", "False", "None":
		fail("can't assign to %q", name)
	case "loop":
		if p.inFor > 0 {
			fail("Can't assign to special loop variable in for-loop")
		}
	}
	if namespaces && p.op(".") {
		return &attrTarget{&nameExpr{p.id(name), name}, p.ident()}
	}
	return &nameTarget{p.id(name)}
}

// macroBody parses a macro's parameters (if params) and body.
func (p *parser) macroBody(m *macroStmt, params bool, end string) {
	if params {
		p.params(m)
	}
	varargs, kwargs, caller, loops := p.varargs, p.kwargs, p.caller, p.loops
	p.varargs, p.kwargs, p.caller, p.loops = false, false, false, 0
	m.body = p.body(end)
	m.varargs = special{p.varargs, p.id("varargs")}
	m.kwargs = special{p.kwargs, p.id("kwargs")}
	m.caller = special{p.caller, p.id("caller")}
	for _, q := range m.params {
		switch q.name {
		case "varargs":
			m.varargs.used = false
		case "kwargs":
			m.kwargs.used = false
		case "caller":
			m.caller.used = false
		}
	}
	p.varargs, p.kwargs, p.caller, p.loops = varargs || p.varargs, kwargs || p.kwargs, caller || p.caller, loops
}

func (p *parser) params(m *macroStmt) {
	p.expect(tokOp, "(")
	for !p.op(")") {
		if m.params != nil {
			p.expect(tokOp, ",")
		}
		q := param{name: p.ident()}
		q.id = p.id(q.name)
		if p.op("=") {
			q.def = p.expr()
		} else if n := len(m.params); n > 0 && m.params[n-1].def != nil {
			fail("parameter %q without a default follows one with a default", q.name)
		}
		if slices.ContainsFunc(m.params, func(o param) bool { return o.id == q.id }) {
			fail("parameter %q stands twice", q.name)
		}
		m.params = append(m.params, q)
	}
}

func (p *parser) callStmt(line int) *callStmt {
	m := &macroStmt{line: line, title: "caller"}
	if p.cur().is(tokOp, "(") {
		p.params(m)
	}
	call, ok := p.expr().(*callExpr)
	if !ok {
		fail("expected a call")
	}
	p.macroBody(m, false, "endcall")
	return &callStmt{line, call, m}
}

func (p *parser) withStmt(line int) *withStmt {
	st := &withStmt{line: line}
	for p.cur().kind != tokEnd && !p.cur().is(tokOp, ":") {
		if st.vars != nil {
			p.expect(tokOp, ",")
		}
		// One name, or several in brackets: a comma parts the assignments.
		st.vars = append(st.vars, p.target1(false))
		p.expect(tokOp, "=")
		st.vals = append(st.vals, p.expr())
	}
	st.body = p.body("endwith")
	return st
}
