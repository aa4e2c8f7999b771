package simt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

func TestVectorAdd(t *testing.T) {
	k := build(t, `kernel void add(device const float * a, device const float * b, device float * c, uint i [[thread_position_in_grid]]) { c[i] = a[i] + b[i]; }`, "add", nil)
	const n = 1000
	a, b, c := make([]float32, n), make([]float32, n), poisoned(4*n)
	for i := range a {
		a[i], b[i] = random.Float32(), random.Float32()
	}
	d := dispatchOf(k, 0, 64, bytesOf(a), bytesOf(b), c)
	d.Threadgroups, d.Threads = [3]int{16, 1, 1}, [3]int{n, 1, 1} // the last threadgroup is partial
	run(t, d)
	for i, v := range valuesOf[float32](c) {
		if v != a[i]+b[i] {
			t.Fatalf("c[%d] = %v, want %v", i, v, a[i]+b[i])
		}
	}
}

func TestReduction(t *testing.T) {
	k := build(t, `
kernel void reduce(device const float * x, device float * y, uint i [[thread_position_in_grid]], uint tid [[thread_position_in_threadgroup]],
    uint tg [[threadgroup_position_in_grid]], uint lane [[thread_index_in_simdgroup]], uint sg [[simdgroup_index_in_threadgroup]], uint nsg [[simdgroups_per_threadgroup]]) {
  threadgroup float part[32];
  float s = simd_sum(x[i]);
  if (lane == 0) part[sg] = s;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (sg == 0) {
    s = simd_sum(lane < nsg ? part[lane] : 0.0f);
    if (lane == 0) y[tg] = s;
  }
}`, "reduce", nil)
	const groups, threads = 37, 256
	x, y := make([]float32, groups*threads), poisoned(4*groups)
	want := make([]float64, groups)
	for i := range x {
		x[i] = random.Float32()
		want[i/threads] += float64(x[i])
	}
	run(t, dispatchOf(k, groups, threads, bytesOf(x), y))
	for i, v := range valuesOf[float32](y) {
		near(t, "sum", float64(v), want[i], 1e-6)
	}
	if k.StaticThreadgroupMemory() != 128 {
		t.Errorf("static threadgroup memory %d, want 128", k.StaticThreadgroupMemory())
	}
}

// TestFaultWhileOthersRun: a fault in one threadgroup ends those that other workers are in the
// middle of, wherever they are.
func TestFaultWhileOthersRun(t *testing.T) {
	k := build(t, `
kernel void faulty(device const float * x, device float * y, uint tg [[threadgroup_position_in_grid]], uint tid [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float part[128];
  for (int k = 0; k < 4; k++) {
    part[tid] = simd_sum(x[(lane + tg) & 31]);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (lane == 31 && k == 2) y[tg + 1000] = part[tid ^ 32];
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}`, "faulty", nil)
	x, y := make([]float32, 32), make([]float32, 64)
	e := executor(t, Options{Workers: 4})
	for range 1000 {
		err := e.Run(t.Context(), dispatchOf(k, 64, 128, bytesOf(x), bytesOf(y)))
		if err == nil || !strings.Contains(err.Error(), "faulty") {
			t.Fatalf("error %v", err)
		}
	}
}

func TestSimdgroupMatrixMultiply(t *testing.T) {
	k := build(t, `
kernel void mul(device const float * a, device const half * b, device float * c, constant int & n, uint2 tg [[threadgroup_position_in_grid]]) {
  simdgroup_float8x8 acc = make_filled_simdgroup_matrix<float, 8>(0.0f), ma;
  simdgroup_half8x8 mb;
  for (int k = 0; k < n; k += 8) {
    simdgroup_load(ma, a + tg.y * 8 * n + k, n);
    simdgroup_load(mb, b + k * n + tg.x * 8, n);
    simdgroup_multiply_accumulate(acc, ma, mb, acc);
  }
  simdgroup_store(acc, c + tg.y * 8 * n + tg.x * 8, n);
}`, "mul", nil)
	const n = 24
	a, b, c := make([]float32, n*n), make([]float32, n*n), poisoned(4*n*n)
	var bh []byte
	for i := range a {
		a[i], b[i] = random.Float32()-0.5, float32(random.IntN(64)-32)/16
		bh = append(bh, bytesOf([]uint16{halfBits(b[i])})...)
	}
	d := dispatchOf(k, 0, 32, bytesOf(a), bh, c, bytesOf([]int32{n}))
	d.Threadgroups = [3]int{n / 8, n / 8, 1}
	run(t, d)
	for i, v := range valuesOf[float32](c) {
		want, scale := 0.0, 0.0
		for k := range n {
			p := float64(a[i/n*n+k]) * float64(b[k*n+i%n])
			want, scale = want+p, scale+math.Abs(p)
		}
		if !(math.Abs(float64(v)-want) <= 1e-6*scale) {
			t.Fatalf("c[%d] = %v, want %v", i, v, want)
		}
	}
}

