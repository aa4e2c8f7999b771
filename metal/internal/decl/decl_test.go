package decl

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/progrium/darwinkit/generate/modules"
)

func table(t *testing.T) []Decl {
	t.Helper()
	text, err := os.ReadFile("../objc/messages.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func bindings(t *testing.T) Bindings {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/progrium/darwinkit").Output()
	if err != nil {
		t.Fatalf("where is darwinkit: %v", err)
	}
	b, err := Load(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newer are the messages darwinkit v0.5.0, generated from the SDK of macOS 12, does not have, with
// what brought them.
var newer = map[string]string{
	"-[NSObject retain]":              "NSObject: darwinkit calls it from C",
	"-[NSObject release]":             "NSObject: darwinkit calls it from C",
	"-[NSObject respondsToSelector:]": "NSObject: darwinkit calls it from C",

	"-[MTLBuffer gpuAddress]":                             "macOS 13",
	"-[MTLDevice architecture]":                           "macOS 14",
	"-[MTLArchitecture name]":                             "macOS 14",
	"-[MTLCompileOptions setMathMode:]":                   "macOS 15",
	"-[MTLCompileOptions setMathFloatingPointFunctions:]": "macOS 15",
	"-[MTLSharedEvent waitUntilSignaledValue:timeoutMS:]": "macOS 12, after darwinkit's SDK",
	"-[MTLDevice newResidencySetWithDescriptor:error:]":   "macOS 15",
	"-[MTLResidencySetDescriptor setLabel:]":              "macOS 15",
	"-[MTLResidencySetDescriptor setInitialCapacity:]":    "macOS 15",
	"-[MTLResidencySet addAllocation:]":                   "macOS 15",
	"-[MTLResidencySet removeAllocation:]":                "macOS 15",
	"-[MTLResidencySet removeAllAllocations]":             "macOS 15",
	"-[MTLResidencySet commit]":                           "macOS 15",
	"-[MTLResidencySet requestResidency]":                 "macOS 15",
	"-[MTLResidencySet endResidency]":                     "macOS 15",
	"-[MTLResidencySet allocatedSize]":                    "macOS 15",
	"-[MTLCommandQueue addResidencySet:]":                 "macOS 15",
	"-[MTLCommandQueue removeResidencySet:]":              "macOS 15",
	"-[MTLCommandBuffer useResidencySet:]":                "macOS 15",
}

// Every declaration agrees with darwinkit's binding of it, or is on the list of newer ones.
func TestDeclarationsAgreeWithDarwinkit(t *testing.T) {
	b := bindings(t)
	checked := 0
	left := map[string]bool{}
	for k := range newer {
		left[k] = true
	}
	for _, d := range table(t) {
		k := key(d.Owner, d.Class, d.Selector)
		w, ok := b.Find(d)
		switch {
		case !ok && newer[k] == "":
			t.Errorf("messages.txt:%d: darwinkit does not know %s, and it is not on the list of newer messages", d.Line, d)
		case !ok:
			t.Logf("newer than darwinkit v0.5.0: %s (%s)", k, newer[k])
			delete(left, k)
		default:
			if err := Check(d, w); err != nil {
				t.Errorf("messages.txt:%d: %v", d.Line, err)
			}
			checked++
		}
	}
	for k := range left {
		t.Errorf("%s is on the list of newer messages, but darwinkit knows it or nobody declares it", k)
	}
	t.Logf("%d declarations checked, %d newer", checked, len(newer))
	if checked < 100 {
		t.Errorf("only %d declarations were checked", checked)
	}
}

// A declaration that is wrong on purpose fails: selector, argument type, result, arity.
func TestWrongDeclarationsAreFound(t *testing.T) {
	b := bindings(t)
	for _, wrong := range []struct{ right, line string }{
		{"selector", "MTLComputeCommandEncoder | - (void)setBytes:(const void *)bytes size:(NSUInteger)length atIndex:(NSUInteger)index;"},
		{"selector", "MTLDevice | - (id<MTLBuffer>)newBufferWithLenght:(NSUInteger)length options:(MTLResourceOptions)options;"},
		{"owner", "MTLCommandQueue | - (NSUInteger)maxBufferLength;"},
		{"class message", "MTLDevice | + (NSString *)name;"},
		{"argument type", "MTLDevice | - (id<MTLBuffer>)newBufferWithLength:(MTLSize)length options:(MTLResourceOptions)options;"},
		{"argument type", "MTLDevice | - (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLDispatchType)options;"},
		{"argument type", "MTLComputeCommandEncoder | - (void)setBuffer:(id<MTLLibrary>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index;"},
		{"argument type", "MTLBlitCommandEncoder | - (void)fillBuffer:(id<MTLBuffer>)buffer range:(NSRange)range value:(NSUInteger)value;"},
		{"argument type", "MTLDevice | - (BOOL)supportsFamily:(NSInteger)gpuFamily;"},
		{"argument type", "MTLCommandBuffer | - (void)encodeSignalEvent:(id<MTLEvent>)event value:(NSUInteger)value;"},
		{"result", "MTLCommandBuffer | - (NSUInteger)GPUStartTime;"},
		{"result", "MTLDevice | - (BOOL)maxBufferLength;"},
		{"result", "MTLCommandBuffer | - (BOOL)commit;"},
	} {
		list, err := Parse(wrong.line)
		if err != nil {
			t.Errorf("%s: %v", wrong.line, err)
			continue
		}
		if w, ok := b.Find(list[0]); ok && Check(list[0], w) == nil {
			t.Errorf("wrong %s was not found: %s", wrong.right, wrong.line)
		}
	}
	for _, bad := range []string{"MTLDevice - (void)x;", "MTLDevice | - (void)x", "MTLDevice | - (frob)x;", "MTLDevice | int x;"} {
		if list, err := Parse(bad); err == nil {
			t.Errorf("%q was parsed: %v", bad, list)
		}
	}
}

// messages.go is what the generator makes of messages.txt.
func TestGenerated(t *testing.T) {
	want, err := Generate(table(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../objc/messages.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("messages.go is not what messages.txt makes: run go generate in metal/internal/objc")
	}
}

// newerEnums are the values darwinkit does not have.
var newerEnums = map[string]string{
	"MTLGPUFamilyApple8": "macOS 13", "MTLGPUFamilyApple9": "macOS 14", "MTLGPUFamilyApple10": "macOS 26",
	"MTLGPUFamilyMetal3": "macOS 13", "MTLGPUFamilyMetal4": "macOS 26",
	"MTLLanguageVersion3_0": "macOS 13", "MTLLanguageVersion3_1": "macOS 14", "MTLLanguageVersion3_2": "macOS 15",
	"MTLLanguageVersion4_0": "macOS 26",
	"MTLMathModeSafe":       "macOS 15", "MTLMathModeRelaxed": "macOS 15", "MTLMathModeFast": "macOS 15",
	"MTLMathFloatingPointFunctionsFast": "macOS 15", "MTLMathFloatingPointFunctionsPrecise": "macOS 15",
	"MTLDataTypeBFloat": "macOS 14",
}

// enums reads the constants of a Go file.
func enums(t *testing.T, src any) map[string]string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "../objc/enums.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := new(types.Config).Check("objc", fset, []*ast.File{f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, n := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(n).(*types.Const); ok {
			v, _ := constant.Int64Val(c.Val())
			all[n] = strconv.FormatInt(v, 10)
		}
	}
	return all
}

