package emu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/internal/objc"
)

const (
	libraryDomain = "MTLLibraryErrorDomain"
	archiveDomain = "MTLBinaryArchiveDomain"

	libraryUnsupported    = 1
	libraryCompileFailure = 3
	libraryNotFound       = 5
	libraryNoFile         = 6
	archiveInvalidFile    = 1
)

// library is the data of an MTLLibrary.
type library struct {
	lib  kernel.Library
	hash string // of source and options
	refs int    // of the library itself and of functions and pipelines made of it
}

func (l *library) dealloc(m *Machine) { l.drop(m) }

func (l *library) drop(m *Machine) {
	if l.refs--; l.refs == 0 {
		_ = l.lib.Close()
	}
}

// function is the data of an MTLFunction.
type function struct {
	lib    *library
	name   string
	kernel kernel.Kernel
	failed error // why it cannot become a pipeline
	key    string
}

func (f *function) dealloc(m *Machine) { f.lib.drop(m) }

// pipeline is the data of an MTLComputePipelineState.
type pipeline struct {
	lib     *library
	kernel  kernel.Kernel
	threads int  // most in a threadgroup
	whole   bool // threadgroups are multiples of the execution width
}

func (p *pipeline) dealloc(m *Machine) { p.lib.drop(m) }

// constantValues is the data of an MTLFunctionConstantValues.
type constantValues struct{ values map[int]kernel.ConstantValue }

// compile is newLibraryWithSource:options:error: without the words.
func (c *call) compile(source string, o kernel.Options) (*object, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %t %t %t", o.LanguageVersion, o.FastMath, o.PreciseFunctions, o.Strict)
	for _, texts := range []map[string]string{o.Macros, o.Headers} {
		for _, n := range slices.Sorted(maps.Keys(texts)) {
			fmt.Fprintf(h, " %q=%q", n, texts[n])
		}
		fmt.Fprintln(h)
	}
	fmt.Fprint(h, source)
	m := c.m
	m.stats.Compiles++
	m.mu.Unlock() // compiling takes long, and others may compile meanwhile
	lib, err := m.compiler.Compile(context.Background(), source, o)
	m.mu.Lock()
	if err != nil {
		return nil, err
	}
	return m.add("MTLLibrary", &library{lib: lib, hash: hex.EncodeToString(h.Sum(nil)), refs: 1}), nil
}

func (c *call) kernelOptions(opt *object) kernel.Options {
	get := func(m objc.Message) (uintptr, bool) {
		v, ok := opt.props[m]
		return v.word, ok
	}
	o := kernel.Options{FastMath: true, Macros: map[string]string{}, Headers: c.m.opt.Headers,
		MaxThreadgroupMemory: maxThreadgroupMemory, Strict: !c.m.opt.Lenient}
	if v, ok := get(objc.CompileOptionsSetLanguageVersion); ok {
		o.LanguageVersion = uint32(v)
	}
	if v, ok := get(objc.CompileOptionsSetFastMathEnabled); ok {
		o.FastMath = byte(v) != 0
	}
	if v, ok := get(objc.CompileOptionsSetMathMode); ok {
		o.FastMath = v == objc.MTLMathModeFast
	}
	if v, _ := get(objc.CompileOptionsSetMathFloatingPointFunctions); v == objc.MTLMathFloatingPointFunctionsPrecise {
		o.PreciseFunctions = true
	}
	if d := opt.props[objc.CompileOptionsSetPreprocessorMacros].obj; d != nil {
		dict := d.data.(*nsDictionary)
		for i, k := range dict.keys {
			v := dict.values[i]
			if k.class != "NSString" || v.class != "NSString" {
				c.broke(WrongType, "preprocessorMacros has %s for %s; gollm passes strings", v, k)
				continue
			}
			o.Macros[text(k)] = text(v)
		}
	}
	return o
}

