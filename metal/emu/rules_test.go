package emu

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/internal/objc"
)

// A raw program sends messages by itself: package metal would not let it do all that is wrong here.
type raw struct {
	*objc.Caller
	m    *Machine
	dev  uintptr
	q    uintptr
	cb   uintptr
	e    uintptr // a compute encoder of cb
	buf  uintptr // 64 bytes
	one  [2]objc.Dim
	pipe map[string]uintptr
}

// offend runs an offending program on a thread of its own, inside a pool, and returns what it broke.
func offend(t *testing.T, o Options, f func(*raw)) (broken []*Violation, closing error) {
	t.Helper()
	o.compiler, o.executor = fakeCompiler{}, fakeExecutor{}
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := &raw{Caller: m.rt.Get(), m: m, dev: m.mtlDevice.id, one: [2]objc.Dim{{W: 1, H: 1, D: 1}, {W: 1, H: 1, D: 1}}, pipe: map[string]uintptr{}}
	pool := r.Push()
	r.q = r.Send(objc.DeviceNewCommandQueueWithMaxCommandBufferCount, r.dev, 2)
	r.cb = r.buffer(false)
	r.e = r.encoder()
	r.buf = r.Send(objc.DeviceNewBufferWithLength, r.dev, 64, 0)
	f(r)
	broken = m.TakeViolations()
	r.Pop(pool)
	return broken, m.Close()
}

// buffer makes a command buffer.
func (r *raw) buffer(unretained bool) uintptr {
	d := r.New("MTLCommandBufferDescriptor")
	if unretained {
		r.Send(objc.CommandBufferDescriptorSetRetainedReferences, d, 0)
	}
	return r.Send(objc.CommandQueueCommandBufferWithDescriptor, r.q, d)
}

func (r *raw) encoder() uintptr {
	return r.Send(objc.CommandBufferComputeCommandEncoderWithDispatchType, r.cb, objc.MTLDispatchTypeConcurrent)
}

// blitter ends the compute encoder and opens a blit encoder.
func (r *raw) blitter() uintptr {
	r.Send(objc.CommandEncoderEndEncoding, r.e)
	return r.Send(objc.CommandBufferBlitCommandEncoder, r.cb)
}

func (r *raw) use(name string, props ...objc.Message) {
	opt := r.New("MTLCompileOptions")
	r.Send(objc.CompileOptionsSetLanguageVersion, opt, objc.MTLLanguageVersion3_1)
	lib := r.Send(objc.DeviceNewLibraryWithSource, r.dev, r.String(name), opt, 0)
	fn := r.Send(objc.LibraryNewFunctionWithName, lib, r.String(name))
	d := r.New("MTLComputePipelineDescriptor")
	r.Send(objc.ComputePipelineDescriptorSetComputeFunction, d, fn)
	for _, p := range props {
		r.Send(p, d, 1)
	}
	r.Send(objc.ComputeCommandEncoderSetComputePipelineState, r.e,
		r.Send(objc.DeviceNewComputePipelineStateWithDescriptor, r.dev, d, 0, 0, 0))
}

func (r *raw) bind(b, offset, index uintptr) {
	r.Send(objc.ComputeCommandEncoderSetBuffer, r.e, b, offset, index)
}

func (r *raw) dispatch(grid, threads objc.Dim) {
	r.SendSizes(objc.ComputeCommandEncoderDispatchThreadgroups, r.e, &[2]objc.Dim{grid, threads}, 2)
}

// scale encodes a dispatch that may write b.
func (r *raw) scale(b uintptr) {
	r.use("scale")
	r.Send(objc.ComputeCommandEncoderSetBytes, r.e, r.BytesAddr(), 4, 1)
	r.bind(b, 0, 0)
	r.dispatch(unit, unit)
}

func (r *raw) commit() {
	r.Send(objc.CommandEncoderEndEncoding, r.e)
	r.Send(objc.CommandBufferCommit, r.cb)
}

var unit = objc.Dim{W: 1, H: 1, D: 1}

