package emu

import (
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/internal/objc"
)

// Rule names a rule of Metal or of Objective-C that a program broke. docs/METAL.md gives the source
// of each.
type Rule string

// Messages and objects.
const (
	NilMessage       Rule = "nil-message"        // a message to nil: Objective-C ignores it in silence
	UnknownObject    Rule = "unknown-object"     // an address that never was an object
	UseAfterRelease  Rule = "use-after-release"  // a message to, or an argument that is, an object already given up
	OverRelease      Rule = "over-release"       // more releases than references
	Leak             Rule = "leak"               // still referenced when the machine is closed
	UnknownSelector  Rule = "unknown-selector"   // the object does not answer the message
	WrongType        Rule = "wrong-type"         // an argument of another class than declared
	NilArgument      Rule = "nil-argument"       // nil where the message needs an object or an address
	NoPool           Rule = "no-pool"            // an autoreleased object on a thread without a pool: it leaks
	PoolOrder        Rule = "pool-order"         // a pool popped that is not the thread's innermost
	PoolThread       Rule = "pool-thread"        // a pool popped on another thread
	PoolLeak         Rule = "pool-leak"          // a pool never popped
	ReleasedInUse    Rule = "released-in-use"    // released while a command buffer with unretained references uses it
	UnknownEnumValue Rule = "unknown-enum-value" // a value the enumeration does not have
)

// Resources, libraries and pipelines.
const (
	BufferLength    Rule = "buffer-length"    // 0 < length <= maxBufferLength
	NoCopyAlignment Rule = "nocopy-alignment" // pointer and length of a no-copy buffer are multiples of the page size
	LanguageUnset   Rule = "language-version" // newLibraryWithSource without MTLCompileOptions.languageVersion
	ResidencyCommit Rule = "residency-commit" // a residency set used with changes not committed
	ResidencyLimit  Rule = "residency-limit"  // more than 32 residency sets on a queue
	EventValue      Rule = "event-value"      // an event set to a value not above its present one
	IndexRange      Rule = "index-range"      // objectAtIndex: and the like beyond the end
)

// Command buffers and encoders.
const (
	EncoderOpen     Rule = "encoder-open"    // a second encoder, or commit, before endEncoding
	EncoderEnded    Rule = "encoder-ended"   // a message to an encoder after endEncoding
	EncoderDropped  Rule = "encoder-dropped" // an encoder released before endEncoding
	AfterCommit     Rule = "after-commit"    // encoding, or a second commit, after commit
	WaitUncommitted Rule = "wait-before-commit"
	QueueFull       Rule = "queue-full" // commandBuffer would block for ever: the caller committed none of the unfinished
	DebugGroups     Rule = "debug-groups"
)

// Dispatches.
const (
	PipelineUnset    Rule = "pipeline-unset"
	BufferIndex      Rule = "buffer-index"  // 0..30
	BufferOffset     Rule = "buffer-offset" // offset < length
	OffsetAlignment  Rule = "offset-alignment"
	NoBufferAtIndex  Rule = "no-buffer-at-index" // setBufferOffset: where no buffer is bound
	BytesLength      Rule = "set-bytes-length"   // 1..4096
	BufferUnbound    Rule = "buffer-unbound"     // the kernel uses an index with nothing bound
	BufferTooSmall   Rule = "buffer-too-small"   // less is bound than one element of the argument's type
	ThreadgroupIndex Rule = "threadgroup-memory-index"
	ThreadgroupAlign Rule = "threadgroup-memory-length" // a multiple of 16
	ThreadgroupTotal Rule = "threadgroup-memory-total"  // static and dynamic <= maxThreadgroupMemoryLength
	ThreadgroupUnset Rule = "threadgroup-memory-unset"  // the kernel has a threadgroup argument without a length
	ZeroSize         Rule = "zero-size"                 // no dimension is 0
	ThreadgroupSize  Rule = "threadgroup-size"          // the product <= the pipeline's maximum, each dimension <= the device's
	ThreadgroupWidth Rule = "threadgroup-width"         // a multiple of threadExecutionWidth where the pipeline promises it
	BlitRange        Rule = "blit-range"                // inside the buffer, not empty, not overlapping
	BlitAlignment    Rule = "blit-alignment"            // offsets and sizes are multiples of 4 on macOS
	IndirectOffset   Rule = "indirect-offset"           // a multiple of 4, with 12 bytes behind it
	IndirectSize     Rule = "indirect-size"             // a grid of less than 2^32 threadgroups is read from the buffer
	PrivateContents  Rule = "private-contents"          // contents of a private buffer
	SampleIndex      Rule = "sample-index"              // inside the counter sample buffer
	MissingBarrier   Rule = "missing-barrier"           // see Options.Hazards
	UntrackedHazard  Rule = "untracked-hazard"          // see Options.Hazards
)

// Running kernels.
const (
	BufferBounds       = Rule(kernel.RuleBounds)           // an access outside the argument its pointer comes from
	ThreadgroupBounds  = Rule(kernel.RuleThreadgroupRange) // an access outside a threadgroup argument or variable
	ThreadBounds       = Rule(kernel.RuleLocalRange)       // an access outside a thread's own variable
	ConstantBounds     = Rule(kernel.RuleConstantRange)    // an access outside a constant of the program
	MisalignedAccess   = Rule(kernel.RuleAlignment)
	DivergentBarrier   = Rule(kernel.RuleBarrier)       // a barrier that some threads of a threadgroup never reach
	DivergentSimd      = Rule(kernel.RuleSimd)          // see Options.DivergentSIMD
	ThreadgroupRace    = Rule(kernel.RuleRace)          // see Options.Races
	UninitializedRead  = Rule(kernel.RuleUninitialized) // see Options.Races
	UndefinedBehaviour = Rule(kernel.RuleUndefined)     // see Options.Sanitize
	Trap               = Rule(kernel.RuleTrap)          // a division by zero, a stack overflow
)

