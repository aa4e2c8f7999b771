package msl

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// ExecutionWidth is the number of threads in a simdgroup on every Apple GPU.
const ExecutionWidth = 32

// maxTotalThreads is the most threads a threadgroup may have on every Apple GPU.
const maxTotalThreads = 1024

// library is a compiled source. What is exported is what the cache keeps.
type library struct {
	Entries   []*entry
	Constants []constantMeta
	Text      string // rewritten source
	Whole     bool   // one object holds every entry

	c   *Compiler
	key string
}

type constantMeta struct {
	kernel.Constant
	TypeName string
	Scope    string
}

var _ kernel.Library = (*library)(nil)

// library describes a parsed unit, but for its text and what clang has to measure.
func (c *Compiler) library(u *unit, key string) (*library, error) {
	l := &library{Entries: u.entries, Whole: len(u.entries) <= wholeLimit, c: c, key: key}
	if len(u.errs.diags) > 0 {
		return nil, fmt.Errorf("msl: %s", u.errs.diags[0].message)
	}
	for _, fc := range u.constants {
		l.Constants = append(l.Constants, constantMeta{fc.Constant, fc.TypeName, fc.decl.scope})
	}
	for name, d := range u.derived {
		l.Constants = append(l.Constants, constantMeta{kernel.Constant{Name: name, Index: -1}, join(d.init), d.decl.scope})
	}
	sort.Slice(l.Constants, func(i, j int) bool { return l.Constants[i].Name < l.Constants[j].Name })
	u.findUses()
	return l, nil
}

// all lists the indices of every entry.
func (l *library) all() []int {
	n := make([]int, len(l.Entries))
	for i := range n {
		n[i] = i
	}
	return n
}

func (l *library) Names() []string {
	names := make([]string, len(l.Entries))
	for i, e := range l.Entries {
		names[i] = e.Name
	}
	sort.Strings(names)
	return names
}

func (l *library) Function(name string) (kernel.Function, error) {
	for i, e := range l.Entries {
		if e.Name == name {
			return &Function{lib: l, i: i, e: e}, nil
		}
	}
	return nil, fmt.Errorf("msl: no kernel %q in the library", name)
}

func (l *library) Close() error { return nil }

// Function is a kernel of a library, its function constants not yet given.
type Function struct {
	lib *library
	i   int
	e   *entry
}

var _ kernel.Function = (*Function)(nil)

func (f *Function) Name() string { return f.e.Name }

func (f *Function) Args() []kernel.Arg { return args(f.e.Params) }

func args(ps []param) []kernel.Arg {
	var as []kernel.Arg
	for _, p := range ps {
		if p.Kind != 0 {
			as = append(as, kernel.Arg{Name: p.Name, Kind: p.Kind, Index: p.Index, Access: p.Access, ElemSize: p.ElemSize, ElemAlign: p.ElemAlign, Type: p.Type})
		}
	}
	return as
}

// Constants lists the function constants the kernel may read, by index.
func (f *Function) Constants() []kernel.Constant {
	var cs []kernel.Constant
	for _, c := range f.lib.Constants {
		if slices.Contains(f.e.Uses, c.Index) {
			cs = append(cs, c.Constant)
		}
	}
	sort.Slice(cs, func(i, j int) bool { return cs[i].Index < cs[j].Index })
	return cs
}

