// Package ref executes programs in plain Go: slow and obvious. It is what the
// other executors are held against, and what runs where they cannot.
//
// Every op is one loop that follows its doc comment in package program.
// Activations stay float32 throughout, weights are decoded a row at a time from
// the file's bytes, sums are float32. What comes out for a token does not depend,
// to the last bit, on how many tokens a step has or on the number of goroutines.
package ref

import (
	"fmt"
	"runtime/debug"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// Executor compiles programs to loops over rows, shared out to goroutines.
type Executor struct{ pool *pool }

// New returns an executor that uses the given number of goroutines, or one
// for each processor if threads is 0.
func New(threads int) *Executor { return &Executor{newPool(threads)} }

// Close stops the goroutines.
func (e *Executor) Close() error {
	e.pool.close()
	return nil
}

// runner is a compiled program: a function for each op, closed over its
// operands. What changes from step to step is read from step.
type runner struct {
	pool    *pool
	program *program.Program
	limits  program.Limits
	kv      *program.KVMemory
	vocab   int

	layout program.Layout
	arena  []float32
	ops    []func()

	// Scratch of each worker: decoded rows, and of attention the scores of the
	// query heads that share a KV head over a page, with their largest and sum.
	row, score, top, sum [][]float32
	scores, heads        int // length of score, and of top and sum

	step *program.Step
	n, m int // tokens and outputs of step
}

// Compile implements program.Executor.
func (e *Executor) Compile(p *program.Program, kv *program.KVMemory, limits program.Limits) (program.Runner, error) {
	r := &runner{pool: e.pool, program: p, limits: limits, kv: kv, vocab: p.Vocab(), layout: p.Layout(limits)}
	if err := kv.Check(p, limits); err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	if err := p.CheckKV(kv.Type); err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	r.arena = make([]float32, r.layout.Size)
	widest := 0
	for i, op := range p.Ops {
		f, cols, err := r.compile(op)
		if err != nil {
			return nil, fmt.Errorf("ref: op %d: %w", i, err)
		}
		widest = max(widest, cols)
		r.ops = append(r.ops, f)
	}
	r.row = scratch(e.pool.n, widest)
	r.score = scratch(e.pool.n, r.scores)
	r.top, r.sum = scratch(e.pool.n, r.heads), scratch(e.pool.n, r.heads)
	return r, nil
}

// scratch returns memory of n floats for each worker.
func scratch(workers, n int) [][]float32 {
	s := make([][]float32, workers)
	for i := range s {
		s[i] = make([]float32, n)
	}
	return s
}

// compile returns the function of an op and how many floats of r.row it uses.
func (r *runner) compile(op program.Op) (func(), int, error) {
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
		return r.add(op), 0, nil
	case *program.Mul:
		return r.mul(op), 0, nil
	case *program.Scale:
		return r.scale(op), 0, nil
	case *program.ScaleByPosition:
		return r.scaleByPosition(op), 0, nil
	case *program.Softcap:
		return r.softcap(op), 0, nil
	case *program.Activate:
		return r.activate(op), 0, nil
	case *program.GLU:
		return r.glu(op), 0, nil
	case *program.RoPE:
		return r.rope(op)
	case *program.StoreKV:
		return r.storeKV(op), 0, nil
	case *program.Attention:
		return r.attention(op)
	case *program.Split:
		return r.split(op), 0, nil
	case *program.SelectOutputs:
		return r.selectOutputs(op), 0, nil
	case *program.Route:
		return r.route(op)
	case *program.ProjectExperts:
		return r.projectExperts(op)
	case *program.CombineExperts:
		return r.combineExperts(op), 0, nil
	}
	return nil, 0, fmt.Errorf("unknown op %T", op)
}

// Run implements program.Runner.
func (r *runner) Run(s *program.Step) error {
	if err := s.Check(r.limits, r.kv, r.vocab); err != nil {
		return fmt.Errorf("ref: %w", err)
	}
	r.step, r.n, r.m = s, len(s.Tokens), len(s.Outputs)
	r.replay()
	if err := r.pool.fault.Load(); err != nil {
		return *err
	}
	return nil
}

func (r *runner) replay() {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer r.pool.catch()
	for _, op := range r.ops {
		op()
	}
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

func (m matrix) rows(n int) []float32 { return m.data[:n*m.width] }

func (m matrix) row(i int) []float32 {
	return m.data[i*m.width : (i+1)*m.width : (i+1)*m.width]
}

// indices views a matrix of program.Index as what it is: int32 of the same size.
func (m matrix) indices(i int) []int32 {
	row := m.row(i)
	return unsafe.Slice((*int32)(unsafe.Pointer(&row[0])), len(row))
}

// weights reads the rows of a weight tensor.
type weights struct {
	*gguf.Tensor
	decode func(dst []float32, src []byte)
}

func newWeights(t *gguf.Tensor) (weights, error) {
	decode, ok := quant.Decoder(t.Type)
	if !ok {
		return weights{}, fmt.Errorf("tensor %q has type %s, which cannot be decoded", t.Name, t.Type)
	}
	return weights{t, decode}, nil
}

// row returns row i as floats: the file's own bytes if they are float32,
// otherwise decoded into scratch.
func (w weights) row(i int, scratch []float32) []float32 {
	b := w.Row(i)
	if w.Type == gguf.F32 && uintptr(unsafe.Pointer(&b[0]))%4 == 0 {
		return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), w.Cols())
	}
	dst := scratch[:w.Cols()]
	w.decode(dst, b)
	return dst
}

// vector decodes a whole tensor, for biases and the like; nil stays nil.
func vector(t *gguf.Tensor) ([]float32, error) {
	if t == nil {
		return nil, nil
	}
	w, err := newWeights(t)
	if err != nil {
		return nil, err
	}
	out := make([]float32, t.Elements())
	for i := range t.Rows() {
		w.decode(out[i*t.Cols():(i+1)*t.Cols()], w.Row(i))
	}
	return out, nil
}