var libraryHandlers = map[objc.Message]func(*call) uintptr{
	objc.CompileOptionsSetLanguageVersion:            setProperty,
	objc.CompileOptionsSetFastMathEnabled:            setProperty,
	objc.CompileOptionsSetMathMode:                   setProperty,
	objc.CompileOptionsSetMathFloatingPointFunctions: setProperty,
	objc.CompileOptionsSetPreprocessorMacros:         setProperty,

	objc.DeviceNewLibraryWithSource: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		opt := c.args[1].obj
		if opt == nil || opt.props[objc.CompileOptionsSetLanguageVersion].word == 0 {
			c.broke(LanguageUnset, "set MTLCompileOptions.languageVersion: the default is that of the SDK the binary says it was linked with")
			return 0
		}
		o := c.kernelOptions(opt)
		if v := o.LanguageVersion; v > newestLanguage(c.m.opt.Darwin) {
			return c.fail(2, &nsError{domain: libraryDomain, code: libraryUnsupported,
				text: fmt.Sprintf("invalid value 'metal%d.%d' in '-std=metal%d.%d'", v>>16, v&0xffff, v>>16, v&0xffff)})
		}
		lib, err := c.compile(text(c.args[0].obj), o)
		if err != nil {
			return c.fail(2, &nsError{domain: libraryDomain, code: libraryCompileFailure, text: err.Error()})
		}
		return lib.id
	},
	objc.DeviceNewLibraryWithURL: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		path := c.args[0].obj.data.(*nsURL).path
		file, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return c.fail(1, &nsError{domain: libraryDomain, code: libraryNoFile, text: "library not found: " + path})
		}
		var l metallib
		if err != nil || l.parse(file) != nil {
			return c.fail(1, &nsError{domain: libraryDomain, code: libraryUnsupported, text: "Invalid library file: " + path})
		}
		lib, err := c.compile(l.Source, kernel.Options{LanguageVersion: l.Language, FastMath: l.FastMath, Macros: l.Macros,
			Headers: c.m.opt.Headers, MaxThreadgroupMemory: maxThreadgroupMemory, Strict: !c.m.opt.Lenient})
		if err != nil {
			return c.fail(1, &nsError{domain: libraryDomain, code: libraryCompileFailure, text: err.Error()})
		}
		return lib.id
	},
	objc.LibrarySetLabel: setLabel,
	objc.LibraryFunctionNames: func(c *call) uintptr {
		var list []*object
		for _, n := range c.self.data.(*library).lib.Names() {
			o := c.m.string(n)
			o.refs = 0
			list = append(list, o)
		}
		return c.autorelease(c.m.array(list)).id
	},
	objc.LibraryNewFunctionWithName: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		f, err := c.function(text(c.args[0].obj), nil)
		if err != nil {
			return 0
		}
		return f.id
	},
	objc.LibraryNewFunctionWithNameConstantValuesError: func(c *call) uintptr {
		if !c.need(0, 1) {
			return 0
		}
		f, err := c.function(text(c.args[0].obj), c.args[1].obj.data.(*constantValues).values)
		if err == nil {
			if err = f.data.(*function).failed; err != nil {
				c.m.release(f)
			}
		}
		if err != nil {
			return c.fail(2, &nsError{domain: libraryDomain, code: libraryNotFound, text: err.Error()})
		}
		return f.id
	},
	objc.FunctionConstantValuesSetConstantValue: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		v := kernel.ConstantValue{Type: kernel.DataType(c.args[1].word)}
		copy(v.Bytes[:], bytesAt(c.args[0].word, v.Type.Size()))
		d := c.self.data.(*constantValues)
		if d.values == nil {
			d.values = map[int]kernel.ConstantValue{}
		}
		if i := c.args[2].word; i > 65535 {
			c.broke(IndexRange, "function constant %d, the last is 65535", i)
		} else {
			d.values[int(i)] = v
		}
		return 0
	},

	objc.ComputePipelineDescriptorSetLabel:                                           setLabel,
	objc.ComputePipelineDescriptorSetComputeFunction:                                 setProperty,
	objc.ComputePipelineDescriptorSetThreadGroupSizeIsMultipleOfThreadExecutionWidth: setProperty,
	objc.ComputePipelineDescriptorSetMaxTotalThreadsPerThreadgroup:                   setProperty,
	objc.ComputePipelineDescriptorSetBinaryArchives:                                  setProperty,
	objc.DeviceNewComputePipelineStateWithDescriptor:                                 newPipeline,
	objc.ComputePipelineStateMaxTotalThreadsPerThreadgroup: func(c *call) uintptr {
		return uintptr(c.self.data.(*pipeline).threads)
	},
	objc.ComputePipelineStateThreadExecutionWidth: func(c *call) uintptr {
		return uintptr(c.self.data.(*pipeline).kernel.ExecutionWidth())
	},
	objc.ComputePipelineStateStaticThreadgroupMemoryLength: func(c *call) uintptr {
		return uintptr(c.self.data.(*pipeline).kernel.StaticThreadgroupMemory())
	},

	objc.BinaryArchiveDescriptorSetUrl:                          setProperty,
	objc.DeviceNewBinaryArchiveWithDescriptor:                   newArchive,
	objc.BinaryArchiveAddComputePipelineFunctionsWithDescriptor: addToArchive,
	objc.BinaryArchiveSerializeToURL:                            saveArchive,
}

