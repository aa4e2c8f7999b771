package simt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gollm/gollm/metal/emu/internal/cuda"
	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
	"github.com/gollm/gollm/metal/emu/internal/msl/lib"
)

// operations stand for an NVIDIA GPU's own, of msl_ptx.h: a warp's are a simdgroup's of the CPU
// executor, the special function unit is the C library.
const operations = `
extern "C" {
struct msl_group {
  ulong buffer[31], threadgroup[31];
  uint position[3], size[3], full[3], grid[3], groups[3], simdgroups;
};
struct msl_thread {
  uint grid[3], inside[3], index, lane, simdgroup;
};
ulong msl_rt_base(void);
uint msl_rt_where(uint what, uint i);
uint msl_rt_lane(void);
__attribute__((convergent)) ulong msl_rt_ballot(int width, uint predicate, int line);
__attribute__((convergent)) void msl_rt_shuffle(int mode, int bytes, int width, __private void * v, uint arg, int line);
__attribute__((convergent)) void msl_rt_barrier(uint flags, int line);
__attribute__((convergent)) void msl_rt_simd_barrier(uint flags, int line);
bool msl_rt_compare_exchange(int bytes, __generic volatile void * p, __private void * expected, ulong v);
float exp2f(float); float log2f(float); float sinf(float); float cosf(float);
}
MSL_FUNC ulong msl_shared_base() { return msl_rt_base(); }
namespace msl_ {
MSL_FUNC uint tid(int i) { return msl_rt_where(0, i); }
MSL_FUNC uint ntid(int i) { return msl_rt_where(1, i); }
MSL_FUNC uint ctaid(int i) { return msl_rt_where(2, i); }
MSL_FUNC uint nctaid(int i) { return msl_rt_where(3, i); }
MSL_FUNC uint lane() { return msl_rt_lane(); }
MSL_FUNC uint active() { return (uint)msl_rt_ballot(32, 1, 0); }
namespace ptx {
MSL_FUNC int shuffle(uint mask, int v, uint src) { msl_rt_shuffle(0, 4, 32, &v, src & 31, 0); return v; }
MSL_FUNC uint ballot(uint mask, bool p) { return (uint)msl_rt_ballot(32, p, 0); }
MSL_FUNC void barrier(bool device_memory) { msl_rt_barrier(3, 0); }
MSL_FUNC void warp_barrier(uint mask) { msl_rt_simd_barrier(3, 0); }
MSL_FUNC uint cas32(__generic volatile void * p, uint e, uint v) { msl_rt_compare_exchange(4, p, &e, v); return e; }
MSL_FUNC ulong cas64(__generic volatile void * p, ulong e, ulong v) { msl_rt_compare_exchange(8, p, &e, v); return e; }
MSL_FUNC float sqrt(float x) { return __builtin_sqrtf(x); }
MSL_FUNC float rsqrt(float x) { return 1 / __builtin_sqrtf(x); }
MSL_FUNC float ex2(float x) { return exp2f(x); }
MSL_FUNC float lg2(float x) { return log2f(x); }
MSL_FUNC float sin(float x) { return sinf(x); }
MSL_FUNC float cos(float x) { return cosf(x); }
} }
`

// where tells a thread where it is, as the GPU's special registers do, and where shared memory is.
const where = `
uint64_t msl_rt_base(void) { return (uint64_t)self()->w->tg; }
uint32_t msl_rt_where(uint32_t what, uint32_t i) {
  const fiber_t *f = self();
  const group_t *g = &f->w->g;
  return what == 0 ? f->t.inside[i] : what == 1 ? g->full[i] : what == 2 ? g->position[i] : g->groups[i];
}
`

// TestCUDALibrary runs the tests of the Metal library on what the CUDA executor's kernels are made
// of: its entry points, and its simd functions, matrices, atomics and mathematics in msl_cuda.h. All
// but the GPU's own operations is as it is there.
func TestCUDALibrary(t *testing.T) {
	defer func() { target, slack = Target, 0 }()
	slack = 4e-6 // for the special function unit's 2^-21 or so, of which the formulas make a little more
	target = onCPU(t, "cuda-on-cpu", "g->grid[i]")
	for name, test := range map[string]func(*testing.T){
		"VectorAdd": TestVectorAdd, "Reduction": TestReduction, "SimdgroupMatrixMultiply": TestSimdgroupMatrixMultiply, "AtomicHistogram": TestAtomicHistogram,
		"FunctionConstants": TestFunctionConstants, "FloatFunctions": TestFloatFunctions, "IntegerFunctions": TestIntegerFunctions, "SimdFunctions": TestSimdFunctions,
		"Types": TestTypes, "Atomics": TestAtomics, "SimdgroupMatrix": TestSimdgroupMatrix, "ActiveLanes": TestActiveLanes, "NaiveMatVec": TestNaiveMatVec,
	} {
		t.Run(name, test)
	}
}

// TestCUDAThreadPlace is TestThreadPlace on blocks, which are all of one size: the entry point alone
// knows that the grid is smaller.
func TestCUDAThreadPlace(t *testing.T) {
	defer func() { target = Target }()
	for _, c := range partial {
		g := c.grid
		target = onCPU(t, fmt.Sprintf("cuda-on-cpu-%d-%d-%d", g[0], g[1], g[2]), fmt.Sprintf("i == 0 ? %d : i == 1 ? %d : %d", g[0], g[1], g[2]))
		threadPlace(t, c.grid, c.threadgroup, func(*kernel.Dispatch) {})
	}
}

// onCPU is the target of kernels for the CUDA executor that the CPU executor can run. grid is the
// number of threads in dimension i.
func onCPU(t *testing.T, name, grid string) func() msl.Target {
	return func() msl.Target {
		x := Target()
		x.Name = name
		x.Library = lib.CUDAOn(operations)
		x.Runtime += where
		x.Entry = func(symbol string, e msl.Entry) string {
			head := fmt.Sprintf("extern \"C\" __kernel void %s(const msl_params msl_p) {", symbol)
			text := cuda.Target().Entry(symbol, e)
			if !strings.HasPrefix(text, head) {
				t.Fatalf("an entry point begins otherwise than %q:\n%s", head, text)
			}
			return fmt.Sprintf("static void %s_body(const __private msl_params & msl_p) {%s", symbol, strings.TrimPrefix(text, head)) + fmt.Sprintf(`
extern "C" __attribute__((visibility("default"))) void %s(const __global msl_group * g, const __global msl_thread * t) {
  msl_params p;
  for (int i = 0; i < 31; i++) p.buffer[i] = g->buffer[i], p.threadgroup[i] = (uint)(g->threadgroup[i] - msl_shared_base());
  for (int i = 0; i < 3; i++) p.grid[i] = %s;
  %s_body(p);
}`, symbol, grid, symbol)
		}
		return x
	}
}
