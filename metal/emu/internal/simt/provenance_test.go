package simt

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// TestAccessIsHeldAgainstItsOwnArgument: each kernel goes wrong in a way that meets other memory it
// may use. a is 64 bytes, b as many, at[0] the number of floats from the one to the other.
func TestAccessIsHeldAgainstItsOwnArgument(t *testing.T) {
	memory := make([]byte, 3<<20)
	const far = 1 << 20
	for _, c := range []struct {
		name, source string
		rule         kernel.Rule
		arg          string
	}{
		{"into_another_buffer", `kernel void f(device float * a, device float * b, constant int * at) { a[at[0]] = 1; b[0] = 2; }`, kernel.RuleBounds, "a"},
		{"back_from_another", `kernel void f(device float * a, device float * b, constant int * at) { a[0] = 1; b[-at[0]] = 2; }`, kernel.RuleBounds, "b"},
		{"read", `kernel void f(device float * a, device const float * b, constant int * at) { a[0] = a[at[0]] + b[0]; }`, kernel.RuleBounds, "a"},
		{"in_a_loop", `kernel void f(device float * a, device float * b, constant int * at) {
  device float * p = a;
  for (int i = 0; i < 3; i++) { *p = i; p += at[0] / 2; }
  b[0] = 1;
}`, kernel.RuleBounds, "a"},
		{"through_a_function", `__attribute__((noinline)) void set(device float * p, int i) { p[i] = i; }
kernel void f(device float * a, device float * b, constant int * at) { set(a, 1); set(a + 1, at[0]); b[0] = 1; }`, kernel.RuleBounds, "a"},
		{"structure", `struct S { float v[12]; };
kernel void f(device S * a, device S * b, constant int * at) { a[0] = *(device S *)((device float *)b - at[0] - 1); }`, kernel.RuleBounds, "b"},
		{"atomic", `kernel void f(device atomic_int * a, device int * b, constant int * at) { atomic_fetch_add_explicit(a + at[0], 1, memory_order_relaxed); b[0] = 1; }`, kernel.RuleBounds, "a"},
		{"compare_exchange", `kernel void f(device atomic_int * a, device int * b, constant int * at) { int e = 0; atomic_compare_exchange_weak_explicit(a + at[0], &e, 1, memory_order_relaxed, memory_order_relaxed); b[0] = 1; }`, kernel.RuleBounds, "a"},
		{"threadgroup_arguments", `kernel void f(device float * a, device float * b, constant int * at, threadgroup float * s [[threadgroup(0)]], threadgroup float * u [[threadgroup(1)]]) {
  s[16 + at[1]] = 1; u[0] = 2; a[0] = s[0] + u[0]; b[0] = 1; }`, kernel.RuleThreadgroupRange, "s"},
		{"threadgroup_variables", `kernel void f(device float * a, device float * b, constant int * at) {
  threadgroup float s[16], u[16];
  u[at[1]] = 1; s[16 + at[1]] = 1; a[0] = s[0] + u[0]; b[0] = 1; }`, kernel.RuleThreadgroupRange, ""},
		{"thread_array", `kernel void f(device float * a, device float * b, constant int * at) {
  float x[8], y[8];
  for (int i = 0; i < 8; i++) { x[i] = b[i]; y[i] = b[8 + i]; }
  for (int i = 0; i < at[2]; i++) x[i & at[3]] += y[i & 7];
  a[0] = x[at[1] + 3] + y[at[1] + 2];
}`, kernel.RuleLocalRange, ""},
		{"constant_table", `constant float table[8] = {1, 2, 3, 4, 5, 6, 7, 8};
constant float other[8] = {1, 2, 3, 4, 5, 6, 7, 9};
kernel void f(device float * a, device float * b, constant int * at) { a[0] = table[at[1] + 8]; b[0] = other[at[1]]; }`, kernel.RuleConstantRange, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := build(t, c.source, "f", nil)
			d := dispatchOf(k, 1, 1, memory[:64:64], memory[far:far+64:far+64], bytesOf([]int32{far / 4, 0, 9, 15}))
			d.ThreadgroupMemory[0], d.ThreadgroupMemory[1] = 64, 64
			f := faultOf(t, d, Options{}, c.rule)
			if f.Arg != c.arg {
				t.Errorf("argument %q, want %q", f.Arg, c.arg)
			}
			faultOf(t, d, Options{Race: true}, c.rule) // the slower way finds it too
		})
	}
}

// TestArgumentLeftOut: a kernel uses an argument that its function constant says is not there.
func TestArgumentLeftOut(t *testing.T) {
	k := build(t, `constant bool there [[function_constant(0)]];
kernel void f(device float * y, device const float * bias [[buffer(3), function_constant(there)]]) { y[0] = bias[1]; }`, "f",
		map[int]kernel.ConstantValue{0: {Type: kernel.Bool}})
	f := faultOf(t, dispatchOf(k, 1, 1, make([]byte, 64)), Options{}, kernel.RuleUnbound)
	if f.Arg != "bias" || f.Index != 3 {
		t.Errorf("fault %+v", f)
	}
}

// TestBindingsOfOneBuffer: two arguments are bound to one buffer, and one of them leaves its part
// on the side where the other is.
func TestBindingsOfOneBuffer(t *testing.T) {
	k := build(t, `kernel void f(device float * a, device float * b, constant int & at) { a[at] = 1; b[0] = 2; }`, "f", nil)
	memory := make([]byte, 8192)
	d := dispatchOf(k, 1, 1, memory[4096:], memory, bytesOf([]int32{-1}))
	f := faultOf(t, d, Options{}, kernel.RuleBounds)
	if f.Arg != "a" || !strings.Contains(f.Detail, "offset -4") {
		t.Errorf("fault %v", f)
	}
	d.Buffers[2].Memory = bytesOf([]int32{1023}) // the buffer's last float
	run(t, d)
}

