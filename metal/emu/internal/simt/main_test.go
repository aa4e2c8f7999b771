package simt

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/gollm/gollm/metal/emu/internal/cuda"
	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

var (
	seed   = flag.Uint64("seed", 0, "seed of inputs and of the executor's orders; 0 for a fresh one")
	random *rand.Rand
)

// TestMain runs nothing where there is no clang, and says so in the last line; with CI set that is
// a failure.
func TestMain(m *testing.M) {
	flag.Parse()
	missing := supported()
	if missing == nil {
		_, missing = msl.FindClang()
	}
	if missing != nil {
		fmt.Printf("NOT TESTED: running kernels on the CPU: %v\n", missing)
		if os.Getenv("CI") != "" {
			os.Exit(1)
		}
		os.Exit(0)
	}
	for *seed == 0 {
		*seed = rand.Uint64()
	}
	random = rand.New(rand.NewPCG(*seed, 0))
	code := m.Run()
	if all := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""; code == 0 && all {
		if err := rulesWithoutTest(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	if code != 0 {
		fmt.Printf("again with -seed %d\n", *seed)
	}
	os.Exit(code)
}

// broken are the rules that a test has seen broken.
var broken = map[string]bool{}

// rulesWithoutTest names the rules of package kernel that no test has broken.
func rulesWithoutTest() error {
	f, err := parser.ParseFile(token.NewFileSet(), "../kernel/kernel.go", nil, 0)
	if err != nil {
		return err
	}
	var missing []string
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && fmt.Sprint(spec.Type) == "Rule" {
			if rule, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value); !broken[rule] {
				missing = append(missing, rule)
			}
		}
		return true
	})
	if len(missing) > 0 {
		return fmt.Errorf("rules that no test breaks: %v", missing)
	}
	return nil
}

// compiler uses the user's cache, as go test does: what was compiled once is not compiled again.
func compiler(t testing.TB) *msl.Compiler {
	t.Helper()
	c, err := msl.NewCompiler(msl.Config{Target: target()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// target is what kernels are compiled for; see TestCUDALibrary.
var target = Target

// build compiles source and specialises one kernel.
func build(t testing.TB, source, name string, constants map[int]kernel.ConstantValue) kernel.Kernel {
	t.Helper()
	l, err := compiler(t).Compile(context.Background(), "#include <metal_stdlib>\nusing namespace metal;\n"+source, kernel.Options{LanguageVersion: 0x30002, Strict: true, MaxThreadgroupMemory: 32768})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.Function(name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := f.Specialize(constants)
	if err != nil {
		t.Fatal(err)
	}
	if ptxas := os.Getenv("GOLLM_PTXAS"); ptxas != "" {
		assemble(t, ptxas, source, name, constants)
	}
	return k
}

// assemble compiles the kernel for NVIDIA GPUs too and has their assembler take it.
func assemble(t testing.TB, ptxas, source, name string, constants map[int]kernel.ConstantValue) {
	t.Helper()
	c, err := msl.NewCompiler(msl.Config{Target: cuda.Target()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Compile(context.Background(), "#include <metal_stdlib>\nusing namespace metal;\n"+source, kernel.Options{LanguageVersion: 0x30002, Strict: true, MaxThreadgroupMemory: 32768})
	if err != nil {
		t.Fatalf("for NVIDIA GPUs: %v", err)
	}
	f, err := l.Function(name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := f.Specialize(constants)
	if err != nil {
		t.Fatalf("for NVIDIA GPUs: %v", err)
	}
	path, err := k.(*msl.Kernel).Object(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"sm_80", "sm_90", "sm_120"} {
		if _, err := cuda.Assemble(context.Background(), ptxas, path, arch); err != nil {
			t.Errorf("kernel %q: %v", name, err)
		}
	}
}

func executor(t testing.TB, o Options) *Executor {
	t.Helper()
	if o.Seed == 0 {
		o.Seed = *seed
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// dispatchOf puts buffers at the indices 0, 1, … of a one-dimensional dispatch.
func dispatchOf(k kernel.Kernel, groups, threads int, buffers ...[]byte) *kernel.Dispatch {
	d := &kernel.Dispatch{Kernel: k, Threadgroups: [3]int{groups, 1, 1}, ThreadsPerThreadgroup: [3]int{threads, 1, 1}}
	for i, b := range buffers {
		d.Buffers[i] = kernel.Binding{Memory: b, Set: b != nil, Label: fmt.Sprintf("buffer%d", i)}
	}
	return d
}

func run(t testing.TB, d *kernel.Dispatch) {
	t.Helper()
	if err := executor(t, Options{}).Run(context.Background(), d); err != nil {
		t.Fatalf("seed %d: %v", *seed, err)
	}
}

// faultOf runs a dispatch that must fail by rule.
func faultOf(t *testing.T, d *kernel.Dispatch, o Options, rule kernel.Rule) *kernel.Fault {
	t.Helper()
	err := executor(t, o).Run(context.Background(), d)
	var f *kernel.Fault
	if !errors.As(err, &f) {
		t.Fatalf("error %v, want a fault by rule %s", err, rule)
	}
	if f.Rule != rule {
		t.Fatalf("fault %v, want rule %s", f, rule)
	}
	t.Log(f)
	broken[string(rule)] = true
	return f
}

func bytesOf[T any](v []T) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}

func valuesOf[T any](b []byte) []T {
	var z T
	v := make([]T, len(b)/binary.Size(z))
	if _, err := binary.Decode(b, binary.LittleEndian, v); err != nil {
		panic(err)
	}
	return v
}

func poisoned(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xff
	}
	return b
}

// near fails unless got is want within rel; NaN is never near.
func near(t *testing.T, what string, got, want, rel float64) {
	t.Helper()
	if !(math.Abs(got-want) <= rel*max(math.Abs(want), 1e-30)) && got != want {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}