func TestAtomicHistogram(t *testing.T) {
	k := build(t, `
kernel void histogram(device const uchar * x, device atomic_uint * h, uint i [[thread_position_in_grid]], uint tid [[thread_index_in_threadgroup]]) {
  threadgroup atomic_uint part[16];
  if (tid < 16) atomic_store_explicit(&part[tid], 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  atomic_fetch_add_explicit(&part[x[i] & 15], 1, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (tid < 16) atomic_fetch_add_explicit(&h[tid], atomic_load_explicit(&part[tid], memory_order_relaxed), memory_order_relaxed);
}`, "histogram", nil)
	const groups, threads = 64, 128
	x, h := make([]byte, groups*threads), make([]byte, 64)
	want := make([]uint32, 16)
	for i := range x {
		x[i] = byte(random.Uint32())
		want[x[i]&15]++
	}
	run(t, dispatchOf(k, groups, threads, x, h))
	for i, v := range valuesOf[uint32](h) {
		if v != want[i] {
			t.Fatalf("bin %d = %d, want %d", i, v, want[i])
		}
	}
}

// TestFunctionConstants runs specialisations of one object, one after the other and back, on two
// executors: none sees another's values.
func TestFunctionConstants(t *testing.T) {
	src := `
constant int N [[function_constant(0)]];
constant bool B [[function_constant(3)]];
constant int M = is_function_constant_defined(N) ? N * 2 : -1;
kernel void f(device int * y, device const int * x [[buffer(1), function_constant(B)]]) { y[0] = M; y[1] = B; if (B) y[2] = x[0]; }`
	val := func(n int32, b byte) map[int]kernel.ConstantValue {
		return map[int]kernel.ConstantValue{0: {Type: kernel.Int, Bytes: [8]byte{byte(n)}}, 3: {Type: kernel.Bool, Bytes: [8]byte{b}}}
	}
	k1, k2 := build(t, src, "f", val(7, 1)), build(t, src, "f", val(9, 0))
	without := val(0, 0)
	delete(without, 0)
	k3 := build(t, src, "f", without)
	if len(k1.Args()) != 2 || len(k2.Args()) != 1 {
		t.Fatalf("arguments %v and %v: the constant decides about the second", k1.Args(), k2.Args())
	}
	es := []*Executor{executor(t, Options{}), executor(t, Options{})}
	for i, c := range []struct {
		k    kernel.Kernel
		want []int32
	}{{k1, []int32{14, 1, 5}}, {k2, []int32{18, 0, -1}}, {k1, []int32{14, 1, 5}}, {k3, []int32{-1, 0, -1}}, {k1, []int32{14, 1, 5}}} {
		y := poisoned(12)
		if err := es[i%2].Run(context.Background(), dispatchOf(c.k, 1, 1, y, bytesOf([]int32{5}))); err != nil {
			t.Fatal(err)
		}
		for i, v := range valuesOf[int32](y) {
			if v != c.want[i] {
				t.Errorf("y = %v, want %v", valuesOf[int32](y), c.want)
				break
			}
		}
	}
}

// partial are grids of dispatchThreads that no number of threadgroups fills.
var partial = []struct{ grid, threadgroup [3]int }{
	{[3]int{9, 5, 3}, [3]int{4, 4, 2}},
	{[3]int{70, 3, 1}, [3]int{32, 2, 1}}, // a simdgroup is not a row
	{[3]int{3, 20, 2}, [3]int{8, 8, 4}},  // smaller than a threadgroup
	{[3]int{100, 1, 1}, [3]int{64, 1, 1}},
	{[3]int{8, 8, 8}, [3]int{8, 8, 8}},
}

// TestThreadPlace checks every builtin, and who is in a simdgroup.
func TestThreadPlace(t *testing.T) {
	for _, c := range partial {
		threadPlace(t, c.grid, c.threadgroup, func(d *kernel.Dispatch) { d.Threads = c.grid })
	}
}

