package emu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// The message layer is tested with kernels written in Go: fakeCompiler takes a source that lists
// names of fakeKernels, one a line; "#error text" is an error on its line.

type fakeKernel struct {
	name    string
	args    []kernel.Arg
	consts  []kernel.Constant
	static  int
	threads int
	prepare func() error // called by Specialize
	run     func(t thread) error
}

// meeting is where meet waits.
var meeting = make(chan struct{})

// meet returns when two are there.
func meet() error {
	select {
	case meeting <- struct{}{}:
	case <-meeting:
	case <-time.After(time.Minute):
		return errors.New("no other came within a minute")
	}
	return nil
}

// thread is one GPU thread of a fake kernel.
type thread struct {
	ctx    context.Context // of the dispatch
	at     [3]int          // thread_position_in_grid
	d      *kernel.Dispatch
	consts map[int]kernel.ConstantValue
}

func (t thread) f32(buffer, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(t.d.Buffers[buffer].Memory[4*i:]))
}

func (t thread) setF32(buffer, i int, v float32) {
	binary.LittleEndian.PutUint32(t.d.Buffers[buffer].Memory[4*i:], math.Float32bits(v))
}

func buf(i int, name string, a kernel.Access) kernel.Arg {
	return kernel.Arg{Name: name, Kind: kernel.ArgBuffer, Index: i, Access: a, ElemSize: 4, ElemAlign: 4, Type: "float"}
}

var fakeKernels = []fakeKernel{
	{
		name: "add",
		args: []kernel.Arg{buf(0, "a", kernel.Read), buf(1, "b", kernel.Read), buf(2, "out", kernel.Write)},
		run: func(t thread) error {
			t.setF32(2, t.at[0], t.f32(0, t.at[0])+t.f32(1, t.at[0]))
			return nil
		},
	},
	{
		name: "scale", // x *= c by setBytes
		args: []kernel.Arg{buf(0, "x", kernel.ReadWrite),
			{Name: "c", Kind: kernel.ArgConstant, Index: 1, Access: kernel.Read, ElemSize: 4, ElemAlign: 4, Type: "float"}},
		run: func(t thread) error {
			t.setF32(0, t.at[0], t.f32(0, t.at[0])*t.f32(1, 0))
			return nil
		},
	},
	{
		name: "half2", args: []kernel.Arg{{Name: "h", Kind: kernel.ArgBuffer, Index: 0, Access: kernel.Read, ElemSize: 2, ElemAlign: 2, Type: "half"}},
		run: func(thread) error { return nil },
	},
	{
		name: "wide", args: []kernel.Arg{{Name: "v", Kind: kernel.ArgConstant, Index: 0, Access: kernel.Read, ElemSize: 16, ElemAlign: 16, Type: "float4"}},
		run: func(thread) error { return nil },
	},
	{
		name: "shared", static: 16384,
		args: []kernel.Arg{{Name: "scratch", Kind: kernel.ArgThreadgroup, Index: 0, ElemSize: 4, ElemAlign: 4, Type: "float"}},
		run:  func(thread) error { return nil },
	},
	{
		name: "narrow", threads: 64, run: func(thread) error { return nil },
	},
	{
		name:   "special",
		args:   []kernel.Arg{buf(0, "out", kernel.Write)},
		consts: []kernel.Constant{{Name: "K", Index: 3, Type: kernel.UInt, Required: true}},
		run: func(t thread) error {
			v := t.consts[3].Bytes
			t.setF32(0, t.at[0], float32(binary.LittleEndian.Uint32(v[:])))
			return nil
		},
	},
	{
		name: "outside", args: []kernel.Arg{buf(0, "x", kernel.Write)},
		run: func(t thread) error {
			return &kernel.Fault{Rule: kernel.RuleBounds, Kernel: "outside", Arg: "x", Index: 0, Thread: t.at,
				Detail: "write of 4 bytes at 16, length 16"}
		},
	},
	{name: "none", run: func(thread) error { return nil }},
	{name: "endless", run: func(t thread) error { <-t.ctx.Done(); return t.ctx.Err() }},
	{name: "paired", prepare: meet, run: func(thread) error { return nil }},
}

type fakeCompiler struct{}

func (fakeCompiler) Compile(_ context.Context, source string, o kernel.Options) (kernel.Library, error) {
	l := &fakeLibrary{o: o}
	for i, name := range strings.Split(source, "\n") {
		name = strings.TrimSpace(name)
		if v, ok := o.Macros[name]; ok {
			name = v
		}
		if name == "kernel void none() {}" { // SelfCheck's
			name = "none"
		}
		at := slices.IndexFunc(fakeKernels, func(k fakeKernel) bool { return k.name == name })
		if name != "" && at < 0 {
			return nil, fmt.Errorf("program_source:%d:1: error: %s", i+1, strings.TrimPrefix(name, "#error "))
		}
		if at >= 0 {
			l.names = append(l.names, name)
		}
	}
	return l, nil
}

