package metal

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/gollm/gollm/metal/internal/objc"
)

// LanguageVersion is a version of the Metal Shading Language: major<<16 | minor.
type LanguageVersion uint32

const (
	MSL2_4 LanguageVersion = objc.MTLLanguageVersion2_4
	MSL3_0 LanguageVersion = objc.MTLLanguageVersion3_0
	MSL3_1 LanguageVersion = objc.MTLLanguageVersion3_1
	MSL3_2 LanguageVersion = objc.MTLLanguageVersion3_2
	MSL4_0 LanguageVersion = objc.MTLLanguageVersion4_0
)

var versions = []LanguageVersion{MSL2_4, MSL3_0, MSL3_1, MSL3_2, MSL4_0}

func (v LanguageVersion) String() string { return fmt.Sprintf("%d.%d", v>>16, v&0xffff) }

// LanguageVersion is the newest version this system's compiler is known to have: MSL 3.0 came with
// macOS 13 (Darwin 22), 3.1 with 14, 3.2 with 15, 4.0 with 26.
func (d *Device) LanguageVersion() LanguageVersion {
	switch {
	case d.rt.Darwin >= 25:
		return MSL4_0
	case d.rt.Darwin == 24:
		return MSL3_2
	case d.rt.Darwin == 23:
		return MSL3_1
	case d.rt.Darwin == 22:
		return MSL3_0
	}
	return MSL2_4
}

// MathMode says what the compiler may do to floating point.
type MathMode int

const (
	MathFast    MathMode = iota // Metal's default: NaN and infinity may be taken not to occur
	MathRelaxed                 // fast, but NaN and infinity are kept
	MathSafe                    // IEEE 754
)

// CompileOptions say how a source is compiled.
type CompileOptions struct {
	Label    string
	Language LanguageVersion   // 0: the newest the system has
	Math     MathMode          // before macOS 15 MathRelaxed is MathSafe
	Precise  bool              // precise::sin and so on where the source says sin (macOS 15)
	Macros   map[string]string // preprocessor macros
}

// Library is compiled kernels.
type Library struct {
	d        *Device
	id       uintptr
	name     string
	language LanguageVersion
}

// NewLibrary compiles a source. The error is an *Error whose text is the compiler's.
//
// The language version is always set: left alone, Metal takes one from the SDK the binary claims to be
// linked with, which for a Go binary is an old one. Where the compiler does not know the version, the
// one before it is tried.
func (d *Device) NewLibrary(source string, o CompileOptions) (*Library, error) {
	v := o.Language
	if v == 0 {
		v = d.LanguageVersion()
	}
	l, err := d.compile(source, o, v)
	if i := slices.Index(versions, v); err != nil && i > 0 && unknownVersion(err) {
		return d.compile(source, o, versions[i-1])
	}
	return l, err
}

// unknownVersion recognises the refusal of a language version, as opposed to an error of the source.
func unknownVersion(err error) bool {
	s := err.Error()
	return strings.Contains(s, "-std=") && strings.Contains(s, "invalid value") || strings.Contains(s, "language version")
}

func (d *Device) compile(source string, o CompileOptions, v LanguageVersion) (*Library, error) {
	s := d.enter()
	defer s.leave()
	opt := s.New("MTLCompileOptions")
	defer s.Release(opt)
	s.Send(objc.CompileOptionsSetLanguageVersion, opt, uintptr(v))
	if s.Responds(opt, objc.CompileOptionsSetMathMode) {
		mode := map[MathMode]uintptr{MathFast: objc.MTLMathModeFast, MathRelaxed: objc.MTLMathModeRelaxed, MathSafe: objc.MTLMathModeSafe}
		s.Send(objc.CompileOptionsSetMathMode, opt, mode[o.Math])
		if o.Precise {
			s.Send(objc.CompileOptionsSetMathFloatingPointFunctions, opt, objc.MTLMathFloatingPointFunctionsPrecise)
		}
	} else {
		s.Send(objc.CompileOptionsSetFastMathEnabled, opt, word(o.Math == MathFast))
	}
	if len(o.Macros) > 0 {
		dict, err := s.dictionary(o.Macros)
		if err != nil {
			return nil, fmt.Errorf("metal: library %q: macros: %w", o.Label, err)
		}
		s.Send(objc.CompileOptionsSetPreprocessorMacros, opt, dict)
	}
	src := s.String(source)
	defer s.Release(src)
	id := s.Send(objc.DeviceNewLibraryWithSource, d.id, src, opt, s.OutAddr(0))
	if id == 0 {
		return nil, failure(s.Caller, fmt.Sprintf("library %q from source (MSL %s)", o.Label, v), s.Out[0])
	}
	s.setLabel(objc.LibrarySetLabel, id, o.Label)
	return &Library{d: d, id: id, name: o.Label, language: v}, nil
}

func word(b bool) uintptr {
	if b {
		return 1
	}
	return 0
}

// dictionary makes an autoreleased NSDictionary of strings.
func (s scope) dictionary(m map[string]string) (uintptr, error) {
	if 2*len(m) > len(s.Objects) {
		return 0, fmt.Errorf("%d of them, at most %d", len(m), len(s.Objects)/2)
	}
	n := 0
	for k, v := range m {
		s.Objects[n] = s.String(k)
		s.Objects[len(m)+n] = s.String(v)
		n++
	}
	base := s.ObjectsAddr()
	values := base + uintptr(n)*unsafe.Sizeof(base)
	id := s.Send(objc.NSDictionaryDictionaryWithObjects, s.Runtime().ClassID("NSDictionary"), values, base, uintptr(n))
	for _, str := range s.Objects[:2*n] {
		s.Release(str)
	}
	return id, nil
}

// OpenLibrary loads a .metallib file.
func (d *Device) OpenLibrary(path string) (*Library, error) {
	s := d.enter()
	defer s.leave()
	id := s.Send(objc.DeviceNewLibraryWithURL, d.id, s.URL(path), s.OutAddr(0))
	if id == 0 {
		return nil, failure(s.Caller, fmt.Sprintf("library %s", path), s.Out[0])
	}
	return &Library{d: d, id: id, name: path}, nil
}

// Language is the version the source was compiled for, 0 for a library from a file.
func (l *Library) Language() LanguageVersion { return l.language }

// Names lists the library's functions, sorted.
func (l *Library) Names() []string {
	s := l.d.enter()
	defer s.leave()
	list := s.Send(objc.LibraryFunctionNames, l.id)
	if list == 0 {
		return nil
	}
	names := make([]string, int(s.Send(objc.NSArrayCount, list)))
	for i := range names {
		names[i] = s.GoString(s.Send(objc.NSArrayObjectAtIndex, list, uintptr(i)))
	}
	slices.Sort(names)
	return names
}

// Release gives the library up. Functions and pipelines made of it live on.
func (l *Library) Release() { l.d.release(&l.id) }
