package cuda

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// TestMain runs nothing where there is no clang, and says so in the last line; with CI set that is
// a failure.
func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := msl.FindClang(); err != nil {
		fmt.Printf("NOT TESTED: compiling kernels for CUDA: %v\n", err)
		if os.Getenv("CI") != "" {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const source = `#include <metal_stdlib>
using namespace metal;
constant int N [[function_constant(0)]];
constant bool B [[function_constant(1)]];
template <typename T>
kernel void k(device const T * x, device float * y, constant int & n, threadgroup float * s [[threadgroup(0)]], device atomic_int * c,
    uint3 g [[thread_position_in_grid]], ushort lane [[thread_index_in_simdgroup]], uint sg [[simdgroup_index_in_threadgroup]], uint3 tpt [[threads_per_threadgroup]]) {
  threadgroup float part[32];
  float v = simd_sum(float(x[g.x])) + simd_max(float(x[g.x])) + exp(y[0]) + tanh(y[1]) + pow(y[2], 3.0f) + cos(y[3]);
  if (lane == 0) { part[sg] = v; s[sg] = v; }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_float8x8 a, b, d;
  simdgroup_load(a, y, 8);
  simdgroup_load(b, s, 8);
  simdgroup_multiply(d, a, b);
  simdgroup_store(d, y, 8);
  atomic_fetch_add_explicit(c, N, memory_order_relaxed);
  y[g.x] = B ? part[lane] + simd_shuffle_xor(v, 1) + simd_prefix_inclusive_sum(v) + popcount(uint(n)) : tpt.x;
}
template [[host_name("k_f32")]] kernel decltype(k<float>) k<float>;
template [[host_name("k_bf16")]] kernel decltype(k<bfloat>) k<bfloat>;
`

func specialize(t *testing.T, name string) *msl.Kernel {
	t.Helper()
	c, err := msl.NewCompiler(msl.Config{Target: Target(), CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Compile(context.Background(), source, kernel.Options{LanguageVersion: 0x30001, Strict: true, MaxThreadgroupMemory: 32768})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.Function(name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := f.Specialize(map[int]kernel.ConstantValue{0: {Type: kernel.Int, Bytes: [8]byte{7}}, 1: {Type: kernel.Bool, Bytes: [8]byte{1}}})
	if err != nil {
		t.Fatal(err)
	}
	return k.(*msl.Kernel)
}

// TestPTX compiles a kernel that uses most of the library. It is compiled, not run: that needs a GPU.
func TestPTX(t *testing.T) {
	for _, name := range []string{"k_f32", "k_bf16"} {
		k := specialize(t, name)
		if k.StaticThreadgroupMemory() != 128 || len(k.Args()) != 5 || k.Args()[1].ElemSize != 4 {
			t.Errorf("%s: %d bytes of threadgroup memory, arguments %+v", name, k.StaticThreadgroupMemory(), k.Args())
		}
		path, err := k.Object(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		ptx, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{".entry " + k.Symbol(), "shfl.sync", "bar", "msl_shared", "atom", "ex2.approx"} {
			if !strings.Contains(string(ptx), want) {
				t.Errorf("%s: the PTX has no %q", name, want)
			}
		}
		if strings.Contains(string(ptx), ".extern .func") {
			t.Errorf("%s: the PTX calls a function that no one defines", name)
		}
	}
}
