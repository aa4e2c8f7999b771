package simt

import (
	"fmt"
	"math"
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// Rules of rt/machine.c.
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
	ruleUndefined
)

// What was undefined, as rt/machine.c has it.
const (
	ubOverflow = iota + 1
	ubShift
	ubIndex
	ubPointer
	ubValue
	ubReturn
)

// fault describes what the runtime found.
func (o *object) fault(k *msl.Kernel, d *kernel.Dispatch, c *dispatch) error {
	f := &kernel.Fault{Kernel: k.Name(), Index: -1, Thread: ints(c.thread), Threadgroup: ints(c.group)}
	switch c.fault {
	case ruleBounds, ruleAlign, ruleRace, ruleUninitialized:
		o.access(f, k, d, c)
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
	case ruleUndefined:
		f.Rule, f.Detail = kernel.RuleUndefined, undefined(c)
	case ruleDivide:
		f.Rule, f.Detail = kernel.RuleTrap, "integer division by zero, or overflow"
	case ruleStack:
		f.Rule, f.Detail = kernel.RuleTrap, "stack overflow"
	default:
		f.Rule, f.Detail = kernel.RuleTrap, "unreachable code was reached"
	}
	if at := o.line(c.pc); at != "" {
		f.Detail += ", at " + at
	}
	return f
}

// accessRules are the rules that an access can break.
var accessRules = map[uint32]kernel.Rule{ruleBounds: kernel.RuleBounds, ruleAlign: kernel.RuleAlignment, ruleRace: kernel.RuleRace, ruleUninitialized: kernel.RuleUninitialized}

// access describes an access to memory that broke a rule.
func (o *object) access(f *kernel.Fault, k *msl.Kernel, d *kernel.Dispatch, c *dispatch) {
	f.Rule = accessRules[c.fault]
	arg, offset, length, unbound := o.owner(k, d, c)
	what := fmt.Sprintf("read of %d bytes", c.size)
	if c.write != 0 {
		what = fmt.Sprintf("write of %d bytes", c.size)
	}
	if c.size == 1 {
		what = strings.TrimSuffix(what, "s")
	}
	switch {
	case c.from == fromLocal:
		f.Rule = kernel.RuleLocalRange
		f.Detail = fmt.Sprintf("%s at offset %d of a variable of %d bytes", what, int64(c.address-c.lo), c.len)
	case c.from == fromConstant:
		f.Rule = kernel.RuleConstantRange
		f.Detail = fmt.Sprintf("%s at offset %d of a constant of %d bytes", what, int64(c.address-c.lo), c.len)
	case c.from == fromVariable:
		f.Detail = fmt.Sprintf("%s at offset %d of a threadgroup variable of %d bytes", what, int64(c.address-c.lo), c.len)
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
}

func ints(a [3]uint32) [3]int { return [3]int{int(a[0]), int(a[1]), int(a[2])} }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// undefined says what the sanitizer found.
func undefined(c *dispatch) string {
	switch c.extra {
	case ubOverflow:
		return "a signed integer overflows"
	case ubShift:
		n := int64(c.address)
		if c.size == 32 {
			n = int64(int32(c.address))
		}
		return fmt.Sprintf("an integer of %d bits is shifted by %d", c.size, n)
	case ubIndex:
		return fmt.Sprintf("index %d is outside the array", int64(c.address))
	case ubPointer:
		return "the offset leaves the address space"
	case ubValue:
		return fmt.Sprintf("the value %d is none of its type", c.address)
	case ubReturn:
		return "a function ends without a value"
	}
	return ""
}

// owner finds the argument an access is about: the one its pointer comes from, or, of a pointer of
// unknown origin, the one its address lies in or next to.
func (o *object) owner(k *msl.Kernel, d *kernel.Dispatch, c *dispatch) (arg *kernel.Arg, offset int64, length int, unbound bool) {
	best := uint64(math.MaxUint64)
	args := k.Declared() // also those a function constant leaves out
	for i := range args {
		a := &args[i]
		if c.from < fromTG && int(c.from) != a.Index+tgArg(a.Kind) {
			continue
		}
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

// tgArg is what is added to an argument's index to tell where a pointer comes from.
func tgArg(k kernel.ArgKind) int {
	if k == kernel.ArgThreadgroup {
		return fromTGArg
	}
	return 0
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