// TestPointersOfSeveralOrigins: a pointer chosen among arguments may use each of them, and nothing
// else; one kept in an array of the thread may use all that is bound.
func TestPointersOfSeveralOrigins(t *testing.T) {
	memory := make([]byte, 3<<20)
	a, b, third := memory[:64:64], memory[1<<20:1<<20+64:1<<20+64], memory[2<<20:2<<20+64:2<<20+64]
	for _, c := range []struct {
		name, source string
		arg          string
	}{
		{"chosen", `kernel void f(device float * a, device float * b, device float * c, constant int * at) {
  device float * p = at[0] ? a : b;
  c[0] = 1;
  p[at[1]] = 1;
}`, "b"},
		{"chosen_in_a_loop", `kernel void f(device float * a, device float * b, device float * c, constant int * at) {
  device float * p = a, * q = b;
  for (int i = 0; i < at[2]; i++) { p[i] = q[i]; device float * x = p; p = q; q = x; }
  c[0] = 1;
  p[at[1]] = 1;
}`, "b"},
	} {
		k := build(t, c.source, "f", nil)
		for _, right := range [][]int32{{0, 15, 2}, {1, 15, 3}} {
			run(t, dispatchOf(k, 1, 1, a, b, third, bytesOf(right)))
		}
		// From b to the third.
		f := faultOf(t, dispatchOf(k, 1, 1, a, b, third, bytesOf([]int32{0, 1 << 18, 1})), Options{}, kernel.RuleBounds)
		if f.Arg != c.arg {
			t.Errorf("%s: argument %q, want %q", c.name, f.Arg, c.arg)
		}
	}
	k := build(t, `
kernel void f(device float * a, device float * b, device float * c, constant int * at) {
  device float * p[3] = {a, b, c};
  for (int i = 0; i < at[0]; i++) { device float * x = p[i % 3]; p[i % 3] = p[(i + at[1]) % 3]; p[(i + at[1]) % 3] = x; }
  p[at[2]][at[3]] = 1;
}`, "f", nil)
	run(t, dispatchOf(k, 1, 1, a, b, third, bytesOf([]int32{7, 1, 2, 15})))
	faultOf(t, dispatchOf(k, 1, 1, a, b, third, bytesOf([]int32{7, 1, 2, 1 << 17})), Options{}, kernel.RuleBounds)
}

// TestSanitize finds what C++ leaves undefined, and nothing in a kernel that is right.
func TestSanitize(t *testing.T) {
	c, err := msl.NewCompiler(msl.Config{Target: Sanitize(Target())})
	if err != nil {
		t.Fatal(err)
	}
	kernelOf := func(source string) kernel.Kernel {
		t.Helper()
		l, err := c.Compile(context.Background(), "#include <metal_stdlib>\nusing namespace metal;\n"+source, kernel.Options{LanguageVersion: 0x30002, Strict: true})
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.Function("f")
		if err != nil {
			t.Fatal(err)
		}
		k, err := f.Specialize(nil)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, x := range []struct {
		name, body string
		rule       kernel.Rule
		detail     string
	}{
		{"local array", "float x[8]; for (int i = 0; i < 8; i++) x[i] = y[i]; y[0] = x[at[0]];", kernel.RuleUndefined, "index 40 is outside"},
		{"local array by a pointer", "float x[8]; for (int i = 0; i < 8; i++) x[i] = y[i]; thread float * p = x + 1; y[0] = p[at[1]];", kernel.RuleLocalRange, "offset 32 of a variable of 32 bytes"},
		{"shift left", "y[0] = 1 << at[0];", kernel.RuleUndefined, "32 bits is shifted by 40"},
		{"shift right", "y[0] = uint(at[0]) >> (at[1] - 8);", kernel.RuleUndefined, "shifted by -1"},
		{"shift of 64 bits", "y[0] = ulong(at[0]) << (at[0] + 24);", kernel.RuleUndefined, "64 bits is shifted by 64"},
		{"overflow", "y[0] = at[2] + 1;", kernel.RuleUndefined, "overflows"},
		{"no value", "struct G { static int g(int i) { if (i < 3) return 1; } }; y[0] = G::g(at[0]);", kernel.RuleUndefined, "without a value"},
	} {
		t.Run(x.name, func(t *testing.T) {
			k := kernelOf("kernel void f(device float * y, constant int * at) {\n  " + x.body + "\n}")
			f := faultOf(t, dispatchOf(k, 1, 1, make([]byte, 64), bytesOf([]int32{40, 7, 1<<31 - 1})), Options{}, x.rule)
			if !strings.Contains(f.Detail, x.detail) || !strings.Contains(f.Detail, "program_source:4") {
				t.Errorf("fault %v does not say %q and line 4", f, x.detail)
			}
		})
	}
	k := kernelOf(`
kernel void f(device float * y, constant int * at, uint i [[thread_position_in_grid]]) {
  float x[8];
  for (int k = 0; k < 8; k++) x[k] = k << (at[0] & 7);
  uint u = 0xffffffffu + i;
  y[i] = x[i & 7] + (u >> 31) + float(ulong(1) << 40 >> 40);
}`)
	if err := executor(t, Options{}).Run(context.Background(), dispatchOf(k, 1, 16, make([]byte, 64), bytesOf([]int32{40}))); err != nil {
		var f *kernel.Fault
		t.Errorf("a kernel that is right: %v (%v)", err, errors.As(err, &f))
	}
}
