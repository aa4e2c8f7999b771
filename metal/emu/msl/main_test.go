package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// TestMain runs nothing where there is no clang, and says so in the last line; with CI set that is
// a failure.
func TestMain(m *testing.M) {
	if _, err := msl.FindClang(); err != nil {
		fmt.Printf("NOT TESTED: the msl command: %v\n", err)
		if os.Getenv("CI") != "" {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.metal")
	write(t, filepath.Join(dir, "inc", "sub", "h.h"), "#pragma once\n#include \"../up.h\"\n#include \"beside.h\"\n#ifdef NONE\n#include <none.h>\n#endif\n")
	write(t, filepath.Join(dir, "inc", "up.h"), "#pragma once\n#include \"sub/h.h\"\n#define TYPE Float\n")
	write(t, filepath.Join(dir, "inc", "sub", "beside.h"), "#define Float float\n")
	write(t, filepath.Join(dir, "unread.h"), "\x00")
	if err := os.Chmod(filepath.Join(dir, "unread.h"), 0); err != nil { // nobody includes it
		t.Fatal(err)
	}
	write(t, file, "#include \"sub/h.h\"\nconstant int n [[function_constant(4)]];\nkernel void scale(device const TYPE * x, device TYPE * y [[buffer(3)]], threadgroup half * s [[threadgroup(1)]], uint i [[thread_position_in_grid]]) { s[0] = n; y[i] = x[i] * s[0] * K; }\n")
	cache := t.TempDir()
	var out, errs bytes.Buffer
	if code := run([]string{"-cache", cache, "-I", filepath.Join(dir, "inc"), "-D", "K=2", file}, &out, &errs); code != 0 {
		t.Fatalf("exit status %d: %s", code, errs.String())
	}
	for _, want := range []string{"scale\n", "buffer(0)", "buffer(3)", "read, write", "threadgroup(1)", "half", "2 bytes, aligned to 2", "function_constant(4)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the list has no %q:\n%s", want, out.String())
		}
	}

	errs.Reset()
	if code := run([]string{"-cache", cache, "-I", filepath.Join(dir, "inc"), file}, &out, &errs); code != 1 {
		t.Errorf("exit status %d without -D K", code)
	}
	if want := file + ":3:183: error: use of undeclared identifier 'K'"; !strings.HasPrefix(errs.String(), want) || !strings.Contains(errs.String(), "\n1 error generated.\n") {
		t.Errorf("got\n%s\nwant %s", errs.String(), want)
	}
	for _, args := range [][]string{{}, {"-std", "c++", file}, {filepath.Join(dir, "none.metal")}, {"-no", file}} {
		if code := run(args, &out, &errs); code != 2 {
			t.Errorf("%v: exit status %d, want 2", args, code)
		}
	}
}