// offences has a program for every rule.
var offences = map[Rule]func(*raw){
	NilMessage:    func(r *raw) { r.Send(objc.BufferContents, 0) },
	UnknownObject: func(r *raw) { r.bind(0x1234, 0, 0) },
	UseAfterRelease: func(r *raw) {
		r.Release(r.buf)
		r.bind(r.buf, 0, 0)
	},
	OverRelease: func(r *raw) {
		r.Release(r.buf)
		r.Release(r.buf)
	},
	UnknownSelector:  func(r *raw) { r.Send(objc.BufferContents, r.q) },
	WrongType:        func(r *raw) { r.bind(r.q, 0, 0) },
	NilArgument:      func(r *raw) { r.Send(objc.ComputeCommandEncoderSetComputePipelineState, r.e, 0) },
	UnknownEnumValue: func(r *raw) { r.Send(objc.ComputeCommandEncoderMemoryBarrierWithScope, r.e, 64) },
	NoPool: func(r *raw) {
		done := make(chan bool)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			c := r.m.rt.Get()
			c.Send(objc.DeviceName, r.dev)
			close(done)
		}()
		<-done
	},
	PoolOrder: func(r *raw) {
		outer := r.Push()
		r.Push()
		r.Pop(outer)
	},
	PoolThread: func(r *raw) {
		p := r.Push()
		done := make(chan bool)
		go func() {
			runtime.LockOSThread()
			r.m.rt.Get().Pop(p)
			close(done)
		}()
		<-done
	},
	ReleasedInUse: func(r *raw) {
		r.Send(objc.CommandEncoderEndEncoding, r.e)
		ev := r.Send(objc.DeviceNewSharedEvent, r.dev)
		r.cb = r.buffer(true)
		r.Send(objc.CommandBufferEncodeWaitForEvent, r.cb, ev, 1)
		r.e = r.encoder()
		r.bind(r.buf, 0, 0)
		r.commit()
		r.Release(r.buf)
		r.Send(objc.SharedEventSetSignaledValue, ev, 1)
		r.Send(objc.CommandBufferWaitUntilCompleted, r.cb)
	},

	BufferLength: func(r *raw) { r.Send(objc.DeviceNewBufferWithLength, r.dev, 9*gib, 0) },
	NoCopyAlignment: func(r *raw) {
		p, _ := mapMemory(16384, 16384)
		r.Send(objc.DeviceNewBufferWithBytesNoCopy, r.dev, uintptr(unsafe.Pointer(&p.bytes[0])), 4096, 0, 0)
	},
	LanguageUnset: func(r *raw) {
		r.Send(objc.DeviceNewLibraryWithSource, r.dev, r.String("add"), r.New("MTLCompileOptions"), 0)
	},
	ResidencyCommit: func(r *raw) {
		s := r.Send(objc.DeviceNewResidencySetWithDescriptor, r.dev, r.New("MTLResidencySetDescriptor"), 0)
		r.Send(objc.ResidencySetAddAllocation, s, r.buf)
		r.Send(objc.CommandBufferUseResidencySet, r.cb, s)
		r.commit()
	},
	ResidencyLimit: func(r *raw) {
		for range 33 {
			r.Send(objc.CommandQueueAddResidencySet, r.q,
				r.Send(objc.DeviceNewResidencySetWithDescriptor, r.dev, r.New("MTLResidencySetDescriptor"), 0))
		}
	},
	EventValue: func(r *raw) {
		ev := r.Send(objc.DeviceNewSharedEvent, r.dev)
		r.Send(objc.SharedEventSetSignaledValue, ev, 2)
		r.Send(objc.SharedEventSetSignaledValue, ev, 1)
	},
	IndexRange: func(r *raw) {
		list := r.Send(objc.DeviceCounterSets, r.dev)
		r.Send(objc.NSArrayObjectAtIndex, list, 1)
	},

	EncoderOpen: func(r *raw) { r.encoder() },
	EncoderEnded: func(r *raw) {
		r.Send(objc.CommandEncoderEndEncoding, r.e)
		r.Send(objc.CommandEncoderEndEncoding, r.e)
	},
	EncoderDropped: func(r *raw) {
		p := r.Push()
		r.Send(objc.CommandEncoderEndEncoding, r.e)
		r.encoder()
		r.Pop(p)
	},
	AfterCommit: func(r *raw) {
		r.commit()
		r.Send(objc.CommandBufferCommit, r.cb)
	},
	WaitUncommitted: func(r *raw) { r.Send(objc.CommandBufferWaitUntilCompleted, r.cb) },
	QueueFull:       func(r *raw) { r.buffer(false); r.buffer(false) },
	DebugGroups: func(r *raw) {
		r.Send(objc.CommandEncoderPushDebugGroup, r.e, r.String("g"))
		r.Send(objc.CommandEncoderEndEncoding, r.e)
	},

	PipelineUnset: func(r *raw) { r.dispatch(unit, unit) },
	BufferIndex:   func(r *raw) { r.bind(r.buf, 0, 31) },
	BufferOffset:  func(r *raw) { r.bind(r.buf, 64, 0) },
	OffsetAlignment: func(r *raw) {
		r.use("half2")
		r.bind(r.buf, 3, 0)
		r.dispatch(unit, unit)
	},
	NoBufferAtIndex: func(r *raw) { r.Send(objc.ComputeCommandEncoderSetBufferOffset, r.e, 0, 4) },
	BytesLength: func(r *raw) {
		r.Send(objc.ComputeCommandEncoderSetBytes, r.e, r.BytesAddr(), 4097, 0)
	},
	BufferUnbound: func(r *raw) {
		r.use("scale")
		r.bind(r.buf, 0, 0)
		r.dispatch(unit, unit)
	},
	BufferTooSmall: func(r *raw) {
		r.use("wide")
		r.Send(objc.ComputeCommandEncoderSetBytes, r.e, r.BytesAddr(), 4, 0)
		r.dispatch(unit, unit)
	},
	ThreadgroupIndex: func(r *raw) { r.Send(objc.ComputeCommandEncoderSetThreadgroupMemoryLength, r.e, 16, 31) },
	ThreadgroupAlign: func(r *raw) { r.Send(objc.ComputeCommandEncoderSetThreadgroupMemoryLength, r.e, 24, 0) },
	ThreadgroupTotal: func(r *raw) {
		r.use("shared") // 16384 of its own
		r.Send(objc.ComputeCommandEncoderSetThreadgroupMemoryLength, r.e, 16400, 0)
		r.dispatch(unit, unit)
	},
	ThreadgroupUnset: func(r *raw) {
		r.use("shared")
		r.dispatch(unit, unit)
	},
	ZeroSize: func(r *raw) {
		r.use("narrow")
		r.dispatch(objc.Dim{W: 1, H: 0, D: 1}, unit)
	},
	ThreadgroupSize: func(r *raw) {
		r.use("narrow") // 64
		r.dispatch(unit, objc.Dim{W: 8, H: 8, D: 2})
	},
	ThreadgroupWidth: func(r *raw) {
		r.use("narrow", objc.ComputePipelineDescriptorSetThreadGroupSizeIsMultipleOfThreadExecutionWidth)
		r.dispatch(unit, objc.Dim{W: 33, H: 1, D: 1})
	},
	BlitRange:     func(r *raw) { r.Send(objc.BlitCommandEncoderFillBuffer, r.blitter(), r.buf, 32, 36, 0) },
	BlitAlignment: func(r *raw) { r.Send(objc.BlitCommandEncoderFillBuffer, r.blitter(), r.buf, 2, 4, 0) },
	IndirectOffset: func(r *raw) {
		r.use("narrow")
		r.SendSizes(objc.ComputeCommandEncoderDispatchThreadgroupsWithIndirectBuffer, r.e, &r.one, 1, r.buf, 56)
	},
	IndirectSize: func(r *raw) {
		r.use("narrow")
		r.SendSizes(objc.ComputeCommandEncoderDispatchThreadgroupsWithIndirectBuffer, r.e, &r.one, 1, r.buf, 0) // never written
		r.commit()
		r.Send(objc.CommandBufferWaitUntilCompleted, r.cb)
	},
	PrivateContents: func(r *raw) {
		r.Send(objc.BufferContents, r.Send(objc.DeviceNewBufferWithLength, r.dev, 64, objc.MTLResourceStorageModePrivate))
	},
	SampleIndex: func(r *raw) {
		d := r.New("MTLCounterSampleBufferDescriptor")
		r.Send(objc.CounterSampleBufferDescriptorSetCounterSet, d, r.Send(objc.NSArrayObjectAtIndex, r.Send(objc.DeviceCounterSets, r.dev), 0))
		r.Send(objc.CounterSampleBufferDescriptorSetSampleCount, d, 2)
		r.Send(objc.CounterSampleBufferResolveCounterRange, r.Send(objc.DeviceNewCounterSampleBufferWithDescriptor, r.dev, d, 0), 1, 2)
	},
	MissingBarrier: func(r *raw) {
		r.use("scale")
		r.Send(objc.ComputeCommandEncoderSetBytes, r.e, r.BytesAddr(), 4, 1)
		r.bind(r.buf, 0, 0)
		r.dispatch(unit, unit)
		r.bind(r.buf, 32, 0)
		r.dispatch(unit, unit) // another place of the same buffer
		r.Objects[0] = r.buf
		r.Send(objc.ComputeCommandEncoderMemoryBarrierWithResources, r.e, r.ObjectsAddr(), 1)
		r.dispatch(unit, unit) // ordered
		r.bind(r.buf, 0, 0)
		r.Send(objc.ComputeCommandEncoderMemoryBarrierWithScope, r.e, objc.MTLBarrierScopeBuffers)
		r.dispatch(unit, unit) // ordered
		r.dispatch(unit, unit) // not
		r.commit()
		r.Send(objc.CommandBufferWaitUntilCompleted, r.cb)
	},
	UntrackedHazard: func(r *raw) {
		b := r.Send(objc.DeviceNewBufferWithLength, r.dev, 64, objc.MTLResourceHazardTrackingModeUntracked)
		r.scale(b)
		r.Send(objc.CommandEncoderEndEncoding, r.e)
		r.e = r.encoder()
		r.scale(b)
		r.commit()
		r.Send(objc.CommandBufferWaitUntilCompleted, r.cb)
	},
	Rule(kernel.RuleBounds): func(r *raw) {
		r.use("outside")
		r.bind(r.buf, 0, 0)
		r.dispatch(unit, unit)
		r.commit()
		r.Send(objc.CommandBufferWaitUntilCompleted, r.cb)
	},
}

