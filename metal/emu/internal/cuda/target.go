// Package cuda runs Metal kernels on an NVIDIA GPU: the same source, compiled to PTX by clang and
// loaded through the driver's library with purego. No CUDA toolkit is needed. A simdgroup is a
// warp, a threadgroup a block, threadgroup memory the block's shared memory.
//
// It finds no faults in kernels, which is what the CPU executor is for; it is for kernels whose
// results are to be seen at sizes the CPU is too slow for.
package cuda

import (
	"fmt"
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
	"github.com/gollm/gollm/metal/emu/internal/msl/lib"
)

// Target says how kernels are compiled: PTX for Ampere, which the driver compiles further for the
// GPU at hand; function constants are compiled in, as Metal does.
func Target() msl.Target {
	return msl.Target{
		Name:             "sm_80",
		Library:          lib.CUDA(),
		Flags:            []string{"-target", "nvptx64-nvidia-cuda", "-march=sm_80", "-Xclang", "-target-feature", "-Xclang", "+ptx71", "-O3", "-ffp-contract=on", "-fno-math-errno"},
		Entry:            entry,
		ConstantsByValue: true,
	}
}

// places maps Metal's builtins to what the entry point knows, # for the dimension.
var places = map[string]string{
	"thread_position_in_threadgroup": "msl_t.inside[#]", "threadgroup_position_in_grid": "msl_::ctaid(#)",
	"thread_position_in_grid":          "msl_::ctaid(#) * msl_::ntid(#) + msl_t.inside[#]",
	"dispatch_threads_per_threadgroup": "msl_::ntid(#)", "threads_per_threadgroup": "msl_t.size[#]",
	"threads_per_grid": "msl_p.grid[#]", "grid_size": "msl_p.grid[#]", "threadgroups_per_grid": "msl_::nctaid(#)", "grid_origin": "0u",
	"thread_index_in_threadgroup": "msl_t.index", "thread_index_in_simdgroup": "msl_::lane()",
	"simdgroup_index_in_threadgroup":      "msl_t.index / 32",
	"simdgroups_per_threadgroup":          "(msl_t.threads + 31) / 32",
	"dispatch_simdgroups_per_threadgroup": "(msl_::ntid(0) * msl_::ntid(1) * msl_::ntid(2) + 31) / 32",
	"threads_per_simdgroup":               "32u", "thread_execution_width": "32u", "thread_index_in_quadgroup": "msl_::lane() % 4",
	"quadgroup_index_in_threadgroup":      "msl_t.index / 4",
	"quadgroups_per_threadgroup":          "(msl_t.threads + 3) / 4",
	"dispatch_quadgroups_per_threadgroup": "(msl_::ntid(0) * msl_::ntid(1) * msl_::ntid(2) + 3) / 4",
}

// entry writes the kernel the driver launches. A block is always whole, a threadgroup of
// dispatchThreads need not be: threads there are too many of end at once.
func entry(symbol string, e msl.Entry) string {
	var args []string
	for i, p := range e.Parameters {
		a := fmt.Sprintf("msl_F::arg<%d>", i)
		at := places[p.Builtin]
		switch {
		case p.Kind == kernel.ArgThreadgroup:
			args = append(args, fmt.Sprintf("%s::memory(msl_shared_base() + msl_p.threadgroup[%d])", a, p.Index))
		case p.Kind != 0:
			args = append(args, fmt.Sprintf("%s::memory(msl_p.buffer[%d])", a, p.Index))
		case p.Components() == 3:
			r := func(i string) string { return strings.ReplaceAll(at, "#", i) }
			args = append(args, fmt.Sprintf("%s::triple(%s, %s, %s)", a, r("0"), r("1"), r("2")))
		default:
			args = append(args, fmt.Sprintf("%s::one(%s)", a, at))
		}
	}
	return fmt.Sprintf(`extern "C" __kernel void %s(const msl_params msl_p) {
  typedef msl_::function<decltype(%s)> msl_F;
  const msl_::place msl_t(msl_p);
  if (msl_t.index >= msl_t.threads) return;
  %s(%s);
}`, symbol, e.Callee, e.Callee, strings.Join(args, ", "))
}
