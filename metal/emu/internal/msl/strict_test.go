package msl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
	"github.com/gollm/gollm/metal/emu/internal/simt"
)

// TestStrict has a source for each thing Apple's compiler refuses, and where and how it is refused.
// Each begins with two lines of its own, so that line 3 is the first of the text.
func TestStrict(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"double", "kernel void f(device float * y) { y[0] = (double)1; }", "3:43: error: 'double' is not supported in Metal"},
		{"unqualified_pointer_parameter", "inline float g(const float * p) { return p[0]; }", "3:28: error: pointer type must have explicit address space qualifier"},
		{"unqualified_pointer_variable", "kernel void f(device float * y) {\n  float * p = y; p[0] = 1; }", "4:9: error: pointer type must have explicit address space qualifier"},
		{"unqualified_pointer_cast", "kernel void f(device float * y) { y[0] = *((float4 *)y).x; }", "error: pointer type must have explicit address space qualifier"},
		{"unqualified_reference", "inline void g(float & x) { x = 1; }", "3:21: error: reference type must have explicit address space qualifier"},
		{"unqualified_struct_pointer", "struct S { int a; };\ninline int g(S * s) { return s->a; }", "4:16: error: pointer type must have explicit address space qualifier"},
		{"recursion", "inline int fact(int n) { return n < 2 ? 1 : n * fact(n - 1); }\nkernel void f(device int * y) { y[0] = fact(y[1]); }", "3:12: error: recursive function calls are not supported"},
		{"mutual_recursion", "int b(int n);\ninline int a(int n) { return n < 1 ? 0 : b(n - 1); }\ninline int b(int n) { return a(n); }\nkernel void f(device int * y) { y[0] = a(y[1]); }", "error: recursive function calls are not supported"},
		{"virtual", "struct S { virtual int f() { return 1; } };", "error: virtual functions are not supported in Metal"},
		{"goto", "kernel void f(device int * y) { again: y[0]++; if (y[0] < 3) goto again; }", "error: 'goto' is not supported in Metal"},
		{"throw", "kernel void f(device int * y) { throw 1; }", "error: cannot use 'throw' with exceptions disabled"},
		{"new", "kernel void f(device int * y) { thread int * p = new int; y[0] = *p; }", "error: 'new' is not supported in Metal"},
		{"dynamic_cast", "struct A {}; kernel void f(device A * y) { device A * p = dynamic_cast<device A *>(y); }", "error: 'dynamic_cast' is not supported"},
		{"thread_local", "kernel void f(device int * y) { thread_local int x; y[0] = x; }", "error: 'thread_local' is not supported in Metal"},
		{"inline_assembly", "kernel void f(device int * y) { asm(\"nop\"); }", "error: inline assembly is not supported"},
		{"function_pointer_variable", "inline int g(int x) { return x; }\nkernel void f(device int * y) { int (*p)(int) = g; y[0] = p(1); }", "4:39: error: function pointer 'p' is not supported"},
		{"function_pointer_parameter", "inline int g(int (*p)(int)) { return p(1); }", "error: function pointer 'p' is not supported"},
		{"unknown_attribute", "kernel void f(device int * y [[bufer(0)]]) { y[0] = 1; }", "3:32: error: unknown attribute 'bufer'"},
		{"threadgroup_memory", "kernel void f(device float * y) { threadgroup float s[8193]; s[0] = 1; y[0] = s[0]; }", "3:13: error: threadgroup memory of kernel 'f' (32772 bytes) exceeds the maximum (32768 bytes)"},
		{"threadgroup_memory_in_template", "template <typename T, int N> kernel void f(device T * y) {\n  constexpr int M = N * 2;\n  threadgroup T s[M];\n  s[0] = 1; y[0] = s[0]; }\ntemplate [[host_name(\"g\")]] kernel decltype(f<float, 4097>) f<float, 4097>;", "error: threadgroup memory of kernel 'g' (32776 bytes)"},
		{"threadgroup_outside_kernel", "inline void g(device float * y) { threadgroup float s[4]; y[0] = s[0]; }", "3:53: error: variable 's' in threadgroup address space can only be declared in a kernel function"},
		{"half_narrowing_braces", "kernel void f(device float * x, device half * y) { y[0] = half{x[0]}; }", "error: non-constant-expression cannot be narrowed from type"},
		{"half_vector_from_float_vector", "kernel void f(device float4 * x, device half4 * y) { half4 h = x[0]; y[0] = h; }", "error: "},
		{"float_vector_from_half_vector", "kernel void f(device half4 * x, device float4 * y) { y[0] = x[0]; }", "error: "},
		{"constant_is_read_only", "kernel void f(constant float * x) { x[0] = 1; }", "3:42: error: read-only variable is not assignable"},
		{"address_spaces_mixed", "kernel void f(device float * x, threadgroup float * s [[threadgroup(0)]]) { x = s; }", "error: assigning"},
		{"constant_to_device", "kernel void f(constant float * x, device float * y) { device const float * p = x; y[0] = p[0]; }", "error: cannot initialize"},
		{"buffer_index", "kernel void f(device int * y [[buffer(31)]]) { y[0] = 1; }", "3:32: error: 'buffer' attribute parameter is out of bounds: must be between 0 and 30"},
		{"buffer_index_twice", "kernel void f(device int * y [[buffer(1)]], device int * x [[buffer(1)]]) { y[0] = x[0]; }", "error: cannot reserve 'buffer' resource location at index 1"},
		{"too_many_buffers", "kernel void f(" + manyBuffers(32) + ") { b0[0] = 1; }", "error: too many buffer arguments"},
		{"kernel_returns", "kernel int f(device int * y) { return y[0]; }", "error: kernel 'f' must have void return type"},
		{"parameter_without_attribute", "kernel void f(device int * y, uint i) { y[i] = 1; }", "error: invalid type 'uint' for input declaration in a kernel function"},
		{"parameter_without_space", "kernel void f(float * y) { y[0] = 1; }", "error: pointer"},
		{"global_variable", "int counter = 0;\nkernel void f(device int * y) { y[0] = counter; }", "3:5: error: program scope variable 'counter' must reside in constant address space"},
		{"uninitialized_constant", "constant int c;\nkernel void f(device int * y) { y[0] = c; }", "3:14: error: variable 'c' in constant address space must be initialized"},
		{"static_local", "kernel void f(device int * y) { static int n = 0; y[0] = n; }", "error: static local variable must reside in constant address space"},
		{"unknown_function", "kernel void f(device float * y) { y[0] = erf(y[0]); }", "3:42: error: use of undeclared identifier 'erf'"},
		{"opencl_function", "kernel void f(device uint * y) { y[get_global_id(0)] = 1; }", "error: use of undeclared identifier 'get_global_id'"},
		{"printf", "kernel void f(device uint * y) { printf(\"%d\", y[0]); }", "error: use of undeclared identifier 'printf'"},
		{"missing_header", "#include <iostream>\nkernel void f(device uint * y) { y[0] = 1; }", "3:10: fatal error: 'iostream' file not found"},
		{"texture", "kernel void f(texture2d<float> t [[texture(0)]], device float * y) { y[0] = 1; }", "error: textures are not emulated"},
		{"render_function", "vertex float4 v() { return float4(0); }", "error: render functions are not emulated"},
		{"constant_index_twice", "constant int a [[function_constant(0)]];\nconstant int b [[function_constant(0)]];", "4:18: error: function constant index 0 is already taken by 'a'"},
		{"constant_type", "struct S { int x; };\nconstant S a [[function_constant(0)]];", "error: invalid type 'S' for function constant"},
		{"kernel_twice", "kernel void f(device int * y) { y[0] = 1; }\nkernel void f(device float * y) { y[0] = 1; }", "error: a kernel named 'f' is already defined"},
		{"atomic_without_space", "kernel void f(device uint * y) { atomic_fetch_add_explicit(y, 1u, memory_order_relaxed); }", "error: no matching function"},
		{"private_memory", "kernel void f(device float * y, uint i [[thread_position_in_grid]]) {\n  float a[40000];\n  for (int k = 0; k < 40000; k++) a[k] = y[k];\n  for (int k = 0; k < 40000; k++) y[k] = a[(k * 7919u + i) % 40000];\n}", ":3:8: error: stack frame size"},
		{"positions_of_different_sizes", "kernel void f(device int * y, uint3 g [[threadgroup_position_in_grid]],\n    uint t [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) { y[g.x] = t + lane; }",
			"program_source:3:13: error: expecting input declarations with either all scalar types or all vector types with the same number of elements\nkernel void f(device int * y, uint3 g [[threadgroup_position_in_grid]],\n            ^\n" +
				"program_source:3:31: note: declaration with attribute 'threadgroup_position_in_grid' of type 'uint3' here\nkernel void f(device int * y, uint3 g [[threadgroup_position_in_grid]],\n                              ^\n" +
				"program_source:4:5: note: declaration with attribute 'thread_position_in_threadgroup' of type 'uint' here"},
		{"vector_positions_of_different_sizes", "kernel void f(device int * y, uint3 g [[thread_position_in_grid]], ushort2 n [[threads_per_threadgroup]]) { y[g.x] = n.x; }", "3:13: error: expecting input declarations with either"},
		{"position_of_int", "kernel void f(device int * y, int g [[thread_position_in_grid]]) { y[g] = 1; }", "3:31: error: invalid type 'int' for input declaration in a kernel function"},
		{"position_of_four", "kernel void f(device int * y, uint4 g [[thread_position_in_grid]]) { y[g.x] = 1; }", "3:31: error: invalid type 'uint4' for input declaration in a kernel function"},
		{"index_of_two", "kernel void f(device int * y, const uint2 l [[thread_index_in_simdgroup]]) { y[l.x] = 1; }", "3:31: error: invalid type 'uint2' for input declaration in a kernel function"},
		{"attribute_behind_parameters", "kernel void f(device int * y) [[max_total_threads_per_threadgroup(64)]] { y[0] = 1; }", "3:33: error: 'max_total_threads_per_threadgroup' attribute cannot be applied to types"},
		{"lambda", "kernel void f(device int * y) {\n  auto g = [](int x) { return x + 1; };\n  y[0] = g(1); }", "4:12: error: lambda expressions are not supported in Metal"},
		{"order_of_memory", "kernel void f(device atomic_int * y) { atomic_store_explicit(y, 1, memory_order_release); }", "3:68: error: use of undeclared identifier 'memory_order_release'"},
		{"function_of_c", "kernel void f(device float * y) { y[0] = expf(y[1]); }", "3:42: error: use of undeclared identifier 'expf'"},
		{"restrict", "kernel void f(device float * restrict y) { y[0] = 1; }", "3:39: error: expected ')'"},
		{"matrix_load_of_another_type", "kernel void f(device half * x, device float * y) { simdgroup_float8x8 m; simdgroup_load(m, x); simdgroup_store(m, y); }", "3:74: error: no matching function for call to 'simdgroup_load'"},
		{"matrix_store_of_another_type", "kernel void f(device half * y) { threadgroup half s[64]; simdgroup_float8x8 m(1.0f); simdgroup_store(m, s); y[0] = s[0]; }", "3:86: error: no matching function for call to 'simdgroup_store'"},
		{"matrix_load_from_constant", "kernel void f(constant float * x, device float * y) { simdgroup_float8x8 m; simdgroup_load(m, x); simdgroup_store(m, y); }", "3:77: error: no matching function for call to 'simdgroup_load'"},
		{"matrix_of_integers", "kernel void f(device int * y) { simdgroup_matrix<int, 8, 8> m; simdgroup_load(m, y); }", "error: static assertion failed due to requirement 'is_floating_point<int>::value': invalid element type 'T' for 'simdgroup_matrix'"},
		{"shuffle_of_64_bits", "kernel void f(device ulong * y) { y[0] = simd_shuffle(y[1], 3); }", "3:42: error: no matching function for call to 'simd_shuffle'"},
		{"simd_sum_of_bfloat", "kernel void f(device bfloat * y) { y[0] = simd_sum(y[1]); }", "3:43: error: no matching function for call to 'simd_sum'"},
		{"simd_sum_of_a_structure", "struct S { float x; };\nkernel void f(device S * y) { y[0] = simd_sum(y[1]); }", "4:38: error: no matching function for call to 'simd_sum'"},
		{"atomic_maximum_of_float", "kernel void f(device atomic_float * y) { atomic_fetch_max_explicit(y, 1.0f, memory_order_relaxed); }", "3:42: error: no matching function for call to 'atomic_fetch_max_explicit'"},
		{"atomic_sum_of_float_in_threadgroup", "kernel void f(device float * y) { threadgroup atomic_float s; atomic_fetch_add_explicit(&s, 1.0f, memory_order_relaxed); y[0] = atomic_load_explicit(&s, memory_order_relaxed); }", "3:63: error: no matching function for call to 'atomic_fetch_add_explicit'"},
		{"atomic_sum_of_64_bits", "kernel void f(device atomic_ulong * y) { atomic_fetch_add_explicit(y, 1ul, memory_order_relaxed); }", "3:42: error: no matching function for call to 'atomic_fetch_add_explicit'"},
		{"bfloat_from_float", "kernel void f(device bfloat * y, device float * x) { y[0] = x[0]; }", "3:61: error: cannot implicitly convert 'float' to 'bfloat'"},
		{"bfloat_initialised_with_float", "kernel void f(device bfloat * y, device float * x) {\n  bfloat const v = float(x[0]);\n  y[0] = v; }", "4:20: error: cannot implicitly convert 'float' to 'bfloat'"},
		{"bfloat_times_float", "template <typename T> inline T twice(T x) { return x * 2.0f; }\nkernel void f(device bfloat * y) { y[0] = twice(y[1]); }", "3:54: error: cannot implicitly convert 'float' to 'bfloat'"},
		{"bfloat_returned_from_float", "inline bfloat g(float x) {\n  return x; }\nkernel void f(device bfloat * y) { y[0] = g(1); }", "4:10: error: cannot implicitly convert 'float' to 'bfloat'"},
		{"mathematics_of_bfloat", "kernel void f(device bfloat * y) { y[0] = exp(y[1]); }", "3:43: error: cannot implicitly convert 'float' to 'bfloat'"},
		{"attribute_on_wrong_space", "kernel void f(device int * y [[threadgroup(0)]]) { y[0] = 1; }", "error: 'threadgroup' attribute cannot be applied to parameter 'y'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := refused(t, "#include <metal_stdlib>\nusing namespace metal;\n"+c.source+"\n", options())
			if !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant %q", got, c.want)
			}
		})
	}
}