// function makes an MTLFunction, or an error if the library has none of that name.
func (c *call) function(name string, values map[int]kernel.ConstantValue) (*object, error) {
	l := c.self.data.(*library)
	f, err := l.lib.Function(name)
	if err != nil {
		return nil, err
	}
	d := &function{lib: l, name: name, key: fmt.Sprint(l.hash, " ", name, " ", values)}
	for _, k := range f.Constants() {
		if v, ok := values[k.Index]; ok && v.Type != k.Type {
			d.failed = fmt.Errorf("function constant %s (index %d) of %s has another type than the value given", k.Name, k.Index, name)
		}
	}
	l.refs++
	if d.failed == nil {
		values = maps.Clone(values)
		c.m.mu.Unlock() // this may compile, as c.compile does
		d.kernel, d.failed = f.Specialize(values)
		c.m.mu.Lock()
	}
	return c.m.add("MTLFunction", d), nil
}

func newPipeline(c *call) uintptr {
	if !c.need(0) {
		return 0
	}
	desc := c.args[0].obj
	fo := desc.props[objc.ComputePipelineDescriptorSetComputeFunction].obj
	if fo == nil {
		c.broke(NilArgument, "the descriptor has no computeFunction")
		return 0
	}
	f := fo.data.(*function)
	if f.failed != nil {
		return c.fail(3, &nsError{domain: "AGXMetal", code: libraryCompileFailure, text: f.failed.Error()})
	}
	hit, loaded := false, false
	if list := desc.props[objc.ComputePipelineDescriptorSetBinaryArchives].obj; list != nil {
		for _, o := range list.data.(*nsArray).list {
			a, ok := o.data.(*archive)
			if !ok {
				c.broke(WrongType, "binaryArchives has %s in it", o)
				return 0
			}
			hit, loaded = hit || a.Keys[f.key], loaded || a.loaded[f.key]
		}
	}
	if !hit && c.args[1].word&objc.MTLPipelineOptionFailOnBinaryArchiveMiss != 0 {
		return c.fail(3, &nsError{domain: "AGXMetal", code: 1, text: "Pipeline not found in the binary archives"})
	}
	p := &pipeline{lib: f.lib, kernel: f.kernel, threads: min(maxThreads, f.kernel.MaxTotalThreads())}
	if n := int(desc.props[objc.ComputePipelineDescriptorSetMaxTotalThreadsPerThreadgroup].word); n > 0 {
		if n > p.threads {
			return c.fail(3, &nsError{domain: "AGXMetal", code: libraryCompileFailure,
				text: fmt.Sprintf("maxTotalThreadsPerThreadgroup %d of the descriptor exceeds the kernel's %d", n, p.threads)})
		}
		p.threads = n
	}
	p.whole = byte(desc.props[objc.ComputePipelineDescriptorSetThreadGroupSizeIsMultipleOfThreadExecutionWidth].word) != 0
	switch {
	case loaded:
		c.m.stats.ArchiveHits++
	case !hit:
		c.m.stats.Pipelines++
	}
	f.lib.refs++
	o := c.m.add("MTLComputePipelineState", p)
	o.label = desc.label
	if o.label == "" {
		o.label = f.name
	}
	return o.id
}

