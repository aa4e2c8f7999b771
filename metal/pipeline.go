package metal

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/gollm/gollm/metal/internal/objc"
)

// Constants are the values of a kernel's function constants, by [[function_constant(index)]]. A
// value is a bool, an int8 to int64, a uint8 to uint64, a float32, a Half or a BFloat: exactly the
// constant's type.
type Constants map[int]any

// Half and BFloat are the bits of an MSL half and an MSL bfloat.
type (
	Half   uint16
	BFloat uint16
)

// constant gives a value's MTLDataType and its bits.
func constant(v any) (typ uintptr, bits uint64, err error) {
	switch v := v.(type) {
	case bool:
		return objc.MTLDataTypeBool, uint64(word(v)), nil
	case int8:
		return objc.MTLDataTypeChar, uint64(uint8(v)), nil
	case uint8:
		return objc.MTLDataTypeUChar, uint64(v), nil
	case int16:
		return objc.MTLDataTypeShort, uint64(uint16(v)), nil
	case uint16:
		return objc.MTLDataTypeUShort, uint64(v), nil
	case int32:
		return objc.MTLDataTypeInt, uint64(uint32(v)), nil
	case uint32:
		return objc.MTLDataTypeUInt, uint64(v), nil
	case int64:
		return objc.MTLDataTypeLong, uint64(v), nil
	case uint64:
		return objc.MTLDataTypeULong, v, nil
	case float32:
		return objc.MTLDataTypeFloat, uint64(math.Float32bits(v)), nil
	case Half:
		return objc.MTLDataTypeHalf, uint64(v), nil
	case BFloat:
		return objc.MTLDataTypeBFloat, uint64(v), nil
	}
	return 0, 0, fmt.Errorf("type %T is no type of a function constant", v)
}

// Function is a kernel of a library, its constants given.
type Function struct {
	d    *Device
	id   uintptr
	name string
}

// Function finds a kernel and gives its function constants their values.
func (l *Library) Function(name string, values Constants) (*Function, error) {
	s := l.d.enter()
	defer s.leave()
	str := s.String(name)
	defer s.Release(str)
	var id uintptr
	if len(values) == 0 {
		if id = s.Send(objc.LibraryNewFunctionWithName, l.id, str); id == 0 {
			return nil, fmt.Errorf("metal: function %q: not in library %q", name, l.name)
		}
		return &Function{d: l.d, id: id, name: name}, nil
	}
	set := s.New("MTLFunctionConstantValues")
	defer s.Release(set)
	for i, v := range values {
		typ, bits, err := constant(v)
		if err != nil {
			return nil, fmt.Errorf("metal: function %q: constant %d: %w", name, i, err)
		}
		*(*uint64)(unsafe.Pointer(&s.Bytes)) = bits // little-endian: the low bytes are the value
		s.Send(objc.FunctionConstantValuesSetConstantValue, set, s.BytesAddr(), typ, uintptr(i))
	}
	id = s.Send(objc.LibraryNewFunctionWithNameConstantValuesError, l.id, str, set, s.OutAddr(0))
	if id == 0 {
		return nil, failure(s.Caller, fmt.Sprintf("function %q", name), s.Out[0])
	}
	return &Function{d: l.d, id: id, name: name}, nil
}

// Name is the kernel's name.
func (f *Function) Name() string { return f.name }

// Release gives the function up. Pipelines made of it live on.
func (f *Function) Release() { f.d.release(&f.id) }

// PipelineOptions say how a kernel is made ready.
type PipelineOptions struct {
	Label           string
	MaxThreads      int            // of a threadgroup, at most; 0 leaves it to the compiler
	MultipleOfWidth bool           // promise: threadgroups are whole simdgroups
	Archive         *BinaryArchive // where the compiled pipeline is looked up, and put if missing
}

// Pipeline is a kernel ready to run.
type Pipeline struct {
	d      *Device
	id     uintptr
	label  string
	max    int
	width  int
	static int
}

// NewPipeline compiles a kernel for this GPU.
func (d *Device) NewPipeline(f *Function, o PipelineOptions) (*Pipeline, error) {
	s := d.enter()
	defer s.leave()
	desc := s.pipelineDescriptor(f, o)
	defer s.Release(desc)
	op := fmt.Sprintf("pipeline %q of kernel %q", o.Label, f.name)
	var id uintptr
	if a := o.Archive; a != nil {
		var err error
		if id, err = a.lookUp(s, desc, op); err != nil {
			return nil, err
		}
	}
	if id == 0 {
		id = s.Send(objc.DeviceNewComputePipelineStateWithDescriptor, d.id, desc, objc.MTLPipelineOptionNone, 0, s.OutAddr(0))
		if id == 0 {
			return nil, failure(s.Caller, op, s.Out[0])
		}
	}
	return &Pipeline{
		d: d, id: id, label: o.Label,
		max:    int(s.Send(objc.ComputePipelineStateMaxTotalThreadsPerThreadgroup, id)),
		width:  int(s.Send(objc.ComputePipelineStateThreadExecutionWidth, id)),
		static: int(s.Send(objc.ComputePipelineStateStaticThreadgroupMemoryLength, id)),
	}, nil
}

func (s scope) pipelineDescriptor(f *Function, o PipelineOptions) uintptr {
	desc := s.New("MTLComputePipelineDescriptor")
	s.setLabel(objc.ComputePipelineDescriptorSetLabel, desc, o.Label)
	s.Send(objc.ComputePipelineDescriptorSetComputeFunction, desc, f.id)
	if o.MaxThreads > 0 {
		s.Send(objc.ComputePipelineDescriptorSetMaxTotalThreadsPerThreadgroup, desc, uintptr(o.MaxThreads))
	}
	if o.MultipleOfWidth {
		s.Send(objc.ComputePipelineDescriptorSetThreadGroupSizeIsMultipleOfThreadExecutionWidth, desc, 1)
	}
	return desc
}

// MaxThreads is the most threads a threadgroup of this kernel may have.
func (p *Pipeline) MaxThreads() int { return p.max }

// Width is the number of threads of a simdgroup.
func (p *Pipeline) Width() int { return p.width }

// StaticThreadgroupMemory is the bytes of threadgroup memory the kernel declares itself.
func (p *Pipeline) StaticThreadgroupMemory() int { return p.static }

// Label is the label the pipeline was made with.
func (p *Pipeline) Label() string { return p.label }

// Release gives the pipeline up.
func (p *Pipeline) Release() { p.d.release(&p.id) }