func manyBuffers(n int) string {
	var b []string
	for i := range n {
		b = append(b, "device int * b"+string(rune('0'+i/10))+string(rune('0'+i%10)))
	}
	return strings.Replace(strings.Join(b, ", "), "b00", "b0", 1)
}

func TestBfloatNeedsMetal31(t *testing.T) {
	src := "kernel void f(device bfloat * y) { y[0] = bfloat(1.0f); }"
	o := options()
	o.LanguageVersion = 0x30000
	if got := refused(t, src, o); !strings.Contains(got, "1:22: error: unknown type name 'bfloat'") {
		t.Error(got)
	}
	mustCompile(t, src, options())
}

// TestAccepted has what looks like something refused and is not.
func TestAccepted(t *testing.T) {
	for _, c := range []struct{ name, source string }{
		{"overload_calls_overload", "inline float g(float x) { return x; }\ninline float2 g(float2 x) { return float2(g(x.x), g(x.y)); }\nkernel void f(device float2 * y) { y[0] = g(y[1]); }"},
		{"template_recursion", "template <int N> inline int g() { return N + g<N - 1>(); }\ntemplate <> inline int g<0>() { return 0; }\nkernel void f(device int * y) { y[0] = g<5>(); }"},
		{"array_parameter", "inline float g(float v[2]) { return v[0] + v[1]; }\nkernel void f(device float * y) { float v[2] = {1, 2}; y[0] = g(v); }"},
		{"function_template_parameter", "inline void one(device float * p, thread float & x) { x = p[0]; }\ntemplate <void (*F)(device float *, thread float &)> kernel void f(device float * y) { float x; F(y, x); y[1] = x; }\ntemplate [[host_name(\"g\")]] kernel decltype(f<one>) f<one>;"},
		{"product_of_values", "kernel void f(device int * y) { int a = y[0], b = y[1]; y[2] = a * b; y[3] = a & b; }"},
		{"deleted", "struct S { S() = default; S(thread const S &) = delete; int x; };\nkernel void f(device int * y) { S s; s.x = 1; y[0] = s.x; }"},
		{"template_argument_pointer", "kernel void f(device int * y) { y[0] = is_same<device int *, device int *>::value; }"},
		{"implicit_half_from_float", "kernel void f(device float * x, device half * y) { half h = x[0]; y[0] = h; }"},
		{"atomics", "kernel void f(device atomic_float * x, device atomic_ulong * y, device atomic_uint * z, device atomic_bool * b) { atomic_fetch_add_explicit(x, 1.0f, memory_order_relaxed); atomic_max_explicit(y, 1ul, memory_order_relaxed); atomic_fetch_xor_explicit(z, 1, memory_order_relaxed); atomic_store_explicit(b, true, memory_order_relaxed); atomic_exchange_explicit(x, 2, memory_order_relaxed); }"},
		{"inputs", "typedef uint3 place_t;\n[[kernel, max_total_threads_per_threadgroup(64)]] void f(device int * y, ushort3 l [[thread_position_in_threadgroup]], uint3 g [[threadgroup_position_in_grid]], vec<uint, 3> n [[threads_per_threadgroup]], place_t q [[threads_per_grid]], uint i [[thread_index_in_threadgroup]], ushort s [[simdgroup_index_in_threadgroup]]) { int a[3] = {1, 2, 3}; y[a[l.x]] = g.x + n.x + q.x + i + s; }"},
		{"bfloat_arithmetic", "kernel void f(device bfloat * y, device float * x) { y[0] = y[1] * y[2] + bfloat(x[0]); x[1] = y[3] * x[2] + exp(float(y[4])); y[5] = isnan(y[6]) ? y[7] : (bfloat)x[3]; y[8] += y[9]; y[10] = select(y[11], bfloat(1.5f), y[12] < y[13]); }"},
		{"half_literals", "kernel void f(device half * y) { y[0] = 1.5h + half(2.0); y[1] *= 0.5; }"},
		{"scalar_of_greater_rank", "kernel void f(device half4 * y, device float * s) { y[0] = s[0] * y[1]; y[1] *= 2.0f; y[2] = y[0] / s[1] + 1.0; }"},
		{"bfloat_to_half", "typedef matrix<bfloat, 4, 4> bfloat4x4;\nkernel void f(device bfloat * b, device half * h, device bfloat4 * b4, device half4 * h4, device bfloat4x4 * m) { h[0] = half(b[0]); b[1] = (bfloat)h[1]; h4[0] = half4(b4[0]); b4[1] = (bfloat4)h4[1]; half z(b[2]); h[2] = z; half4x4 x = (half4x4)m[0]; h4[2] = x[1]; }"},
		{"host_name_in_two_literals", "#define TYPE \"f32\"\ntemplate <typename T> kernel void f(device T * y) { y[0] = 1; }\ntemplate [[host_name(\"f_\" TYPE)]] kernel decltype(f<float>) f<float>;\n[[host_name(\"a\" \"b\")]] kernel void g(device int * y) { y[0] = 1; }"},
		{"member_of_local_structure", "kernel void f(device int * y) { struct S { static int g(int x) { return x + 1; } }; y[0] = S::g(1); }"},
		{"words_of_opencl", "kernel void f(device int * y) { int local = 1, global = 2, generic = 3; y[0] = local + global + generic; }"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := mustCompile(t, "#include <metal_stdlib>\nusing namespace metal;\n"+c.source+"\n", options())
			if got := strings.Join(l.Names(), " "); strings.HasPrefix(c.name, "host_name") && got != "ab f_f32" {
				t.Errorf("kernels %q, want ab and f_f32", got)
			}
		})
	}
}

