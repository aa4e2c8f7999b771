package simt

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

// naiveQ4_0 is the mat-vec nobody tuned: a simdgroup a row, a block of 32 weights a lane.
const naiveQ4_0 = `
struct block_q4_0 { half d; uint8_t qs[16]; };
kernel void mv(device const block_q4_0 * w, device const float * x, device float * y, constant int & cols,
    uint row [[threadgroup_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  const int nb = cols / 32;
  float sum = 0;
  for (int ib = lane; ib < nb; ib += 32) {
    device const block_q4_0 & b = w[row * nb + ib];
    device const float * v = x + ib * 32;
    float s = 0;
    for (int i = 0; i < 16; i++) {
      s += v[i] * ((b.qs[i] & 15) - 8) + v[i + 16] * ((b.qs[i] >> 4) - 8);
    }
    sum += s * float(b.d);
  }
  sum = simd_sum(sum);
  if (lane == 0) y[row] = sum;
}`

func matVec(b testing.TB, n int) (*kernel.Dispatch, []float64) {
	k := build(b, naiveQ4_0, "mv", nil)
	w, x := make([]byte, n*n/32*18), make([]float32, n)
	want := make([]float64, n)
	for i := range x {
		x[i] = float32(random.NormFloat64())
	}
	for i := range w {
		w[i] = byte(random.Uint32())
	}
	for i := 0; i < len(w); i += 18 {
		w[i], w[i+1] = 0, 0x2c // 1/16
		block := i / 18
		row, col := block*32/n, block*32%n
		for j := range 16 {
			q := w[i+2+j]
			want[row] += (float64(q&15) - 8) / 16 * float64(x[col+j])
			want[row] += (float64(q>>4) - 8) / 16 * float64(x[col+j+16])
		}
	}
	return dispatchOf(k, n, 32, w, bytesOf(x), poisoned(4*n), bytesOf([]int32{int32(n)})), want
}

func TestNaiveMatVec(t *testing.T) {
	d, want := matVec(t, 256)
	run(t, d)
	for i, v := range valuesOf[float32](d.Buffers[2].Memory) {
		if !(math.Abs(float64(v)-want[i]) <= 1e-4) {
			t.Fatalf("row %d: %v, want %v", i, v, want[i])
		}
	}
}

// BenchmarkMatVecQ4_0 measures weights a second and core, with bounds checks.
func BenchmarkMatVecQ4_0(b *testing.B) {
	const n = 4096
	d, _ := matVec(b, n)
	for _, workers := range []int{1, 0} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			e := executor(b, Options{Workers: workers})
			before := cpuSeconds()
			for b.Loop() {
				if err := e.Run(context.Background(), d); err != nil {
					b.Fatal(err)
				}
			}
			// Seconds of a core, which other programs on the machine do not change.
			b.ReportMetric(float64(n)*n*float64(b.N)/(cpuSeconds()-before)/1e6, "Mweights/s/core")
		})
	}
}

// BenchmarkReduce is mostly barriers and simd operations.
func BenchmarkReduce(b *testing.B) {
	k := build(b, `
kernel void reduce(device float * y, uint i [[thread_position_in_threadgroup]], uint tg [[threadgroup_position_in_grid]], uint sg [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float part[32];
  float s = i;
  for (int k = 0; k < 16; k++) {
    s = simd_sum(s);
    if (lane == 0) part[sg] = s;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    s = part[lane % 8];
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  if (i == 0) y[tg] = s;
}`, "reduce", nil)
	const groups = 64
	d := dispatchOf(k, groups, 256, make([]byte, 4*groups))
	e := executor(b, Options{Workers: 1})
	for b.Loop() {
		if err := e.Run(context.Background(), d); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(groups*256*48), "ns/thread/wait")
}

// BenchmarkEmptyDispatch is what a dispatch costs before it does anything.
func BenchmarkEmptyDispatch(b *testing.B) {
	k := build(b, `kernel void f(device float * y, uint i [[thread_position_in_grid]]) { y[i] = 1; }`, "f", nil)
	d := dispatchOf(k, 1, 32, make([]byte, 128))
	e := executor(b, Options{})
	for b.Loop() {
		if err := e.Run(context.Background(), d); err != nil {
			b.Fatal(err)
		}
	}
}

// longSource is a file of some 300 lines and twelve kernels.
func longSource(salt int) string {
	var s strings.Builder
	fmt.Fprintf(&s, "#include <metal_stdlib>\nusing namespace metal;\n// %d\n", salt)
	for i := range 12 {
		one := strings.ReplaceAll(naiveQ4_0, "block_q4_0", fmt.Sprintf("block%d", i))
		s.WriteString(strings.ReplaceAll(one, "void mv", fmt.Sprintf("void mv%d", i)))
		fmt.Fprintf(&s, `
inline float helper%d(float4 x, half4 h) {
  float4 v = x * float4(h);
  v = exp(v - max(v.x, v.y));
  return dot(v, float4(1));
}
`, i)
	}
	return s.String()
}

// BenchmarkCompileCold compiles a file of 300 lines with an empty cache, the standard library and
// the runtime included.
func BenchmarkCompileCold(b *testing.B) {
	b.Logf("%d lines", strings.Count(longSource(0), "\n"))
	for i := 0; b.Loop(); i++ {
		dir, err := os.MkdirTemp("", "cold-")
		if err != nil {
			b.Fatal(err)
		}
		compileLong(b, dir, i)
		os.RemoveAll(dir)
	}
}

// BenchmarkCompileWarm opens a compiled file again.
func BenchmarkCompileWarm(b *testing.B) {
	dir := b.TempDir()
	compileLong(b, dir, 0)
	for b.Loop() {
		compileLong(b, dir, 0)
	}
}

func compileLong(b *testing.B, dir string, salt int) {
	c, err := msl.NewCompiler(msl.Config{Target: Target(), CacheDir: dir})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.Compile(context.Background(), longSource(salt), kernel.Options{LanguageVersion: 0x30002, Strict: true, MaxThreadgroupMemory: 32768}); err != nil {
		b.Fatal(err)
	}
}
