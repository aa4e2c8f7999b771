// Package kernel is the door between the emulator's message layer and what compiles and runs
// Metal kernels: a [Compiler] turns Metal Shading Language into a [Library], a [Function] of it is
// specialised into a [Kernel], an [Executor] runs a [Dispatch] of that kernel.
//
// The message layer has already enforced Metal's own rules about a dispatch (sizes, bindings,
// limits, lifetimes) when it calls Run. What only the running kernel can show (an access outside a
// buffer, a divergent barrier, a race) is the executor's to find and to return as a [Fault].
package kernel

import (
	"context"
	"fmt"
)

// MaxBuffers is the number of entries in a compute function's buffer argument table, and in its
// threadgroup memory argument table (Metal feature set tables, "Buffers per compute function").
const MaxBuffers = 31

// Options say how a source is compiled. They are MTLCompileOptions after the message layer has
// checked them.
type Options struct {
	LanguageVersion      uint32            // as MTLLanguageVersion encodes it: 0x30001 is Metal 3.1
	FastMath             bool              // MTLMathModeFast, or fastMathEnabled
	PreciseFunctions     bool              // MTLMathFloatingPointFunctionsPrecise
	Macros               map[string]string // preprocessor macros, name to value
	Headers              map[string]string // what #include "name" finds, name to text; given by the caller of emu.Open
	MaxThreadgroupMemory int               // bytes; more static threadgroup memory is a compile error
	Strict               bool              // refuse what Apple's compiler refuses
}

// Compiler turns source text into a Library. It is safe for concurrent use.
type Compiler interface {
	// Compile's error text is what Metal prints, one line a diagnostic:
	// "program_source:LINE:COL: error: …", lines counted in source as it was given.
	Compile(ctx context.Context, source string, o Options) (Library, error)
}

// Library is one compiled source. It is safe for concurrent use, and is closed after the last of
// its kernels has run.
type Library interface {
	// Names lists the kernels, sorted; an instantiated template by its host_name.
	Names() []string
	// Function finds a kernel by name, or returns an error that names it.
	Function(name string) (Function, error)
	Close() error
}

// Function is a kernel whose function constants are not yet given.
type Function interface {
	Name() string
	Args() []Arg
	Constants() []Constant
	// Specialize gives the function constants their values, by index. A value for an index the
	// function does not have is ignored, as Metal ignores it; a missing required one is an error.
	Specialize(values map[int]ConstantValue) (Kernel, error)
}

// Kernel is a function ready to run.
type Kernel interface {
	Name() string
	MaxTotalThreads() int         // most threads a threadgroup may have
	ExecutionWidth() int          // threads in a simdgroup
	StaticThreadgroupMemory() int // bytes of threadgroup variables declared in the kernel
	Args() []Arg                  // the arguments this specialisation has
}

// Arg is one entry of a kernel's argument tables.
type Arg struct {
	Name      string
	Kind      ArgKind
	Index     int    // [[buffer(Index)]] or [[threadgroup(Index)]]
	Access    Access // for ArgBuffer; ArgConstant is always Read
	ElemSize  int    // bytes of the pointed-to type
	ElemAlign int    // its alignment, a power of two: a bound offset must be a multiple of it
	Type      string // as written: "float4", "block_q4_0"
	Unused    bool   // the kernel never reads or writes it; it may stay unbound
}

// ArgKind says which table an argument is in.
type ArgKind int

const (
	ArgBuffer      ArgKind = iota + 1 // device pointer or reference
	ArgConstant                       // constant pointer or reference: also in the buffer table
	ArgThreadgroup                    // threadgroup pointer: its length is given at encode time
)

// Access is what a kernel may do with a buffer, as far as its declaration tells.
type Access int

const (
	Read Access = 1 << iota
	Write
	ReadWrite = Read | Write
)

// Constant is a function constant as declared.
type Constant struct {
	Name     string
	Index    int
	Type     DataType
	Required bool // no default and no is_function_constant_defined guard
}

// ConstantValue is the value given to a function constant: the bytes as the caller passed them to
// setConstantValue:type:atIndex:, in the machine's order, padded with zeros.
type ConstantValue struct {
	Type  DataType
	Bytes [8]byte
}

// DataType is a function constant's type, with MTLDataType's value.
type DataType uint32

const (
	Float  DataType = 3
	Half   DataType = 16
	Int    DataType = 29
	UInt   DataType = 33
	Short  DataType = 37
	UShort DataType = 41
	Char   DataType = 45
	UChar  DataType = 49
	Bool   DataType = 53
	Long   DataType = 81
	ULong  DataType = 85
	BFloat DataType = 121
)