// TestErrorPlace: errors are at the line and column of the text as given, through macros, blanks,
// rewriting and included headers.
func TestErrorPlace(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"aligned_columns", "kernel void f(device float  *  y) {\n    y[0]    =    undefined_name;\n}", "program_source:2:18: error: use of undeclared identifier 'undefined_name'\n    y[0]    =    undefined_name;\n                 ^"},
		{"after_a_macro", "#define TWICE(x) ((x) +   (x))\nkernel void f(device float * y) { y[0] = TWICE(y[1]) * nothing; }", "program_source:2:56: error: use of undeclared identifier 'nothing'"},
		{"after_rewriting", "#include <metal_stdlib>\nkernel void f(device metal::float4 * y, device half4 * x) { y[0] = (float4)x[0] + float4(x[1]) + missing; }", "program_source:2:98: error: use of undeclared identifier 'missing'"},
		{"metal's_words", "kernel void f(device float * y, constant float & c) { device float * p = &c; }", "program_source:1:70: error: cannot initialize a variable of type 'device float *' with an rvalue of type 'constant float *'"},
		{"word_reserved_in_opencl", "#include <metal_stdlib>\nkernel void f(constant int & y,   device atomic_long * z) { }", "program_source:2:42: error: unknown type name 'atomic_long'"},
		{"in_a_header", "#include \"h.h\"\nkernel void f(device float * y) { y[0] = g(1); }", "h.h:2:32: error: use of undeclared identifier 'k'"},
		{"directive", "\n#error no such luck\n", "program_source:2:2: error: no such luck"},
		{"in_a_template", "template <typename T> inline T g(T x) {\n  return x.nothing; }\nkernel void f(device float * y) { y[0] = g(y[1]); }", "program_source:2:1"},
		{"after_threadgroup_variable", "kernel void f(device float * y) {\n  threadgroup float s[4];\n  s[0] = oops;\n  y[0] = s[0]; }", "program_source:3:10: error: use of undeclared identifier 'oops'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			o.Headers = map[string]string{"h.h": "#pragma once\ninline float g(int x) { return k; }\n"}
			if got := refused(t, c.source, o); !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant %q", got, c.want)
			}
		})
	}
	if got := refused(t, "kernel void f(device float * y) { a; b; }", options()); !strings.HasSuffix(got, "2 errors generated.") {
		t.Error(got)
	}
}