// atClose are the rules only Close can find broken.
var atClose = map[Rule]func(*raw){
	Leak: func(r *raw) {},
	PoolLeak: func(r *raw) {
		done := make(chan bool)
		go func() {
			runtime.LockOSThread()
			r.m.rt.Get().Push()
			close(done)
		}()
		<-done
	},
}

// Each rule has a program that breaks it and nothing else.
func TestRules(t *testing.T) {
	for rule, f := range offences {
		t.Run(string(rule), func(t *testing.T) {
			broken, _ := offend(t, Options{Hazards: true}, f)
			if len(broken) != 1 || broken[0].Rule != rule {
				t.Fatalf("broken: %v", broken)
			}
			if broken[0].Message != "" && broken[0].Caller == "" {
				t.Errorf("no caller: %v", broken[0])
			}
		})
	}
	for rule, f := range atClose {
		t.Run(string(rule), func(t *testing.T) {
			broken, err := offend(t, Options{}, f)
			if len(broken) != 0 || err == nil || !strings.Contains(err.Error(), string(rule)+": ") {
				t.Fatalf("broken: %v, at close: %v", broken, err)
			}
		})
	}
}

// Every rule the source names has such a program.
func TestRulesAreComplete(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "rules.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/METAL.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || fmt.Sprint(spec.Type) != "Rule" {
			return true
		}
		rule, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if n++; offences[Rule(rule)] == nil && atClose[Rule(rule)] == nil {
			t.Errorf("%s has no offending program", rule)
		}
		if !strings.Contains(string(doc), "\n| "+rule+" | ") {
			t.Errorf("%s is not in docs/METAL.md", rule)
		}
		return true
	})
	if n < 40 {
		t.Errorf("only %d rules found", n)
	}
}