type fakeLibrary struct {
	names  []string
	o      kernel.Options
	closed bool
}

func (l *fakeLibrary) Names() []string { return l.names }
func (l *fakeLibrary) Close() error    { l.closed = true; return nil }
func (l *fakeLibrary) Function(name string) (kernel.Function, error) {
	if !slices.Contains(l.names, name) {
		return nil, fmt.Errorf("no kernel %q", name)
	}
	i := slices.IndexFunc(fakeKernels, func(k fakeKernel) bool { return k.name == name })
	return &fakeFunction{fakeKernels[i], nil}, nil
}

// fakeFunction is both kernel.Function and, with its constants, kernel.Kernel.
type fakeFunction struct {
	k      fakeKernel
	values map[int]kernel.ConstantValue
}

func (f *fakeFunction) Name() string                 { return f.k.name }
func (f *fakeFunction) Args() []kernel.Arg           { return f.k.args }
func (f *fakeFunction) Constants() []kernel.Constant { return f.k.consts }
func (f *fakeFunction) ExecutionWidth() int          { return 32 }
func (f *fakeFunction) StaticThreadgroupMemory() int { return f.k.static }
func (f *fakeFunction) MaxTotalThreads() int {
	if f.k.threads > 0 {
		return f.k.threads
	}
	return 1024
}

func (f *fakeFunction) Specialize(values map[int]kernel.ConstantValue) (kernel.Kernel, error) {
	for _, c := range f.k.consts {
		if _, ok := values[c.Index]; !ok && c.Required {
			return nil, fmt.Errorf("function constant %s (index %d) has no value", c.Name, c.Index)
		}
	}
	if f.k.prepare != nil {
		if err := f.k.prepare(); err != nil {
			return nil, err
		}
	}
	return &fakeFunction{f.k, values}, nil
}

type fakeExecutor struct{}

func (fakeExecutor) Close() error { return nil }
func (fakeExecutor) Run(ctx context.Context, d *kernel.Dispatch) error {
	f := d.Kernel.(*fakeFunction)
	n := d.Threads
	if n == [3]int{} {
		for i := range 3 {
			n[i] = d.Threadgroups[i] * d.ThreadsPerThreadgroup[i]
		}
	}
	for z := range n[2] {
		for y := range n[1] {
			for x := range n[0] {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := f.k.run(thread{ctx, [3]int{x, y, z}, d, f.values}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// fake opens a machine with the Go kernels; broken says the test will break rules on purpose.
func fake(t *testing.T, o Options) *Machine {
	t.Helper()
	o.compiler, o.executor = fakeCompiler{}, fakeExecutor{}
	return Test(t, o)
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// fakes compiles every fake kernel.
func fakes(t *testing.T, d *metal.Device) *metal.Library {
	t.Helper()
	var names []string
	for _, k := range fakeKernels {
		names = append(names, k.name)
	}
	l := must[*metal.Library](t)(d.NewLibrary(strings.Join(names, "\n"), metal.CompileOptions{Label: "fakes"}))
	t.Cleanup(l.Release)
	return l
}

func pipe(t *testing.T, l *metal.Library, d *metal.Device, name string, values metal.Constants, o metal.PipelineOptions) *metal.Pipeline {
	t.Helper()
	f := must[*metal.Function](t)(l.Function(name, values))
	defer f.Release()
	p := must[*metal.Pipeline](t)(d.NewPipeline(f, o))
	t.Cleanup(p.Release)
	return p
}

func newQueue(t *testing.T, d *metal.Device, o metal.QueueOptions) *metal.Queue {
	t.Helper()
	q := must[*metal.Queue](t)(d.NewQueue(o))
	t.Cleanup(q.Release)
	return q
}

func newBuffer(t *testing.T, d *metal.Device, v ...float32) *metal.Buffer {
	t.Helper()
	b := must[*metal.Buffer](t)(d.NewBuffer(4*len(v), metal.Shared))
	t.Cleanup(b.Release)
	for i, x := range v {
		binary.LittleEndian.PutUint32(b.Bytes()[4*i:], math.Float32bits(x))
	}
	return b
}

func floats(b *metal.Buffer) []float32 {
	v := make([]float32, b.Len()/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b.Bytes()[4*i:]))
	}
	return v
}

// run encodes with f, commits and waits.
func run(t *testing.T, q *metal.Queue, o metal.ComputeOptions, f func(e *metal.ComputeEncoder)) error {
	t.Helper()
	cb := must[*metal.CommandBuffer](t)(q.CommandBuffer())
	defer cb.Release()
	if err := cb.Compute(o, func(e *metal.ComputeEncoder) error { f(e); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	return cb.Wait()
}
