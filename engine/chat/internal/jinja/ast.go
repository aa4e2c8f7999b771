package jinja

// expr is an expression; eval gives its value.
type expr interface {
	eval(r *run, s *scope) Value
}

type (
	litExpr  struct{ v Value }
	nameExpr struct {
		id   int
		name string
	}
	attrExpr struct { // x.name
		x    expr
		name string
	}
	itemExpr struct{ x, key expr } // x[key]
	// sliceExpr is x[lo:hi:step]; absent parts are nil.
	sliceExpr struct{ x, lo, hi, step expr }
	callExpr  struct {
		fn   expr
		args args
	}
	filterExpr struct {
		x    expr // nil in a filter or set block: the text of the block
		name string
		f    *builtin // nil: no such filter, which is an error when it is reached
		args args
	}
	testExpr struct {
		x    expr
		name string
		f    *builtin
		args args
	}
	condExpr struct {
		line              int
		cond, then, other expr // other may be nil
	}
	notExpr  struct{ x expr }
	signExpr struct { // + or -
		neg bool
		x   expr
	}
	andExpr   struct{ a, b expr }
	orExpr    struct{ a, b expr }
	arithExpr struct {
		op   string
		a, b expr
	}
	concatExpr  struct{ parts []expr } // a ~ b ~ c
	compareExpr struct {               // a < b <= c
		first expr
		ops   []string
		rest  []expr
	}
	listExpr  struct{ items []expr }
	tupleExpr struct{ items []expr }
	dictExpr  struct{ keys, vals []expr }
)

// args are the arguments of a call, a filter or a test.
type args struct {
	pos    []expr
	kw     []kwExpr
	star   expr // *args, or nil
	dstars expr // **kwargs, or nil
}

type kwExpr struct {
	name string
	x    expr
}

// target is what a value can be assigned to.
type target interface {
	assign(r *run, s *scope, v Value)
}

type (
	nameTarget struct{ id int }
	attrTarget struct { // ns.name
		ns   *nameExpr
		name string
	}
	tupleTarget struct{ items []target }
)

// stmt is a statement. flow says whether the statements after it still run.
type stmt interface {
	exec(r *run, s *scope) flow
}

type flow uint8

const (
	flowNext flow = iota
	flowBreak
	flowContinue
)

type (
	textStmt  struct{ s string }
	printStmt struct {
		line int
		x    expr
	}
	ifStmt struct {
		line  int
		conds []expr
		// bodies has one more than conds where there is an else.
		bodies [][]stmt
	}
	forStmt struct {
		line       int
		vars       target
		iter, cond expr // cond may be nil
		body, els  []stmt
		loop       int // number of the variable "loop"
		recursive  bool
	}
	setStmt struct {
		line int
		to   target
		x    expr
	}
	// setBlockStmt assigns the text of its body, filtered.
	setBlockStmt struct {
		line    int
		to      target
		filters []*filterExpr
		body    []stmt
	}
	macroStmt struct {
		line   int
		name   int
		params []param
		// What the body names beyond its parameters.
		varargs, kwargs, caller special
		body                    []stmt
		title                   string
	}
	callStmt struct {
		line  int
		call  *callExpr
		macro *macroStmt // its body, as "caller"
	}
	filterStmt struct {
		line    int
		filters []*filterExpr
		body    []stmt
	}
	withStmt struct {
		line int
		vars []target
		vals []expr
		body []stmt
	}
	scopeStmt    struct{ body []stmt } // generation
	breakStmt    struct{}
	continueStmt struct{}
)

// param is a parameter of a macro; def is nil where there is no default.
type param struct {
	name string
	id   int
	def  expr
}

// special is a name a macro body may use without declaring it.
type special struct {
	used bool
	id   int
}