// TestArgumentTable reads arguments back: explicit and automatic indices, access, element sizes,
// threadgroup memory, function constants, instantiations.
func TestArgumentTable(t *testing.T) {
	o := options()
	o.Headers = map[string]string{"types.h": "struct block { half d; uint8_t q[16]; };\n#define FC 100\n"}
	o.Macros = map[string]string{"WIDTH": "4"}
	l := mustCompile(t, `#include <metal_stdlib>
#include "types.h"
using namespace metal;
constant bool flag [[function_constant(FC + 2)]];
constant int other [[function_constant(FC + 3)]];
constant uint width = is_function_constant_defined(other) ? other : 7;
inline bool uses() { return flag; }
template <typename T, int N>
[[kernel]] void k(constant block & b, device const T * x [[buffer(0)]], device T * y, threadgroup T * s, threadgroup float4 * u [[threadgroup(0)]],
    device const packed_float3 * p [[buffer(7), function_constant(flag)]], ushort2 i [[thread_position_in_grid]]) {
  threadgroup alignas(16) half part[N];
  threadgroup float w, v[WIDTH][2];
  if (uses()) y[0] = x[0] + part[0] + w + v[0][0] + s[0] + u[0].x + b.d;
}
typedef decltype(k<float, 3>) k_t;
template [[host_name("k_f32")]] [[kernel]] k_t k<float, 3>;
template [[host_name("k_f16")]] kernel void k<half, 32>(constant block &, device const half *, device half *, threadgroup half *, threadgroup float4 *, device const packed_float3 *, ushort2);
kernel void plain(device float * y) { y[0] = width; }
`, o)
	if got := strings.Join(l.Names(), " "); got != "k_f16 k_f32 plain" {
		t.Errorf("kernels %q", got)
	}
	f, err := l.Function("k_f32")
	if err != nil {
		t.Fatal(err)
	}
	want := []kernel.Arg{
		{Name: "b", Kind: kernel.ArgConstant, Index: 1, Access: kernel.Read, ElemSize: 18, ElemAlign: 2, Type: "block"},
		{Name: "x", Kind: kernel.ArgBuffer, Index: 0, Access: kernel.Read, ElemSize: 4, ElemAlign: 4, Type: "T"},
		{Name: "y", Kind: kernel.ArgBuffer, Index: 2, Access: kernel.ReadWrite, ElemSize: 4, ElemAlign: 4, Type: "T"},
		{Name: "s", Kind: kernel.ArgThreadgroup, Index: 1, Access: kernel.ReadWrite, ElemSize: 4, ElemAlign: 4, Type: "T"},
		{Name: "u", Kind: kernel.ArgThreadgroup, Index: 0, Access: kernel.ReadWrite, ElemSize: 16, ElemAlign: 16, Type: "float4"},
		{Name: "p", Kind: kernel.ArgBuffer, Index: 7, Access: kernel.Read, ElemSize: 12, ElemAlign: 4, Type: "packed_float3"},
	}
	got := f.Args()
	if len(got) != len(want) {
		t.Fatalf("arguments %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("argument %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	cs := f.Constants()
	if len(cs) != 1 || cs[0].Name != "flag" || cs[0].Index != 102 || cs[0].Type != kernel.Bool || !cs[0].Required {
		t.Errorf("constants %+v", cs)
	}
	if _, err := f.Specialize(nil); err == nil || !strings.Contains(err.Error(), "flag") {
		t.Errorf("specialised without a required constant: %v", err)
	}
	k, err := f.Specialize(map[int]kernel.ConstantValue{102: {Type: kernel.Bool}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(k.Args()); n != 5 {
		t.Errorf("%d arguments with the condition off, want 5", n)
	}
	if n := k.StaticThreadgroupMemory(); n != 8+4+32 {
		t.Errorf("static threadgroup memory %d, want 44", n)
	}
	p, err := l.Function("plain")
	if err != nil {
		t.Fatal(err)
	}
	if cs := p.Constants(); len(cs) != 1 || cs[0].Name != "other" || cs[0].Required {
		t.Errorf("constants %+v", cs)
	}
	if _, err := l.Function("nothing"); err == nil {
		t.Error("a kernel that is not there was found")
	}
}

// TestManyKernels: a source with more kernels than go into one object is checked whole, and its
// kernels are compiled one by one.
func TestManyKernels(t *testing.T) {
	src := "#include <metal_stdlib>\nusing namespace metal;\ntemplate <typename T, int N> kernel void f(device T * y) {\n  threadgroup T s[N];\n  s[0] = N;\n  y[0] = s[0].x;\n}\n"
	for i := range 40 {
		src += fmt.Sprintf("template [[host_name(\"f%d\")]] kernel decltype(f<float2, %d>) f<float2, %d>;\n", i, i+1, i+1)
	}
	l := mustCompile(t, src, options())
	if n := len(l.Names()); n != 40 {
		t.Fatalf("%d kernels, want 40", n)
	}
	f, err := l.Function("f9")
	if err != nil {
		t.Fatal(err)
	}
	k, err := f.Specialize(nil)
	if err != nil {
		t.Fatal(err)
	}
	if k.StaticThreadgroupMemory() != 80 || k.Args()[0].ElemSize != 8 {
		t.Errorf("%d bytes of threadgroup memory, want 80; %+v", k.StaticThreadgroupMemory(), k.Args())
	}
	// One bad instance among many is found when the library is made.
	bad := src + "template [[host_name(\"bad\")]] kernel decltype(f<float, 1>) f<float, 1>;\n"
	if got := refused(t, bad, options()); !strings.Contains(got, "program_source:6:14: error: member reference base type 'threadgroup float' is not a structure or union") {
		t.Error(got)
	}
}

// TestCache: a second compiler finds what the first compiled, and a changed header or macro is another source.
func TestCache(t *testing.T) {
	dir := t.TempDir()
	compileIn := func(header, macro string) string {
		c, err := msl.NewCompiler(msl.Config{Target: simt.Target(), CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		o := options()
		o.Headers, o.Macros = map[string]string{"h.h": header}, map[string]string{"M": macro}
		l, err := c.Compile(context.Background(), "#include \"h.h\"\nkernel void f(device int * y, constant T & x) { y[0] = M; }", o)
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
		if want := map[string]int{"struct T { int a; };": 4, "struct T { long a; };": 8}[header]; k.Args()[1].ElemSize != want {
			t.Errorf("element of %d bytes, want %d", k.Args()[1].ElemSize, want)
		}
		path, err := k.(*msl.Kernel).Object(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := compileIn("struct T { int a; };", "1")
	before, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	if b := compileIn("struct T { int a; };", "1"); b != a {
		t.Errorf("objects %s and %s of one source", a, b)
	}
	if after, err := os.Stat(a); err != nil || after.ModTime() != before.ModTime() {
		t.Errorf("the object was made again: %v", err)
	}
	if compileIn("struct T { long a; };", "1") == a || compileIn("struct T { int a; };", "2") == a {
		t.Error("one object for two sources")
	}
}

func TestMissingClang(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := msl.NewCompiler(msl.Config{Target: simt.Target(), CacheDir: t.TempDir()})
	var missing *msl.MissingToolError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "apt-get install clang-19") {
		t.Errorf("error %v does not say how to install clang", err)
	}
}

// TestCacheShared: compilers that know nothing of each other fill one empty cache at once, as
// the test processes of several packages do.
func TestCacheShared(t *testing.T) {
	dir := t.TempDir()
	errs := make(chan error)
	const n = 2
	for i := range n {
		go func() {
			c, err := msl.NewCompiler(msl.Config{Target: simt.Target(), CacheDir: dir})
			for k := 0; err == nil && k < 3; k++ {
				var l kernel.Library
				var f kernel.Function
				src := fmt.Sprintf("kernel void f(device int * y) { y[0] = %d; }", (i+k)%3)
				if l, err = c.Compile(context.Background(), src, options()); err == nil {
					if f, err = l.Function("f"); err == nil {
						_, err = f.Specialize(nil)
					}
				}
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
