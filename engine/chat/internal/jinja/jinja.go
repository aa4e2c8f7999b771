// Package jinja renders the chat templates inside model files.
//
// A chat template is Jinja2 source written for one renderer, Python's jinja2 as
// transformers sets it up: trim_blocks and lstrip_blocks on, autoescape off,
// loop controls, a tojson filter without HTML escapes, the functions
// raise_exception and strftime_now, and a generation block that only marks
// text. This package is that renderer: the same text for the same input, to the
// byte, with Python's own rules for values (a dict keeps its order, 2.0 is not
// 2, None prints as "None").
//
// A template comes from a file nobody vouches for, so it can reach nothing but
// the values it is given, and every rendering is bounded: in steps, in bytes
// made, in depth ([Limits]). What a template does wrong is an [*Error], never a
// panic.
//
// Left out, and refused by name: include, import, extends and block (a chat
// template stands alone), autoescape, and the filters that make web pages or
// random choices.
package jinja

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// maxSource is the size limit of a template's source, in bytes: ten times the
// largest chat template seen.
const maxSource = 512 << 10

// maxNest bounds how deep tags and expressions nest in a source.
const maxNest = 200

// Limits bound one rendering.
type Limits struct {
	Steps int // nodes evaluated, items walked, and 64-byte pieces of text read
	Bytes int // bytes of text and containers made, freed or not
	Depth int // nested evaluations, and nesting of values that are printed or compared
}

// LimitsFor returns the limits for a context that holds about n bytes of text.
// They grow with n, so that a long conversation is not taken for an attack.
func LimitsFor(n int) Limits {
	return Limits{Steps: 5_000_000 + n, Bytes: 64<<20 + 16*n, Depth: 2000}
}

// Error is what is wrong with a template or with what it was given.
type Error struct {
	Line   int    // line in the template, from 1; 0 if unknown
	Msg    string // in the words of Python and jinja2 where they have some
	Raised bool   // the template itself refused, through raise_exception
	Limit  bool   // a limit was passed
	Bug    bool   // this package failed, not the template
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
}

// fail ends a rendering; Render turns it into its error.
func fail(format string, a ...any) {
	panic(&Error{Msg: fmt.Sprintf(format, a...)})
}

// failLimit ends a rendering that passed a limit.
func failLimit(what string) {
	panic(&Error{Msg: "template " + what, Limit: true})
}

// rescue turns a panic into an error: ours as it is, a fault of the runtime as
// a bug of this package, since no template may bring a program down.
func rescue(line *int, err *error) {
	switch p := recover().(type) {
	case nil:
	case *Error:
		if p.Line == 0 {
			p.Line = *line
		}
		*err = p
	case runtime.Error:
		*err = &Error{Line: *line, Msg: "template engine: " + p.Error(), Bug: true}
	default:
		panic(p)
	}
}

// Template is a parsed template. It does not change: any number of goroutines
// may render it at once.
type Template struct {
	body  []stmt
	names []string // variable names by their number
}

// Parse reads a template's source. The error is an *Error with a line.
func Parse(source string) (t *Template, err error) {
	if len(source) > maxSource {
		return nil, &Error{Msg: fmt.Sprintf("template is %d bytes long, the limit is %d", len(source), maxSource), Limit: true}
	}
	p := &parser{ids: map[string]int{}}
	defer rescue(&p.line, &err)
	p.toks = lex(source, &p.line)
	body, _ := p.statements()
	if len(p.unknown) > 0 {
		return nil, &p.unknown[0]
	}
	return &Template{body: body, names: p.names}, nil
}

// Render writes the template with the variables of vars. now is what
// strftime_now tells. The values in vars belong to the template afterwards: it
// may change them.
func (t *Template) Render(vars *Dict, now time.Time, lim Limits) (text string, err error) {
	r := newRun(lim)
	r.now = now
	defer rescue(&r.line, &err)
	root := &scope{dense: make([]slot, len(t.names))}
	for id, name := range t.names {
		if v, ok := vars.Get(name); ok {
			root.dense[id] = slot{v, true}
		} else if g, ok := globals[name]; ok {
			root.dense[id] = slot{g, true}
		}
	}
	r.exec(t.body, root)
	return r.out.String(), nil
}

// library is what templates can call. A run holds it, since the functions in it
// look things up in it in turn.
type library struct {
	filters, tests map[string]*builtin
	// methods by the type they belong to
	str, dict, list, tuple map[string]*builtin
}

// run is one rendering under way.
type run struct {
	lib      *library
	out      *strings.Builder
	line     int
	steps    int
	bytes    int
	depth    int
	maxDepth int
	now      time.Time
}

func newRun(lim Limits) *run {
	return &run{
		lib: &library{filters, tests, strMethods, dictMethods, listMethods, tupleMethods},
		out: &strings.Builder{}, steps: lim.Steps, bytes: lim.Bytes, maxDepth: lim.Depth,
	}
}

// step charges n steps.
func (r *run) step(n int) {
	if r.steps -= n; r.steps < 0 {
		failLimit("takes too many steps")
	}
}

// scan charges for reading n bytes of text, or n slots of a container.
func (r *run) scan(n int) { r.step(1 + n>>6) }

// alloc charges n bytes before they are made. n may have overflowed: a
// negative count is over any limit.
func (r *run) alloc(n int) {
	if n < 0 || n > r.bytes {
		failLimit("makes too much text")
	}
	r.bytes -= n
}

// allocTimes charges size bytes, count times.
func (r *run) allocTimes(size, count int) {
	if size > 0 && count > r.bytes/size {
		failLimit("makes too much text")
	}
	r.alloc(size * max(count, 0))
}

// slots charges n slots of a list.
func (r *run) slots(n int) { r.allocTimes(16, n) }

func (r *run) enter() {
	if r.depth++; r.depth > r.maxDepth {
		failLimit("nests too deeply")
	}
}

func (r *run) leave() { r.depth-- }

func (r *run) write(s string) {
	r.alloc(len(s))
	r.scan(len(s))
	r.out.WriteString(s)
}

// capture runs body with its output kept apart.
func (r *run) capture(body []stmt, s *scope) (string, flow) {
	old := r.out
	r.out = &strings.Builder{}
	f := r.exec(body, s)
	text := r.out.String()
	r.out = old
	return text, f
}

// scope holds the variables of the template (dense, by number) or of a block
// inside it (a short list).
type scope struct {
	parent *scope
	dense  []slot
	ids    []int
	vals   []Value
}

type slot struct {
	v   Value
	set bool
}

func (s *scope) lookup(r *run, id int) (Value, bool) {
	for ; s != nil; s = s.parent {
		if s.dense != nil {
			return s.dense[id].v, s.dense[id].set
		}
		r.wide(len(s.ids))
		for i, x := range s.ids {
			if x == id {
				return s.vals[i], true
			}
		}
	}
	return nil, false
}

func (s *scope) set(r *run, id int, v Value) {
	if s.dense != nil {
		s.dense[id] = slot{v, true}
		return
	}
	r.wide(len(s.ids))
	for i, x := range s.ids {
		if x == id {
			s.vals[i] = v
			return
		}
	}
	r.slots(2)
	s.ids, s.vals = append(s.ids, id), append(s.vals, v)
}

// wide charges for searching a list of n variables, where that is more than a
// few.
func (r *run) wide(n int) {
	if n > 16 {
		r.step(n >> 4)
	}
}