// wrongEnum compares a value with darwinkit's; known is false if darwinkit has none.
func wrongEnum(name, value string) (err error, known bool) {
	c := modules.LookupConstant("macos", "Metal", name)
	if c == nil {
		return nil, false
	}
	want := c.Value
	if c.ArmValue != "" {
		want = c.ArmValue
	}
	if want != value {
		return fmt.Errorf("%s is %s, darwinkit has %s", name, value, want), true
	}
	return nil, true
}

func TestEnumsAgreeWithDarwinkit(t *testing.T) {
	checked := 0
	for name, v := range enums(t, nil) {
		err, known := wrongEnum(name, v)
		switch {
		case err != nil:
			t.Error(err)
		case !known && newerEnums[name] == "":
			t.Errorf("darwinkit does not know %s, and it is not on the list of newer values", name)
		case !known:
			t.Logf("newer than darwinkit v0.5.0: %s = %s (%s)", name, v, newerEnums[name])
		case newerEnums[name] != "":
			t.Errorf("%s is on the list of newer values, but darwinkit knows it", name)
		default:
			checked++
		}
	}
	if checked < 40 {
		t.Errorf("only %d values were checked", checked)
	}
	for name, v := range enums(t, "package objc\nconst MTLResourceStorageModePrivate = 16") {
		if err, known := wrongEnum(name, v); err == nil || !known {
			t.Errorf("a wrong value of %s was not found", name)
		}
	}
}