// threadPlace runs a kernel that writes down all it is told, in a grid of n threads, full of them in
// a threadgroup. dispatch asks for it in the target's way.
func threadPlace(t *testing.T, n, full [3]int, dispatch func(*kernel.Dispatch)) {
	t.Helper()
	k := build(t, `
kernel void place(device uint * y, uint3 g [[thread_position_in_grid]], ushort3 l [[thread_position_in_threadgroup]], uint3 tg [[threadgroup_position_in_grid]],
    uint3 n [[threads_per_grid]], uint3 s [[threads_per_threadgroup]], uint3 full [[dispatch_threads_per_threadgroup]], uint3 groups [[threadgroups_per_grid]],
    uint index [[thread_index_in_threadgroup]], ushort lane [[thread_index_in_simdgroup]], ushort sg [[simdgroup_index_in_threadgroup]],
    uint sgs [[simdgroups_per_threadgroup]], uint fullsgs [[dispatch_simdgroups_per_threadgroup]],
    uint q [[thread_index_in_quadgroup]], uint qg [[quadgroup_index_in_threadgroup]], uint qgs [[quadgroups_per_threadgroup]], uint fullqgs [[dispatch_quadgroups_per_threadgroup]]) {
  const uint mates = simd_sum(1u), first = simd_min(index);
  const uint a[] = {l.x, l.y, l.z, tg.x, tg.y, tg.z, s.x, s.y, s.z, full.x, full.y, full.z, groups.x, groups.y, groups.z, index, lane, sg, sgs, fullsgs, q, qg, qgs, fullqgs, mates, first};
  for (uint i = 0; i < 26; i++) y[26 * (g.x + n.x * (g.y + n.y * g.z)) + i] = a[i];
}`, "place", nil)
	y := poisoned(n[0] * n[1] * n[2] * 26 * 4)
	d := dispatchOf(k, 0, 0, y)
	d.ThreadsPerThreadgroup = full
	for i := range 3 {
		d.Threadgroups[i] = (n[i] + full[i] - 1) / full[i]
	}
	dispatch(d)
	run(t, d)
	v := valuesOf[uint32](y)
	for i := range n[0] * n[1] * n[2] {
		at := [3]int{i % n[0], i / n[0] % n[1], i / n[0] / n[1]}
		var in, tg, size [3]int
		for i := range 3 {
			in[i], tg[i] = at[i]%full[i], at[i]/full[i]
			size[i] = min(full[i], n[i]-tg[i]*full[i])
		}
		index, threads, all := in[0]+size[0]*(in[1]+size[1]*in[2]), size[0]*size[1]*size[2], full[0]*full[1]*full[2]
		first := index / 32 * 32
		want := []int{in[0], in[1], in[2], tg[0], tg[1], tg[2], size[0], size[1], size[2], full[0], full[1], full[2], d.Threadgroups[0], d.Threadgroups[1], d.Threadgroups[2],
			index, index % 32, index / 32, (threads + 31) / 32, (all + 31) / 32, index % 4, index / 4, (threads + 3) / 4, (all + 3) / 4, min(32, threads-first), first}
		for k, w := range want {
			if int(v[26*i+k]) != w {
				t.Fatalf("grid %v, threadgroups %v, thread %v:\n%v, want\n%v", n, full, at, v[26*i:26*i+26], want)
			}
		}
	}
}

func TestOutOfBoundsNamesArgumentAndIndex(t *testing.T) {
	k := build(t, "kernel void f(device const float * a, device float * out [[buffer(1)]], uint i [[thread_position_in_grid]]) {\n  out[i] = a[i + 1];\n}", "f", nil)
	f := faultOf(t, dispatchOf(k, 1, 8, make([]byte, 32), make([]byte, 32)), Options{}, kernel.RuleBounds)
	if f.Arg != "a" || f.Index != 0 || f.Thread != [3]int{7, 0, 0} || f.Kernel != "f" {
		t.Errorf("fault %+v", f)
	}
	for _, s := range []string{"read of 4 bytes at offset 32", "element 8 of float", "length 32", "buffer0", "program_source:4"} {
		if !strings.Contains(f.Error(), s) {
			t.Errorf("%q does not say %q", f, s)
		}
	}
	// Far outside, negative, and a write.
	k = build(t, `kernel void g(device float * a, device const int * at) { a[at[0]] = 1; }`, "g", nil)
	for _, at := range []int32{-1, -1000, 1 << 20, 8} {
		f = faultOf(t, dispatchOf(k, 1, 1, make([]byte, 32), bytesOf([]int32{at})), Options{}, kernel.RuleBounds)
		if f.Arg != "a" || !strings.Contains(f.Detail, "write") {
			t.Errorf("index %d: fault %+v", at, f)
		}
	}
	// A vector that only its end leaves.
	k = build(t, `kernel void h(device const float4 * a, device float4 * b) { b[0] = a[1]; }`, "h", nil)
	faultOf(t, dispatchOf(k, 1, 1, make([]byte, 28), make([]byte, 32)), Options{}, kernel.RuleBounds)
	// A structure copied whole.
	k = build(t, `struct S { float v[40]; }; kernel void s(device const S * a, device S * b, uint i [[thread_position_in_grid]]) { b[i] = a[i]; }`, "s", nil)
	faultOf(t, dispatchOf(k, 1, 2, make([]byte, 320), make([]byte, 319)), Options{}, kernel.RuleBounds)
	run(t, dispatchOf(k, 1, 2, make([]byte, 320), make([]byte, 320)))
}