// Size is the type's size in bytes, 0 for a type this package does not know.
func (t DataType) Size() int {
	switch t {
	case Char, UChar, Bool:
		return 1
	case Half, Short, UShort, BFloat:
		return 2
	case Float, Int, UInt:
		return 4
	case Long, ULong:
		return 8
	}
	return 0
}

// Dispatch is one grid of threads to run.
type Dispatch struct {
	Kernel                Kernel
	Threadgroups          [3]int // in the grid; for dispatchThreads rounded up
	ThreadsPerThreadgroup [3]int
	Threads               [3]int // set by dispatchThreads, else zero: the last threadgroups are then partial
	Buffers               [MaxBuffers]Binding
	ThreadgroupMemory     [MaxBuffers]int // bytes by [[threadgroup(i)]]
}

// Grid gives, for each dimension, the number of threadgroups, of threads in one, and of threads in
// all. With dispatchThreads the last threadgroup of a dimension has what is left of the grid, and
// its threads are counted by that size. ok is false where there is nothing to run.
func (d *Dispatch) Grid() (groups, threads, grid [3]uint32, ok bool) {
	for i := range 3 {
		full, n := max(d.ThreadsPerThreadgroup[i], 1), d.Threadgroups[i]
		all := full * n
		if d.Threads != [3]int{} {
			all = d.Threads[i]
			n = (all + full - 1) / full
		}
		if all <= 0 {
			return groups, threads, grid, false
		}
		groups[i], threads[i], grid[i] = uint32(n), uint32(full), uint32(all)
	}
	return groups, threads, grid, true
}

// Binding is what one index of the buffer table holds during a dispatch.
type Binding struct {
	Memory []byte // from the bound offset to the end of the buffer
	Set    bool   // false: nothing bound
	Label  string // the buffer's label, or "setBytes"

	// What an executor with a memory of its own needs to know, see [Caching].
	Buffer     uint64 // names the buffer; 0: Memory is of this dispatch alone
	Whole      []byte // the buffer, whose end Memory is
	Generation uint64 // another number than before: Whole may have changed, and not by a kernel
	Private    bool   // the program does not see the buffer
}

// Executor runs dispatches. Run is called for one dispatch after another or, where the encoder
// allows it (concurrent dispatch without a barrier between), for several at once.
type Executor interface {
	// Run returns when every thread has ended. It returns a *Fault for a fault of the kernel,
	// ctx.Err() when ctx ends first (a kernel that never returns is abandoned or stopped), and any
	// other error for a failure of the executor itself.
	Run(ctx context.Context, d *Dispatch) error
	Close() error
}

// Caching is an executor that keeps copies of buffers between dispatches, in a memory of its own.
type Caching interface {
	Executor
	// Flush writes back what kernels wrote to the buffers named, or, if none is, to all that the
	// program sees.
	Flush(buffers ...uint64) error
	// Forget drops the copy of a buffer that is no more.
	Forget(buffer uint64)
}

// Rule names what a Fault broke.
type Rule string

const (
	RuleBounds           Rule = "buffer-bounds"             // access outside a bound buffer
	RuleUnbound          Rule = "buffer-unbound"            // access through an index with nothing bound
	RuleThreadgroupRange Rule = "threadgroup-memory-bounds" // access outside threadgroup memory
	RuleLocalRange       Rule = "thread-memory-bounds"      // access outside a thread's own variable
	RuleConstantRange    Rule = "constant-bounds"           // access outside a constant of the program
	RuleBarrier          Rule = "divergent-barrier"         // a barrier some threads of the group never reach
	RuleSimd             Rule = "divergent-simd"            // lanes of one simdgroup at different simd operations
	RuleRace             Rule = "threadgroup-race"          // unordered accesses to the same memory in a threadgroup
	RuleAlignment        Rule = "misaligned-access"
	RuleUninitialized    Rule = "threadgroup-uninitialized" // a read of threadgroup memory nothing wrote
	RuleUndefined        Rule = "undefined-behaviour"       // C++ leaves undefined what the kernel did
	RuleTrap             Rule = "trap"                      // the kernel ended by a trap: division by zero, stack overflow
)

// Fault is an error of a running kernel.
type Fault struct {
	Rule        Rule
	Kernel      string
	Arg         string // the argument's name, "" where none is concerned
	Index       int    // its index in the argument table, -1 where none
	Thread      [3]int // thread_position_in_grid
	Threadgroup [3]int // threadgroup_position_in_grid
	Detail      string // "read of 4 bytes at 4096, length 4096"
}

func (f *Fault) Error() string {
	s := fmt.Sprintf("%s: kernel %q", f.Rule, f.Kernel)
	if f.Index >= 0 {
		s += fmt.Sprintf(", argument %q [[%d]]", f.Arg, f.Index)
	}
	s += fmt.Sprintf(", thread %v of threadgroup %v", f.Thread, f.Threadgroup)
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}
