package msl

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// cpuTime is what the process has used of processors: a busy machine does not lengthen it.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// FuzzFrontEnd feeds the front end what a preprocessor could give it, and what it could not: it may
// refuse or rewrite a text, but not panic, and what it writes has its line markers in order.
func FuzzFrontEnd(f *testing.F) {
	for _, s := range []string{
		"# 1 \"program_source\"\nkernel void f(device float * y [[buffer(0)]], uint i [[thread_position_in_grid]]) { threadgroup float s[4]; s[i] = (float4)(y[i]); }\n",
		"template <typename T, int N, void (*F)(device T *, thread T &)> kernel void k(device T * x) { constexpr int M = N; threadgroup T s[M][2], u; x[0] = T(s[0][0]); }\ntemplate [[host_name(\"k1\")]] kernel decltype(k<float, 3, g<int>>) k<float, 3, g<int>>;",
		"constant int A [[function_constant(1 << 2)]]; constant int B = is_function_constant_defined(A) ? A + 1 : 0; kernel void f(device int * y [[function_constant(B)]]) { y[0] = B; }",
		"namespace a { namespace { struct S { float4 x; operator float4() const device { return x; } }; } }\nusing T = vec<float, 4>; typedef struct { int a; } Q;",
		"inline float2 f(float2 x) { auto y = static_cast<half2>(x) * (half)2.0; return float2(y < 1.0h ? x : x.yx); }",
		"#pragma unroll(4)\nkernel void f(constant T & t, device atomic_uint * a) { for (;;) {} }",
		"[[", "template <", "kernel void f(", "threadgroup", "(((((((((", "kernel void f() { threadgroup float x[", "static_cast<float4>(", "(float4)", "float4(", "x >", "> <", "operator(", "1e", "0x", "\"", "'", "# 5 \"x\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1024 {
			return
		}
		start := cpuTime(t)
		defer func() {
			if d := cpuTime(t) - start; d > 5*time.Second {
				t.Errorf("%d bytes took %v", len(s), d)
			}
		}()
		src := lexUnit(s)
		u := parse(src, kernel.Options{LanguageVersion: version3_0, Strict: true})
		u.check()
		u.recursive()
		u.errs.place(map[string]string{sourceName: s})
		l := &library{Entries: u.entries}
		u.findUses()
		em := emit(u.src.files, u.rewrite())
		if strings.Contains(em.text, "\x00# ") {
			t.Skip()
		}
		for _, e := range l.Entries {
			e.describe()
		}
		for i, x := range src.tokens {
			if x.kind == punct && i < 40 {
				convertScalars(&source{files: src.files, tokens: append([]token(nil), src.tokens...)}, []splat{{src.files[x.file], x.line, x.col, i % 2}})
			}
		}
	})
}