func TestUnbound(t *testing.T) {
	k := build(t, `kernel void f(device const float * a, device float * b, uint i [[thread_position_in_grid]]) { b[i] = a[i]; }`, "f", nil)
	f := faultOf(t, dispatchOf(k, 1, 8, nil, make([]byte, 32)), Options{}, kernel.RuleUnbound)
	if f.Arg != "a" {
		t.Errorf("fault %+v", f)
	}
}

func TestThreadgroupMemoryBounds(t *testing.T) {
	k := build(t, `kernel void f(device float * y, threadgroup float * sh [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) { sh[i] = i; y[i] = sh[i]; }`, "f", nil)
	d := dispatchOf(k, 1, 64, make([]byte, 256))
	d.ThreadgroupMemory[0] = 128
	f := faultOf(t, d, Options{}, kernel.RuleThreadgroupRange)
	if f.Arg != "sh" {
		t.Errorf("fault %+v", f)
	}
	d.ThreadgroupMemory[0] = 256
	run(t, d)
}

func TestMisaligned(t *testing.T) {
	k := build(t, `kernel void f(device const char * a, device uint * b) { b[0] = *(device const uint *)(a + 2); }`, "f", nil)
	faultOf(t, dispatchOf(k, 1, 1, make([]byte, 32), make([]byte, 32)), Options{}, kernel.RuleAlignment)
}

func TestDivergentBarrier(t *testing.T) {
	k := build(t, "kernel void f(device float * y, uint i [[thread_index_in_threadgroup]]) {\n  if (i < 40) threadgroup_barrier(mem_flags::mem_device);\n  y[i] = 1;\n}", "f", nil)
	f := faultOf(t, dispatchOf(k, 1, 64, make([]byte, 256)), Options{}, kernel.RuleBarrier)
	if f.Thread[0] < 40 || !strings.Contains(f.Detail, "line 4") {
		t.Errorf("fault %+v", f)
	}
	k = build(t, "kernel void g(device float * y, uint i [[thread_index_in_threadgroup]]) {\n  if (i < 32) { y[i] = 1; threadgroup_barrier(mem_flags::mem_device); }\n  else { y[i] = 2;\n    threadgroup_barrier(mem_flags::mem_device); }\n}", "g", nil)
	faultOf(t, dispatchOf(k, 1, 64, make([]byte, 256)), Options{}, kernel.RuleBarrier)
}

// TestActiveLanes: in a branch, the lanes that took it do a simd operation among themselves and
// meet the others after it.
func TestActiveLanes(t *testing.T) {
	k := build(t, `
kernel void f(device uint * y, uint i [[thread_index_in_simdgroup]]) {
  uint s = 0;
  if (i < 10) s = simd_sum(1u);
  y[i] = s * 100 + simd_sum(1u);
}`, "f", nil)
	y := poisoned(128)
	d := dispatchOf(k, 1, 32, y)
	run(t, d)
	for i, v := range valuesOf[uint32](y) {
		want := uint32(32)
		if i < 10 {
			want = 1032
		}
		if v != want {
			t.Fatalf("y[%d] = %d, want %d", i, v, want)
		}
	}
	faultOf(t, d, Options{DivergentSIMD: true}, kernel.RuleSimd)
}

