package msl_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
	"github.com/gollm/gollm/metal/emu/internal/simt"
)

// TestMain runs nothing where there is no clang, and says so in the last line; with CI set that is
// a failure.
func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := msl.FindClang(); err != nil {
		fmt.Printf("NOT TESTED: the Metal Shading Language compiler: %v\n", err)
		if os.Getenv("CI") != "" {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// compiler uses the user's cache, as go test does: what was compiled once is not compiled again.
func compiler(t testing.TB) *msl.Compiler {
	t.Helper()
	c, err := msl.NewCompiler(msl.Config{Target: simt.Target()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func options() kernel.Options {
	return kernel.Options{LanguageVersion: 0x30001, FastMath: true, Strict: true, MaxThreadgroupMemory: 32768}
}

func compile(t testing.TB, source string, o kernel.Options) (kernel.Library, error) {
	t.Helper()
	return compiler(t).Compile(context.Background(), source, o)
}

func mustCompile(t testing.TB, source string, o kernel.Options) kernel.Library {
	t.Helper()
	l, err := compile(t, source, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// refused compiles what must not compile and returns the text of the error.
func refused(t *testing.T, source string, o kernel.Options) string {
	t.Helper()
	_, err := compile(t, source, o)
	var ce *msl.CompileError
	if !errors.As(err, &ce) {
		t.Fatalf("error %v, want a compile error for\n%s", err, source)
	}
	return ce.Error()
}
