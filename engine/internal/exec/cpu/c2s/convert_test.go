package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const head = `
#include <stdint.h>
#define KERNEL(name) __attribute__((preserve_none, section(".text." #name))) void name
`

// needTools skips where clang is missing, and fails where it could be installed.
func needTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{clang, linker} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed: apt-get install clang-19 lld-19", tool)
			}
			t.Skipf("NOT TESTED: %s is not installed: apt-get install clang-19 lld-19", tool)
		}
	}
}

func convertText(t *testing.T, name, text string) (asm, decls string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(head+text), 0o644); err != nil {
		t.Fatal(err)
	}
	a, d, err := convert(file, "kernel")
	return string(a), string(d), err
}

func TestConvert(t *testing.T) {
	needTools(t)
	const add = `
// add adds f to n values.
KERNEL(add)(float *y, float f, const int64_t n) { for (int64_t i = 0; i < n; i++) y[i] += f + 0.25f; }
`
	asm, decls, err := convertText(t, "k_amd64.c", add)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"TEXT ·add(SB), NOSPLIT|NOFRAME, $0-24\n\tMOVQ y+0(FP), R12\n\tMOVSS f+8(FP), X0\n\tMOVQ n+16(FP), R13\n\tPCALIGN $64\n", "// retq\n"} {
		if !strings.Contains(asm, want) {
			t.Errorf("the assembly has no %q:\n%s", want, asm)
		}
	}
	if want := "// add adds f to n values.\n//\n//go:noescape\nfunc add(y *float32, f float32, n int)\n"; !strings.Contains(decls, want) {
		t.Errorf("the declarations have no %q:\n%s", want, decls)
	}
	if asm, _, err = convertText(t, "k_arm64.c", add); err != nil || !strings.Contains(asm, "\tFMOVS f+8(FP), F0\n") {
		t.Errorf("arm64: %v\n%s", err, asm)
	}
}

// Constants need not end on a word, which is all that arm64's assembly can place.
func TestOddConstants(t *testing.T) {
	needTools(t)
	for _, goarch := range []string{"amd64", "arm64"} {
		asm, _, err := convertText(t, "k_"+goarch+".c", `static const int8_t odd[7] = {11, 22, 33, 44, 55, 66, 77};
KERNEL(k)(int32_t *y, int64_t i) { *y = odd[i]; }`)
		if err != nil {
			t.Errorf("%s: %v", goarch, err)
		}
		// 55, 66 and 77 as they lie in memory, and what fills the word.
		if want := map[string]string{"amd64": "WORD $0x4237; BYTE $0x4d", "arm64": "WORD $0x004d4237"}[goarch]; !strings.Contains(asm, want) {
			t.Errorf("%s: no %q in\n%s", goarch, want, asm)
		}
	}
}

// What the Go runtime could not live with is refused, on both machines.
func TestRefuses(t *testing.T) {
	needTools(t)
	const stack = "touches the stack, calls"
	for _, c := range []struct{ name, want, text string }{
		{"stack", stack, `KERNEL(k)(float *y, int64_t n) { volatile float a[8]; for (int i = 0; i < 8; i++) a[i] = y[i]; y[n] = a[n & 7]; }`},
		{"call", stack, `void f(float *); KERNEL(k)(float *y) { f(y); f(y + 1); }`},
		{"tail_call", "undefined", `__attribute__((preserve_none)) void f(float *); KERNEL(k)(float *y) { f(y); }`},
		{"variable", "has data in section", `static int64_t n; KERNEL(k)(int64_t m) { n += m; } KERNEL(l)(int32_t *y) { *y = n; }`},
		{"argument", "has a type that c2s does not know", `KERNEL(k)(double *y) { *y = 1; }`},
		{"nothing", "has no kernel", `static int x __attribute__((used));`},
		{"not_c", "error", `KERNEL(k)(float *y) { nonsense }`},
	} {
		for _, goarch := range []string{"amd64", "arm64"} {
			if _, _, err := convertText(t, "k_"+goarch+".c", c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s on %s: error %v, want %q", c.name, goarch, err, c.want)
			}
		}
	}
	if _, _, err := convertText(t, "k.c", ""); err == nil {
		t.Error("a file of no architecture was converted")
	}
	const dirty = "#include <immintrin.h>\n" + `KERNEL(k)(float *y) { __m256 a; __asm__ volatile("vmovups (%1), %0" : "=x"(a) : "r"(y)); __asm__ volatile("vmovups %0, (%1)" :: "x"(a), "r"(y)); }`
	if _, _, err := convertText(t, "k_amd64.c", "// c2s:flags -mavx2 -mno-vzeroupper\n"+dirty); err == nil || !strings.Contains(err.Error(), "dirty") {
		t.Errorf("wide registers left dirty: error %v", err)
	}
}
