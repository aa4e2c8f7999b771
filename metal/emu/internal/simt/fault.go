package simt

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"math"
	"path/filepath"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// Rules of rt.c.
const (
	ruleBounds = iota + 1
	ruleBarrier
	ruleSIMD
	ruleRace
	ruleAlign
	ruleDivide
	ruleStack
	ruleUnreachable
	ruleUninitialized
)

// fault describes what the runtime found.
func (o *object) fault(k *msl.Kernel, d *kernel.Dispatch, c *dispatch) error {
	f := &kernel.Fault{Kernel: k.Name(), Index: -1, Thread: ints(c.thread), Threadgroup: ints(c.group)}
	at := o.line(c.pc)
	access := "read"
	if c.write != 0 {
		access = "write"
	}
	switch c.fault {
	case ruleBounds, ruleAlign, ruleRace, ruleUninitialized:
		f.Rule = map[uint32]kernel.Rule{ruleBounds: kernel.RuleBounds, ruleAlign: kernel.RuleAlignment, ruleRace: kernel.RuleRace, ruleUninitialized: kernel.RuleUninitialized}[c.fault]
		arg, offset, length, unbound := o.owner(k, d, c)
		what := fmt.Sprintf("%s of %d bytes", access, c.size)
		if c.size == 1 {
			what = access + " of 1 byte"
		}
		switch {
		case arg == nil && c.extra != 0:
			f.Detail = fmt.Sprintf("%s at offset %d of the kernel's threadgroup variables, size %d", what, c.offset, k.StaticThreadgroupMemory())
		case arg == nil:
			f.Detail = fmt.Sprintf("%s at address %#x, which belongs to no argument", what, c.address)
		case unbound:
			f.Rule, f.Arg, f.Index = kernel.RuleUnbound, arg.Name, arg.Index
			f.Detail = fmt.Sprintf("%s at offset %d, but nothing is bound", what, offset)
		default:
			f.Arg, f.Index = arg.Name, arg.Index
			index := ""
			if arg.ElemSize > 1 {
				index = fmt.Sprintf(", element %d of %s", floorDiv(offset, int64(arg.ElemSize)), arg.Type)
			}
			f.Detail = fmt.Sprintf("%s at offset %d%s, length %d", what, offset, index, length)
			if arg.Kind != kernel.ArgThreadgroup && d.Buffers[arg.Index].Label != "" {
				f.Detail += fmt.Sprintf(" (%s)", d.Buffers[arg.Index].Label)
			}
		}
		if c.fault == ruleBounds && c.extra != 0 {
			f.Rule = kernel.RuleThreadgroupRange
		}
		if c.fault == ruleAlign {
			f.Detail += ", misaligned"
		}
		if c.fault == ruleRace {
			f.Detail += fmt.Sprintf(", also used by thread %v of the threadgroup with no barrier between", ints(c.other))
		}
		if c.fault == ruleUninitialized {
			f.Detail += ", which nothing wrote"
		}
	case ruleBarrier:
		f.Rule = kernel.RuleBarrier
		if c.line2 != 0 {
			f.Detail = fmt.Sprintf("it waits at the barrier of line %d, thread %v of the threadgroup at that of line %d", c.line2, ints(c.other), c.line)
		} else {
			f.Detail = fmt.Sprintf("it ended without reaching the barrier of line %d, where thread %v of the threadgroup waits", c.line, ints(c.other))
		}
		return f
	case ruleSIMD:
		f.Rule = kernel.RuleSimd
		f.Detail = fmt.Sprintf("it waits at the simd operation of line %d, other lanes of its simdgroup at that of line %d", c.line2, c.line)
		return f
	case ruleDivide:
		f.Rule, f.Detail = kernel.RuleTrap, "integer division by zero, or overflow"
	case ruleStack:
		f.Rule, f.Detail = kernel.RuleTrap, "stack overflow"
	default:
		f.Rule, f.Detail = kernel.RuleTrap, "unreachable code was reached"
	}
	if at != "" {
		f.Detail += ", at " + at
	}
	return f
}

func ints(a [3]uint32) [3]int { return [3]int{int(a[0]), int(a[1]), int(a[2])} }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// owner finds the argument an address belongs to: the one it lies in, or the nearest.
func (o *object) owner(k *msl.Kernel, d *kernel.Dispatch, c *dispatch) (arg *kernel.Arg, offset int64, length int, unbound bool) {
	best := uint64(math.MaxUint64)
	args := k.Args()
	for i := range args {
		a := &args[i]
		if a.Kind == kernel.ArgThreadgroup {
			if c.extra == 0 {
				continue
			}
			off := c.offset - int64(c.tgoffset[a.Index])
			n := d.ThreadgroupMemory[a.Index]
			if dist := distance(off, n); c.offset >= int64(k.StaticThreadgroupMemory()) && dist < best {
				best, arg, offset, length = dist, a, off, n
			}
			continue
		}
		if c.extra != 0 || c.write != 0 && a.Access&kernel.Write == 0 {
			continue // the compiler lets nothing be written through a const pointer
		}
		off := int64(c.address - c.buffer[a.Index])
		n := len(d.Buffers[a.Index].Memory)
		if n == 0 {
			if off > -1<<46 && off < 1<<46 {
				return a, off, 0, !d.Buffers[a.Index].Set
			}
			continue
		}
		if dist := distance(off, n); dist < best {
			best, arg, offset, length = dist, a, off, n
		}
	}
	return arg, offset, length, false
}

func distance(off int64, n int) uint64 {
	switch {
	case off < 0:
		return uint64(-off)
	case off >= int64(n):
		return uint64(off) - uint64(n)
	}
	return 0
}

// line finds the source line of an address in the object, "" if the line table has none.
func (o *object) line(pc uint64) string {
	if pc == 0 {
		return ""
	}
	f, err := elf.Open(o.path)
	if err != nil {
		return ""
	}
	defer f.Close()
	syms, err := f.DynamicSymbols()
	if err != nil {
		return ""
	}
	var base uint64
	for _, s := range syms {
		if s.Name == "rt_run" {
			base = uint64(o.run) - s.Value
		}
	}
	dw, err := f.DWARF()
	if err != nil {
		return ""
	}
	r := dw.Reader()
	for {
		cu, err := r.Next()
		if err != nil || cu == nil {
			return ""
		}
		lr, err := dw.LineReader(cu)
		r.SkipChildren()
		if err != nil || lr == nil {
			continue
		}
		if s := seek(lr, pc-base-1); s != "" {
			return s
		}
	}
}

// seek reads one line table.
func seek(r *dwarf.LineReader, pc uint64) string {
	var e dwarf.LineEntry
	if err := r.SeekPC(pc, &e); err != nil || e.File == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", filepath.Base(e.File.Name), e.Line)
}