// Violation is a rule broken: what Metal's validation layer would stop the program for, or what would
// go wrong in silence without it.
type Violation struct {
	Rule    Rule
	Message string // -[MTLComputeCommandEncoder setBytes:length:atIndex:], "" where none was sent
	Object  string // class, and label if it has one, of the receiver
	Detail  string
	Caller  string // file:line outside package metal
}

func (v *Violation) Error() string {
	s := string(v.Rule) + ": "
	if v.Message != "" {
		s += v.Message
		if v.Object != "" {
			s += " (" + v.Object + ")"
		}
		s += ": "
	}
	s += v.Detail
	if v.Caller != "" {
		s += " [" + v.Caller + "]"
	}
	return s
}

// A site is a call stack, resolved only when somebody asks.
type site [40]uintptr

func here() (s site) {
	runtime.Callers(3, s[:])
	return s
}

// caller finds who called package metal: "file.go:12".
func (s *site) caller() string {
	n := 0
	for n < len(s) && s[n] != 0 {
		n++
	}
	frames := runtime.CallersFrames(s[:n])
	for {
		f, more := frames.Next()
		if f.File != "" && strings.Contains(f.Function, ".") && !internalFrame(f.Function, f.File) {
			dir, file := path.Split(f.File)
			return fmt.Sprintf("%s:%d", path.Join(path.Base(dir), file), f.Line)
		}
		if !more {
			return ""
		}
	}
}

func caller() string {
	s := here()
	return s.caller()
}

// goroutine names the goroutine that sends the message being handled: threads do not, since between
// two messages a goroutine may move to another.
func goroutine() string {
	var b [32]byte
	name, _, _ := strings.Cut(string(b[:runtime.Stack(b[:], false)]), " [")
	return name
}

func internalFrame(fn, file string) bool {
	if strings.HasSuffix(file, "_test.go") {
		return false
	}
	for _, p := range []string{"runtime.", "reflect.", "sync.", "testing.", "github.com/ebitengine/purego",
		"github.com/gollm/gollm/metal.", "github.com/gollm/gollm/metal/emu.", "github.com/gollm/gollm/metal/internal/"} {
		if strings.HasPrefix(fn, p) {
			return true
		}
	}
	return false
}

// broke records a violation of the message being handled.
func (c *call) broke(r Rule, format string, a ...any) {
	v := &Violation{Rule: r, Detail: fmt.Sprintf(format, a...), Caller: caller()}
	if c.decl != nil {
		v.Message = c.decl.String()
	}
	if c.self != nil {
		v.Object = c.self.String()
		if cb := c.self.commandBuffer(); cb != nil && cb.broken == nil {
			cb.broken = v
		}
	}
	c.m.report(v)
}

// report records a violation; m.mu is held.
func (m *Machine) report(v *Violation) {
	m.violations = append(m.violations, v)
	if m.opt.Report != nil {
		m.opt.Report(v)
	}
}

// enumValues are the values Metal's enumerations have, as far as the messages use them.
var enumValues = map[string]func(v uint64) bool{
	"MTLLanguageVersion": oneOf(objc.MTLLanguageVersion2_4, objc.MTLLanguageVersion3_0, objc.MTLLanguageVersion3_1,
		objc.MTLLanguageVersion3_2, objc.MTLLanguageVersion4_0),
	"MTLMathMode":                   oneOf(objc.MTLMathModeSafe, objc.MTLMathModeRelaxed, objc.MTLMathModeFast),
	"MTLMathFloatingPointFunctions": oneOf(objc.MTLMathFloatingPointFunctionsFast, objc.MTLMathFloatingPointFunctionsPrecise),
	"MTLResourceOptions": func(v uint64) bool {
		const known = objc.MTLResourceStorageModePrivate | objc.MTLResourceCPUCacheModeWriteCombined |
			objc.MTLResourceHazardTrackingModeUntracked | objc.MTLResourceHazardTrackingModeTracked
		return v&^uint64(known) == 0
	},
	"MTLDispatchType":             oneOf(objc.MTLDispatchTypeSerial, objc.MTLDispatchTypeConcurrent),
	"MTLBarrierScope":             oneOf(objc.MTLBarrierScopeBuffers),
	"MTLCommandBufferErrorOption": oneOf(0, objc.MTLCommandBufferErrorOptionEncoderExecutionStatus),
	"MTLDataType": oneOf(objc.MTLDataTypeFloat, objc.MTLDataTypeHalf, objc.MTLDataTypeInt, objc.MTLDataTypeUInt,
		objc.MTLDataTypeShort, objc.MTLDataTypeUShort, objc.MTLDataTypeChar, objc.MTLDataTypeUChar,
		objc.MTLDataTypeBool, objc.MTLDataTypeLong, objc.MTLDataTypeULong, objc.MTLDataTypeBFloat),
	"MTLPipelineOption":       oneOf(objc.MTLPipelineOptionNone, objc.MTLPipelineOptionFailOnBinaryArchiveMiss),
	"MTLCounterSamplingPoint": func(v uint64) bool { return v <= 4 },
	"MTLCaptureDestination":   oneOf(1, objc.MTLCaptureDestinationGPUTraceDocument),
	"MTLStorageMode":          oneOf(objc.MTLStorageModeShared, 2),
	"NSStringEncoding":        oneOf(4),
}

func oneOf(list ...uint64) func(uint64) bool {
	return func(v uint64) bool {
		for _, w := range list {
			if v == w {
				return true
			}
		}
		return false
	}
}