func TestRace(t *testing.T) {
	src := `
kernel void f(device float * y, uint i [[thread_index_in_threadgroup]]) {
  threadgroup float sh[64];
  sh[i] = 0;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  sh[i] = i;
  BARRIER
  y[i] = sh[i ^ 33];
}
kernel void g(device float * y, uint i [[thread_index_in_threadgroup]]) {
  threadgroup half sh[64];
  sh[i] = i;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = sh[i ^ 1];
}
kernel void h(device float * y, uint i [[thread_index_in_threadgroup]]) {
  y[i ^ 1] = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] += 1;
}
kernel void u(device float * y, uint i [[thread_index_in_threadgroup]]) {
  threadgroup float sh[64];
  if (i > 3) sh[i] = 1;
  y[i] = sh[i];
}`
	race := Options{Race: true}
	with := strings.ReplaceAll(src, "BARRIER", "threadgroup_barrier(mem_flags::mem_threadgroup);")
	without := strings.ReplaceAll(src, "BARRIER", "")
	dispatch := func(s, name string) *kernel.Dispatch {
		return dispatchOf(build(t, s, name, nil), 3, 64, make([]byte, 256))
	}
	if err := executor(t, race).Run(context.Background(), dispatch(with, "f")); err != nil {
		t.Errorf("with a barrier: %v", err)
	}
	if err := executor(t, race).Run(context.Background(), dispatch(with, "g")); err != nil {
		t.Errorf("with a simdgroup barrier: %v", err)
	}
	faultOf(t, dispatch(without, "f"), race, kernel.RuleRace)
	f := faultOf(t, dispatch(with, "h"), race, kernel.RuleRace) // the barrier does not order device memory
	if f.Arg != "y" {
		t.Errorf("fault %+v", f)
	}
	faultOf(t, dispatch(with, "u"), race, kernel.RuleUninitialized)
}

// TestMissingBarrierShows: without the slower mode, the random order gives a missing barrier away
// by its result.
func TestMissingBarrierShows(t *testing.T) {
	k := build(t, `
kernel void f(device float * y, uint i [[thread_index_in_threadgroup]], uint n [[threads_per_threadgroup]], uint tg [[threadgroup_position_in_grid]]) {
  threadgroup float sh[256];
  sh[i] = i;
  y[tg * n + i] = sh[(i + 32) % n];
}`, "f", nil)
	y := poisoned(4 * 256 * 8)
	run(t, dispatchOf(k, 8, 256, y))
	for i, v := range valuesOf[float32](y) {
		if v != float32((i+32)%256) {
			return
		}
	}
	t.Fatal("a missing barrier went unseen")
}

func TestDivisionByZero(t *testing.T) {
	k := build(t, "kernel void f(device int * y, device const int * x) {\n  y[0] = 7 / x[0];\n}", "f", nil)
	f := faultOf(t, dispatchOf(k, 1, 1, make([]byte, 4), make([]byte, 4)), Options{}, kernel.RuleTrap)
	if !strings.Contains(f.Detail, "program_source:4") {
		t.Errorf("fault %v does not name the line", f)
	}
}

// TestStackOverflow: functions that the compiler does not join have frames that are too much together.
func TestStackOverflow(t *testing.T) {
	src := ""
	for i := range 5 {
		call := "return a[n];"
		if i > 0 {
			call = fmt.Sprintf("return a[n] + g%d(y, n);", i-1)
		}
		src += fmt.Sprintf("__attribute__((noinline)) float g%d(device float * y, int n) { float a[10000]; for (int i = 0; i < 10000; i++) a[i] = y[i %% 4 + n]; %s }\n", i, call)
	}
	src += "kernel void f(device float * y, device const int * n) { y[0] = g4(y, n[0]); }"
	f := faultOf(t, dispatchOf(build(t, src, "f", nil), 1, 1, make([]byte, 16), make([]byte, 4)), Options{}, kernel.RuleTrap)
	if !strings.Contains(f.Detail, "stack overflow") {
		t.Errorf("fault %v", f)
	}
}

// TestCancel: a kernel that runs for ever is stopped, and not abandoned with what it runs on.
func TestCancel(t *testing.T) {
	k := build(t, `kernel void f(device volatile int * y) { while (y[0] == 0) {} }`, "f", nil)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	y := make([]byte, 4)
	e := executor(t, Options{Workers: 3})
	err := e.Run(ctx, dispatchOf(k, 4, 64, y))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want the deadline's", err)
	}
	if len(e.idle) != 3 {
		t.Errorf("%d of 3 workers are there for the next dispatch", len(e.idle))
	}
}

func halfBits(f float32) uint16 {
	b := math.Float32bits(f)
	e := int(b>>23&255) - 112
	if e <= 0 {
		return uint16(b >> 31 << 15)
	}
	return uint16(b>>31<<15) | uint16(e<<10) | uint16(b>>13&1023)
}