// archive is the data of an MTLBinaryArchive, and what its file holds: which pipelines, for which
// machine. The emulator's compiled code is not in it.
type archive struct {
	Chip   string
	Darwin int
	Keys   map[string]bool

	loaded map[string]bool // those of Keys that came from a file
}

// A file is this line, the SHA-256 of the rest in hex on a line, and the rest as JSON.
const (
	archiveMagic  = "gollm emulated MTLBinaryArchive\n"
	metallibMagic = "gollm emulated metallib\n"
)

func seal(magic string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return append([]byte(magic+hex.EncodeToString(sum[:])+"\n"), b...), nil
}

func unseal(magic string, file []byte, v any) error {
	s, ok := strings.CutPrefix(string(file), magic)
	sum, body, _ := strings.Cut(s, "\n")
	if h := sha256.Sum256([]byte(body)); !ok || hex.EncodeToString(h[:]) != sum {
		return errors.New("damaged")
	}
	return json.Unmarshal([]byte(body), v)
}

func newArchive(c *call) uintptr {
	if !c.need(0) {
		return 0
	}
	a := &archive{Chip: c.m.opt.Chip.Name, Darwin: c.m.opt.Darwin, Keys: map[string]bool{}, loaded: map[string]bool{}}
	if url := c.args[0].obj.props[objc.BinaryArchiveDescriptorSetUrl].obj; url != nil {
		path := url.data.(*nsURL).path
		file, err := os.ReadFile(path)
		var old archive
		if err == nil {
			err = unseal(archiveMagic, file, &old)
		}
		if err == nil && (old.Chip != a.Chip || old.Darwin != a.Darwin) {
			err = errors.New("made for another GPU or system")
		}
		if err != nil {
			return c.fail(1, &nsError{domain: archiveDomain, code: archiveInvalidFile, text: fmt.Sprintf("Invalid archive %s: %v", path, err)})
		}
		for k := range old.Keys {
			a.Keys[k], a.loaded[k] = true, true
		}
	}
	return c.m.add("MTLBinaryArchive", a).id
}

func addToArchive(c *call) uintptr {
	if !c.need(0) {
		return 0
	}
	fo := c.args[0].obj.props[objc.ComputePipelineDescriptorSetComputeFunction].obj
	if fo == nil {
		c.broke(NilArgument, "the descriptor has no computeFunction")
		return 0
	}
	f := fo.data.(*function)
	if f.failed != nil {
		return c.fail(1, &nsError{domain: archiveDomain, code: 3, text: f.failed.Error()})
	}
	if a := c.self.data.(*archive); !a.Keys[f.key] {
		a.Keys[f.key] = true
		c.m.stats.Pipelines++
	}
	return 1
}

func saveArchive(c *call) uintptr {
	if !c.need(0) {
		return 0
	}
	b, err := seal(archiveMagic, c.self.data.(*archive))
	if err == nil {
		err = os.WriteFile(c.args[0].obj.data.(*nsURL).path, b, 0o644)
	}
	if err != nil {
		return c.fail(1, &nsError{domain: archiveDomain, code: archiveInvalidFile, text: err.Error()})
	}
	return 1
}

// metallib is what an emulated .metallib file holds: the source, to be compiled when it is opened.
type metallib struct {
	Source   string
	Language uint32
	FastMath bool
	Macros   map[string]string
}

func (l *metallib) parse(file []byte) error { return unseal(metallibMagic, file, l) }

// WriteLibrary writes a file that Device.OpenLibrary takes on the emulator in place of a real .metallib,
// whose bitcode for Apple's compiler it cannot read. The source is compiled, for that version and with
// those macros, when the file is opened: errors in it appear then.
func WriteLibrary(path, source string, language metal.LanguageVersion, macros map[string]string) error {
	b, err := seal(metallibMagic, metallib{Source: source, Language: uint32(language), FastMath: true, Macros: macros})
	if err == nil {
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("emu: write library: %w", err)
	}
	return nil
}
