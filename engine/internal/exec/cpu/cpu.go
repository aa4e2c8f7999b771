// Package cpu executes programs as fast as the processor allows: kernels in
// assembly (package kernel), weights read where they lie in the file, and workers
// that go through the ops in lockstep.
//
// An op becomes one or more steps, a step a number of items that workers take one
// by one until there are none left; then they meet at a barrier. An item is a few
// microseconds of work: enough to be worth an atomic addition, little enough that a
// worker that lost its processor to another program holds the others up by no more.
//
// Quantised weights are multiplied with activations rounded to 15 bits, once for
// all projections that read them; with Options.Precise activations stay floats.
package cpu

import (
	"fmt"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/exec/cpu/kernel"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// Options are choices for an Executor. The zero value is the fastest.
type Options struct {
	// Precise keeps activations in float32: weights are decoded.
	Precise bool
	// Kernels are what to compute with; nil is the best for this processor.
	Kernels *kernel.Set
}

// Executor compiles programs for the CPU. Steps of its Runners take turns, in which
// they have all workers: see turns.
type Executor struct {
	turns   turns
	team    *team // of turns
	kernels *kernel.Set
	precise bool
}

// New returns an executor that uses the given number of threads, the caller's
// included, or one for each processor if threads is 0. More than there are
// processors for Go would wait for each other; they are not used.
func New(threads int, o Options) *Executor {
	team := newTeam(threads)
	e := &Executor{turns: turns{team: team}, team: team, kernels: o.Kernels, precise: o.Precise}
	if e.kernels == nil {
		e.kernels = kernel.Sets()[0]
	}
	return e
}

// Threads returns the number of threads in use.
func (e *Executor) Threads() int { return e.team.n }

// Kernels names the kernels in use, such as "avx2".
func (e *Executor) Kernels() string { return e.kernels.Name }

// Close stops the workers. A Runner that waits for them then, or later, returns an error.
func (e *Executor) Close() error {
	e.turns.close()
	return nil
}

// step is a part of an op: run is called for each item, by any worker, in any
// order. items is asked once a step, when those before are done.
type step struct {
	items   func() int
	run     func(w *worker, item int)
	rows    kind     // whose items they are, if each works on one row of tensors:
	touched []matrix // of these

	// A step of projections has these instead of run: its items are rows of weights.
	projections []*projection
	of          program.Tensor // what is projected
}

// kind is a kind of rows: tensors of the same kind have as many.
type kind struct {
	known, output bool
	repeat        int
}

// runner is a compiled program. What changes from one Run to the next is read
// from step.
type runner struct {
	*kernel.Set
	exec    *Executor
	program *program.Program
	limits  program.Limits
	kv      *program.KVMemory
	vocab   int

	layout  program.Layout
	arena   []float32
	steps   []step
	workers []worker
	need    need
	input   input
	groups  map[program.Tensor]*groups
	ropes   map[*program.Rope]*ropeTable
	ones    []float32 // for products with nothing

	step *program.Step
	n, m int // tokens and outputs of step

	alone bool      // goes with no other: rows of few tokens may be many in its projections
	turn  chan bool // a turn has come: true to lead it, false when it is over
	err   error     // of a turn that another led

	runs     []run // of step's tokens
	longest  int   // the most tokens of a run
	decodeKV func(dst []float32, src []byte)
}

// worker is the memory that belongs to one worker of a runner.
type worker struct {
	row     []float32       // decoded weights, gated logits
	columns []kernel.Column // for kernel.Set.Dots
	score   []float32       // of attention: see attention.go
	tile    tile

	attention attentionTile
	packed    packed
}

// need is what the ops ask of a worker's memory.
type need struct {
	row, score, columns int
	packed              int // values of a panel of activations
	tile                needTile
}

// Compile implements program.Executor.
func (e *Executor) Compile(p *program.Program, kv *program.KVMemory, limits program.Limits) (program.Runner, error) {
	r := &runner{
		Set: e.kernels, exec: e, program: p, limits: limits, kv: kv, vocab: p.Vocab(), turn: make(chan bool, 1),
		layout: p.Layout(limits), ropes: map[*program.Rope]*ropeTable{}, groups: map[program.Tensor]*groups{},
	}
	if err := kv.Check(p, limits); err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	if err := p.CheckKV(kv.Type); err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	r.arena = aligned[float32](r.layout.Size)
	widest := 0
	for _, i := range p.Tensors {
		widest = max(widest, i.Width)
	}
	r.ones = make([]float32, widest)
	for i := range r.ones {
		r.ones[i] = 1
	}
	for i, op := range p.Ops {
		if err := r.compile(op); err != nil {
			return nil, fmt.Errorf("cpu: op %d: %w", i, err)
		}
	}
	r.input.allocate()
	r.runs = make([]run, 0, limits.Tokens)
	r.decodeKV, _ = quant.Decoder(kv.Type)
	r.workers = make([]worker, e.team.n)
	for i := range r.workers {
		r.workers[i] = worker{row: aligned[float32](r.need.row), score: aligned[float32](r.need.score)}
		r.workers[i].columns = make([]kernel.Column, 0, few*together)
		r.workers[i].tile.allocate(r.Rows, r.need.columns)
		r.workers[i].packed.allocate(r.need.packed)
		r.workers[i].attention.allocate(r.need.tile, r.Lanes)
	}
	return r, nil
}

// aligned returns memory of n values that begins on a cache line.
func aligned[T byte | int16 | float32](n int) []T {
	per := 64 / int(unsafe.Sizeof(*new(T)))
	s := make([]T, n+per)
	at := 0
	for uintptr(unsafe.Pointer(&s[at]))%64 != 0 {
		at++
	}
	return s[at : at+n : at+n]
}

// add appends a step.
func (r *runner) add(items func() int, run func(w *worker, item int)) {
	r.steps = append(r.steps, step{items: items, run: run})
}

// addRows is add of a step whose items each take row i of some tensors and write row i
// of others, all of one kind. After another such step it becomes part of it: that is a
// barrier less, and the row is still in the cache.
func (r *runner) addRows(run func(w *worker, i int), touched ...matrix) {
	k := kind{true, touched[0].output, touched[0].repeat}
	if last := len(r.steps) - 1; last >= 0 && r.steps[last].rows == k && apart(r.steps[last].touched, touched) {
		s := &r.steps[last]
		before := s.run
		s.run = func(w *worker, i int) {
			before(w, i)
			run(w, i)
		}
		s.touched = append(s.touched, touched...)
		return
	}
	r.steps = append(r.steps, step{items: r.counter(touched[0]), run: run, rows: k, touched: touched})
}

// apart reports whether what two ops touch is the same row by row or lies apart: memory
// is used again when a tensor is done with, and then rows of one overlap others of
// another.
func apart(a, b []matrix) bool {
	span := func(m matrix) (from, to uintptr) {
		from = uintptr(unsafe.Pointer(unsafe.SliceData(m.data)))
		return from, from + 4*uintptr(len(m.data))
	}
	for _, m := range a {
		for _, o := range b {
			if len(m.data) == 0 || len(o.data) == 0 {
				continue
			}
			from, to := span(m)
			first, end := span(o)
			if from < end && first < to && (from != first || m.width != o.width) {
				return false
			}
		}
	}
	return true
}

func (r *runner) compile(op program.Op) error {
	switch op := op.(type) {
	case *program.Embed:
		return r.embed(op)
	case *program.EmbedPosition:
		return r.embedPosition(op)
	case *program.RMSNorm:
		return r.rmsNorm(op)
	case *program.LayerNorm:
		return r.layerNorm(op)
	case *program.Project:
		return r.project(op)
	case *program.Add:
		r.sum(op)
	case *program.Mul:
		r.mul(op)
	case *program.Scale:
		r.scale(op)
	case *program.ScaleByPosition:
		r.scaleByPosition(op)
	case *program.Softcap:
		r.softcap(op)
	case *program.Activate:
		r.activate(op)
	case *program.GLU:
		r.glu(op)
	case *program.RoPE:
		return r.rope(op)
	case *program.StoreKV:
		r.storeKV(op)
	case *program.Attention:
		return r.attention(op)
	case *program.Split:
		r.split(op)
	case *program.SelectOutputs:
		r.selectOutputs(op)
	case *program.Route:
		return r.route(op)
	case *program.ProjectExperts:
		return r.projectExperts(op)
	case *program.CombineExperts:
		r.combineExperts(op)
	default:
		return fmt.Errorf("unknown op %T", op)
	}
	return nil
}

// Run implements program.Runner.
func (r *runner) Run(s *program.Step) error {
	if err := s.Check(r.limits, r.kv, r.vocab); err != nil {
		return fmt.Errorf("cpu: %w", err)
	}
	r.step, r.n, r.m = s, len(s.Tokens), len(s.Outputs)
	r.findRuns()
	err := r.exec.turns.run(r)
	if bug, ok := err.(*bug); ok {
		panic(bug)
	}
	return err
}

// Result implements program.Runner.
func (r *runner) Result() []float32 {
	return r.matrix(r.program.Result).rows(r.m)
}

// matrix is a tensor's place in the arena: all rows the limits allow.
type matrix struct {
	data   []float32
	width  int
	repeat int
	output bool
}

func (r *runner) matrix(t program.Tensor) matrix {
	i := r.program.Info(t)
	data := r.arena[r.layout.Offsets[t.ID()]:]
	if t == r.program.Hidden {
		data = r.kv.Hidden
	}
	return matrix{
		data:   data[:i.MaxRows(r.limits)*i.Width],
		width:  i.Width,
		repeat: i.Repeat,
		output: i.Rows == program.PerOutput,
	}
}

// count is the number of rows the matrix has in this step.
func (r *runner) count(m matrix) int {
	if m.output {
		return r.m * m.repeat
	}
	return r.n * m.repeat
}

// counter is count, for a step with an item a row.
func (r *runner) counter(m matrix) func() int { return func() int { return r.count(m) } }

func (m matrix) rows(n int) []float32 { return m.data[:n*m.width] }

func (m matrix) row(i int) []float32 {
	return m.data[i*m.width : (i+1)*m.width : (i+1)*m.width]
}

// indices views a row of program.Index as what it is: int32 of the same size.
func (m matrix) indices(i int) []int32 {
	row := m.row(i)
	return unsafe.Slice((*int32)(unsafe.Pointer(&row[0])), len(row))
}

// table is a weight tensor that rows are decoded from.
type table struct {
	*gguf.Tensor
	decode func(dst []float32, src []byte)
}

func newTable(t *gguf.Tensor) (table, error) {
	decode, ok := quant.Decoder(t.Type)
	if !ok {
		return table{}, fmt.Errorf("tensor %q has type %s, which cannot be decoded", t.Name, t.Type)
	}
	return table{t, decode}, nil
}

// floats decodes len(dst) values of row i, from column from on, which begins a block.
func (r *runner) floats(w table, dst []float32, i, from int) {
	src := w.Row(i)[w.Type.RowBytes(from):]
	if !r.Widen(w.Type, dst, src) {
		w.decode(dst, src)
	}
}

// vector decodes a whole tensor, for biases and the like; nil stays nil.
func vector(t *gguf.Tensor) ([]float32, error) {
	if t == nil {
		return nil, nil
	}
	w, err := newTable(t)
	if err != nil {
		return nil, err
	}
	out := make([]float32, t.Elements())
	for i := range t.Rows() {
		w.decode(out[i*t.Cols():(i+1)*t.Cols()], w.Row(i))
	}
	return out, nil
}