// Specialize gives the function constants their values.
func (f *Function) Specialize(values map[int]kernel.ConstantValue) (kernel.Kernel, error) {
	k := &Kernel{f: f, values: map[int]kernel.ConstantValue{}}
	for _, i := range f.e.Uses {
		v, ok := values[i]
		k.settings = append(k.settings, Setting{i, v, ok})
	}
	for _, c := range f.lib.Constants {
		if c.Type == 0 {
			continue
		}
		v, ok := values[c.Index]
		used := slices.Contains(f.e.Uses, c.Index)
		if !ok {
			if used && c.Required {
				return nil, fmt.Errorf("msl: kernel %q: function constant %q [[function_constant(%d)]] has no value", f.e.Name, c.Name, c.Index)
			}
			continue
		}
		if used && v.Type != c.Type {
			return nil, fmt.Errorf("msl: kernel %q: function constant %q [[function_constant(%d)]] has type %d, its value type %d", f.e.Name, c.Name, c.Index, c.Type, v.Type)
		}
		k.values[c.Index] = v
	}
	for _, p := range f.e.Params {
		if p.Condition != "" {
			on, err := k.condition(p.Condition)
			if err != nil {
				return nil, fmt.Errorf("msl: kernel %q: argument %q: function_constant(%s): %w", f.e.Name, p.Name, p.Condition, err)
			}
			if !on {
				continue
			}
		}
		k.params = append(k.params, p)
	}
	if !f.lib.Whole || f.lib.c.cfg.Target.ConstantsByValue {
		if _, err := k.Object(context.Background()); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Kernel is a function with its constants given.
type Kernel struct {
	f        *Function
	values   map[int]kernel.ConstantValue
	settings []Setting
	params   []param
}

// Setting is a function constant and the value a kernel has for it, if it is Defined.
type Setting struct {
	Index   int
	Value   kernel.ConstantValue
	Defined bool
}

var _ kernel.Kernel = (*Kernel)(nil)

func (k *Kernel) Name() string { return k.f.e.Name }
func (k *Kernel) MaxTotalThreads() int {
	if n := k.f.e.MaxThread; n > 0 {
		return min(n, maxTotalThreads)
	}
	return maxTotalThreads
}
func (k *Kernel) ExecutionWidth() int          { return ExecutionWidth }
func (k *Kernel) StaticThreadgroupMemory() int { return k.f.e.StaticTG }
func (k *Kernel) Args() []kernel.Arg           { return args(k.params) }

// Declared are the arguments of the function, with those that its constants leave out.
func (k *Kernel) Declared() []kernel.Arg { return k.f.Args() }

// Symbol is the entry point's name in the object.
func (k *Kernel) Symbol() string { return symbolOf(k.f.i) }

// Settings are the function constants the kernel may read, which are in the memory of its object:
// other kernels of the object may have other values for them.
func (k *Kernel) Settings() []Setting { return k.settings }

// Object is the path of the compiled object that holds the kernel, compiled now if it has not been.
func (k *Kernel) Object(ctx context.Context) (string, error) {
	l := k.f.lib
	if l.c.cfg.Target.ConstantsByValue {
		return l.specialised(ctx, k)
	}
	if l.Whole {
		return l.object(ctx, "", nil, false)
	}
	return l.object(ctx, fmt.Sprintf("-%d", k.f.i), []int{k.f.i}, false)
}

// condition evaluates a function_constant(expression) attribute of an argument.
func (k *Kernel) condition(expr string) (bool, error) {
	u := &unit{ints: map[string]int64{}, derived: map[string]*derived{}}
	for _, c := range k.f.lib.Constants {
		if c.Type == 0 { // computed from others: its initializer is in TypeName
			u.derived[c.Name] = &derived{init: lex(c.TypeName).tokens}
		}
	}
	n, err := u.eval(lex(expr).tokens, func(name string) (int64, bool) {
		for _, c := range k.f.lib.Constants {
			if c.Name == name && c.Type != 0 {
				v, ok := k.values[c.Index]
				return integer(v), ok
			}
		}
		return 0, false
	})
	return n != 0, err
}

func integer(v kernel.ConstantValue) int64 {
	b := v.Bytes[:]
	switch v.Type {
	case kernel.Bool, kernel.UChar:
		return int64(b[0])
	case kernel.Char:
		return int64(int8(b[0]))
	case kernel.Short:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case kernel.UShort:
		return int64(binary.LittleEndian.Uint16(b))
	case kernel.Int:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case kernel.UInt:
		return int64(binary.LittleEndian.Uint32(b))
	case kernel.Float:
		return int64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// object compiles the chosen entries (nil: all) unless the cache has them.
func (l *library) object(ctx context.Context, suffix string, chosen []int, table bool) (string, error) {
	ext := ".so"
	if !l.c.cfg.Target.Link {
		ext = ".s"
	}
	path := filepath.Join(l.c.cfg.CacheDir, "k-"+l.key+suffix+ext)
	if chosen == nil {
		chosen = l.all()
	}
	_, err := l.c.build(ctx, path, l.Text+l.footer(chosen, table, false))
	return path, err
}

// specialised compiles the kernel with the values of its function constants written into the text.
func (l *library) specialised(ctx context.Context, k *Kernel) (string, error) {
	text := l.Text
	var vals strings.Builder
	for _, c := range l.Constants {
		if c.Type == 0 {
			continue
		}
		v, ok := k.values[c.Index]
		fmt.Fprintf(&vals, "_%d=%t:%x", c.Index, ok, v.Bytes)
		bits := binary.LittleEndian.Uint64(v.Bytes[:])
		text = strings.Replace(text, "static __global "+c.TypeName+" "+c.Name+", msl_defined_"+c.Name+";",
			fmt.Sprintf("static const __global %s %s = msl_::from_bits_constant<%s>(%dul); static const __global bool msl_defined_%s = %t;", c.TypeName, c.Name, c.TypeName, bits, c.Name, ok), 1)
	}
	path := filepath.Join(l.c.cfg.CacheDir, "k-"+l.key+"-"+digest(fmt.Sprint(k.f.i), vals.String())+".s")
	_, err := l.c.build(ctx, path, text+l.footer([]int{k.f.i}, false, false))
	return path, err
}