// Rules that several messages can break, by the other ways.
func TestRulesOtherWays(t *testing.T) {
	ways := []struct {
		name string
		rule Rule
		f    func(*raw)
	}{
		{"set bytes of nothing", BytesLength, func(r *raw) { r.Send(objc.ComputeCommandEncoderSetBytes, r.e, r.BytesAddr(), 0, 0) }},
		{"set bytes from nil", NilArgument, func(r *raw) { r.Send(objc.ComputeCommandEncoderSetBytes, r.e, 0, 4, 0) }},
		{"set bytes index", BufferIndex, func(r *raw) { r.Send(objc.ComputeCommandEncoderSetBytes, r.e, r.BytesAddr(), 4, 31) }},
		{"buffers range", BufferIndex, func(r *raw) {
			r.Send(objc.ComputeCommandEncoderSetBuffers, r.e, r.ObjectsAddr(), r.NumbersAddr(), 30, 2)
		}},
		{"buffers, an offset", BufferOffset, func(r *raw) {
			r.Objects[0], r.Objects[1], r.Numbers[0], r.Numbers[1] = r.buf, r.buf, 0, 64
			r.Send(objc.ComputeCommandEncoderSetBuffers, r.e, r.ObjectsAddr(), r.NumbersAddr(), 0, 2)
		}},
		{"buffers, a wrong object", WrongType, func(r *raw) {
			r.Objects[0] = r.q
			r.Send(objc.ComputeCommandEncoderSetBuffers, r.e, r.ObjectsAddr(), r.NumbersAddr(), 0, 1)
		}},
		{"offset of a bound buffer", BufferOffset, func(r *raw) {
			r.bind(r.buf, 0, 0)
			r.Send(objc.ComputeCommandEncoderSetBufferOffset, r.e, 100, 0)
		}},
		{"threads of nothing", ZeroSize, func(r *raw) {
			r.use("narrow")
			r.SendSizes(objc.ComputeCommandEncoderDispatchThreads, r.e, &[2]objc.Dim{{W: 4, H: 4, D: 4}, {}}, 2)
		}},
		{"threadgroup memory over the device's", ThreadgroupTotal, func(r *raw) {
			r.Send(objc.ComputeCommandEncoderSetThreadgroupMemoryLength, r.e, 65536, 0)
		}},
		{"one dimension over the device's", ThreadgroupSize, func(r *raw) {
			r.use("narrow")
			r.dispatch(unit, objc.Dim{W: 2048, H: 1, D: 1})
		}},
		{"commit with an open encoder", EncoderOpen, func(r *raw) { r.Send(objc.CommandBufferCommit, r.cb) }},
		{"signal with an open encoder", EncoderOpen, func(r *raw) {
			r.Send(objc.CommandBufferEncodeSignalEvent, r.cb, r.Send(objc.DeviceNewSharedEvent, r.dev), 1)
		}},
		{"dispatch after endEncoding", EncoderEnded, func(r *raw) {
			r.Send(objc.CommandEncoderEndEncoding, r.e)
			r.dispatch(unit, unit)
		}},
		{"encoder after commit", AfterCommit, func(r *raw) { r.commit(); r.encoder() }},
		{"handler after commit", AfterCommit, func(r *raw) { r.commit(); r.Send(objc.CommandBufferAddCompletedHandler, r.cb, r.buf) }},
		{"pop of no group", DebugGroups, func(r *raw) { r.Send(objc.CommandEncoderPopDebugGroup, r.e) }},
		{"overlapping copy", BlitRange, func(r *raw) {
			r.Send(objc.BlitCommandEncoderCopyFromBuffer, r.blitter(), r.buf, 0, r.buf, 8, 16)
		}},
		{"copy beyond the end", BlitRange, func(r *raw) {
			other := r.Send(objc.DeviceNewBufferWithLength, r.dev, 8, 0)
			r.Send(objc.BlitCommandEncoderCopyFromBuffer, r.blitter(), r.buf, 0, other, 0, 16)
		}},
		{"copy of odd size", BlitAlignment, func(r *raw) {
			other := r.Send(objc.DeviceNewBufferWithLength, r.dev, 64, 0)
			r.Send(objc.BlitCommandEncoderCopyFromBuffer, r.blitter(), r.buf, 0, other, 0, 7)
		}},
		{"fill of nothing", BlitRange, func(r *raw) { r.Send(objc.BlitCommandEncoderFillBuffer, r.blitter(), r.buf, 0, 0, 0) }},
		{"length zero", BufferLength, func(r *raw) { r.Send(objc.DeviceNewBufferWithLength, r.dev, 0, 0) }},
		{"no-copy of nothing", BufferLength, func(r *raw) {
			p, _ := mapMemory(16384, 16384)
			r.Send(objc.DeviceNewBufferWithBytesNoCopy, r.dev, uintptr(unsafe.Pointer(&p.bytes[0])), 0, 0, 0)
		}},
		{"no-copy at an odd address", NoCopyAlignment, func(r *raw) {
			p, _ := mapMemory(2*16384, 16384)
			r.Send(objc.DeviceNewBufferWithBytesNoCopy, r.dev, uintptr(unsafe.Pointer(&p.bytes[4096])), 16384, 0, 0)
		}},
		{"indirect offset odd", IndirectOffset, func(r *raw) {
			r.SendSizes(objc.ComputeCommandEncoderDispatchThreadgroupsWithIndirectBuffer, r.e, &r.one, 1, r.buf, 2)
		}},
		{"33 residency sets of a command buffer", ResidencyLimit, func(r *raw) {
			for range 33 {
				r.Send(objc.CommandBufferUseResidencySet, r.cb,
					r.Send(objc.DeviceNewResidencySetWithDescriptor, r.dev, r.New("MTLResidencySetDescriptor"), 0))
			}
		}},
		{"residency requested before commit", ResidencyCommit, func(r *raw) {
			s := r.Send(objc.DeviceNewResidencySetWithDescriptor, r.dev, r.New("MTLResidencySetDescriptor"), 0)
			r.Send(objc.ResidencySetAddAllocation, s, r.buf)
			r.Send(objc.ResidencySetRequestResidency, s)
		}},
		{"message to a drained object", UseAfterRelease, func(r *raw) {
			p := r.Push()
			name := r.Send(objc.DeviceName, r.dev)
			r.Pop(p)
			r.Send(objc.NSStringUTF8String, name)
		}},
		{"over-release of an autoreleased object", OverRelease, func(r *raw) {
			p := r.Push()
			name := r.Send(objc.DeviceName, r.dev)
			r.Release(name)
			r.Send(objc.NSObjectRelease, name)
			r.Pop(p)
		}},
		{"released before an unretained commit", ReleasedInUse, func(r *raw) {
			r.Send(objc.CommandEncoderEndEncoding, r.e)
			r.cb = r.buffer(true)
			r.e = r.encoder()
			r.bind(r.buf, 0, 0)
			r.Release(r.buf)
			r.commit()
		}},
		{"pop of no pool", PoolOrder, func(r *raw) { r.Pop(77) }},
		{"selector of a newer system", UnknownSelector, func(r *raw) { r.Send(objc.DeviceArchitecture, r.dev) }},
		{"an unknown resource option", UnknownEnumValue, func(r *raw) { r.Send(objc.DeviceNewBufferWithLength, r.dev, 64, 1<<12) }},
		{"a dictionary with a nil value", NilArgument, func(r *raw) {
			r.Objects[0], r.Objects[1] = r.String("k"), 0
			r.Send(objc.NSDictionaryDictionaryWithObjects, r.m.rt.ClassID("NSDictionary"), r.ObjectsAddr()+8, r.ObjectsAddr(), 1)
		}},
		{"a pipeline of no function", NilArgument, func(r *raw) {
			r.Send(objc.DeviceNewComputePipelineStateWithDescriptor, r.dev, r.New("MTLComputePipelineDescriptor"), 0, 0, 0)
		}},
		{"function constant 65536", IndexRange, func(r *raw) {
			r.Send(objc.FunctionConstantValuesSetConstantValue, r.New("MTLFunctionConstantValues"), r.BytesAddr(), objc.MTLDataTypeUInt, 65536)
		}},
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			o := Options{}
			if w.name == "selector of a newer system" {
				o.Darwin = 22
			}
			broken, _ := offend(t, o, w.f)
			if len(broken) == 0 || broken[0].Rule != w.rule {
				t.Fatalf("broken: %v, want %s", broken, w.rule)
			}
		})
	}
}

// A command buffer in which a rule was broken fails with the rule's name.
func TestBrokenRuleFailsTheCommandBuffer(t *testing.T) {
	broken, _ := offend(t, Options{}, func(r *raw) {
		r.bind(r.buf, 64, 0)
		r.commit()
		r.Send(objc.CommandBufferWaitUntilCompleted, r.cb)
		if s := r.Send(objc.CommandBufferStatus, r.cb); s != objc.MTLCommandBufferStatusError {
			t.Errorf("status %d", s)
		}
		text := r.GoString(r.Send(objc.NSErrorLocalizedDescription, r.Send(objc.CommandBufferError, r.cb)))
		if !strings.HasPrefix(text, "buffer-offset: -[MTLComputeCommandEncoder setBuffer:offset:atIndex:]") || !strings.Contains(text, "rules_test.go:") {
			t.Errorf("error %q", text)
		}
	})
	if len(broken) != 1 {
		t.Error(broken)
	}
}

// commandBuffer blocks at the queue's limit until a committed one completes.
func TestQueueBlocksAtItsLimit(t *testing.T) {
	broken, _ := offend(t, Options{}, func(r *raw) { // a queue of 2, one made already
		ev := r.Send(objc.DeviceNewSharedEvent, r.dev)
		r.Send(objc.CommandEncoderEndEncoding, r.e)
		r.Send(objc.CommandBufferEncodeWaitForEvent, r.cb, ev, 1)
		r.Send(objc.CommandBufferCommit, r.cb)
		r.buffer(false)
		var signalled time.Time
		go func() {
			time.Sleep(20 * time.Millisecond)
			signalled = time.Now()
			r.m.rt.Get().Send(objc.SharedEventSetSignaledValue, ev, 1)
		}()
		if r.buffer(false) == 0 || signalled.IsZero() {
			t.Error("it did not block")
		}
	})
	if len(broken) != 0 {
		t.Error(broken)
	}
}

// A wrong object of another machine, or of one closed, is no object here.
func TestMachinesAreApart(t *testing.T) {
	var old uintptr
	if _, err := offend(t, Options{}, func(r *raw) { old = r.buf }); err == nil {
		t.Error("no leaks")
	}
	broken, _ := offend(t, Options{}, func(r *raw) { r.bind(old, 0, 0) })
	if len(broken) != 1 || broken[0].Rule != UnknownObject {
		t.Error(broken)
	}
}

// Leaks are listed with their class, label and place; what is not leaked is not.
func TestLeaksAreListed(t *testing.T) {
	_, err := offend(t, Options{}, func(r *raw) {
		r.Send(objc.CommandEncoderEndEncoding, r.e)
		r.Send(objc.ResourceSetLabel, r.buf, r.String("weights"))
	})
	var v *Violation
	if err == nil || !errors.As(err, &v) || !strings.Contains(err.Error(), `MTLBuffer "weights" still has 1 references of the program; made at emu/rules_test.go:`) {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "MTLComputeCommandEncoder") {
		t.Errorf("the encoder was autoreleased: %v", err)
	}
}
