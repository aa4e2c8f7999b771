// Package simt runs compiled Metal kernels on a CPU, the way a GPU would: every GPU thread is a
// fiber, the 32 fibers of a simdgroup wait for each other at simd operations, the simdgroups of a
// threadgroup at barriers. Order is random from a seed wherever Metal promises none, threadgroup
// memory starts as garbage, and every access to memory is checked against what is bound. The cores
// of the machine share the threadgroups of a dispatch.
package simt

import (
	"embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
	"github.com/gollm/gollm/metal/emu/internal/msl/lib"
)

//go:embed rt/*.c
var runtimeFiles embed.FS

// runtimeSource is the runtime's C, one text.
func runtimeSource() string {
	var b strings.Builder
	for _, name := range []string{"machine", "access", "operation", "run"} {
		text, err := runtimeFiles.ReadFile("rt/" + name + ".c")
		if err != nil {
			panic(err) // embedded above
		}
		b.Write(text)
	}
	return b.String()
}

// Target says how kernels are compiled for this executor: with a call before every access to
// memory (clang's kernel address sanitizer in its outlined form, with our functions behind it, see
// provenance.go), a check of every integer division, and line tables for the reports.
func Target() msl.Target {
	machine := []string{"-target", "x86_64-linux-gnu", "-march=x86-64-v3", "-O2", "-fPIC",
		// A thread's stack is 128 KiB (BLOCK in rt/machine.c), of which a function may take 48 (FRAME).
		"-Wframe-larger-than=49152", "-Werror=frame-larger-than"}
	return msl.Target{
		Name:    "x86_64",
		Library: lib.CPU(),
		Flags: append([]string{"-gline-tables-only", "-fvisibility=hidden",
			"-fmax-type-align=8", "-fno-stack-protector", "-fno-math-errno", "-ffp-contract=on",
			"-fsanitize=kernel-address", "-mllvm", "-asan-instrumentation-with-call-threshold=0", "-mllvm", "-asan-kernel-mem-intrinsic-prefix", "-mllvm", "-asan-globals=0", "-mllvm", "-asan-stack=0",
			"-fsanitize=integer-divide-by-zero", "-fno-sanitize-recover=integer-divide-by-zero"}, machine...),
		Runtime: runtimeSource(),
		Link:    true,
		Entry:   entry,
		Rewrite: provenance,
		Codegen: append([]string{"-Wno-override-module", "-Xclang", "-disable-llvm-passes"}, machine...),
	}
}

// Sanitize makes a target check also for what C++ leaves undefined (clang's
// UndefinedBehaviorSanitizer).
func Sanitize(t msl.Target) msl.Target {
	const checks = "signed-integer-overflow,array-bounds,pointer-overflow,bool,enum,return,unreachable"
	t.Name += "-sanitize"
	t.Flags = append(t.Flags, "-fsanitize="+checks, "-fno-sanitize-recover="+checks)
	t.Prepare = shifts
	return t
}

// shiftMask is what clang makes of a shift: OpenCL's shifts take the amount modulo the width, and so
// the sanitizer, which comes after, finds nothing wrong with any.
var shiftMask = regexp.MustCompile(`(?m)^(  %sh[lr]\.mask\d* = )and i(32|64) (%[-\w.$]+|\d+), (31|63)`)

// shifts puts a call that checks the amount in the place of each mask.
func shifts(ir string) string {
	ir = shiftMask.ReplaceAllString(ir, "${1}call i$2 @msl_rt_shift$2(i$2 $3, i$2 $4)")
	return ir + "declare i32 @msl_rt_shift32(i32, i32)\ndeclare i64 @msl_rt_shift64(i64, i64)\n"
}

// entry writes the function that the runtime calls for one thread.
func entry(symbol string, e msl.Entry) string {
	var args []string
	for i, p := range e.Parameters {
		a := fmt.Sprintf("msl_F::arg<%d>", i)
		switch {
		case p.Kind == kernel.ArgThreadgroup:
			args = append(args, fmt.Sprintf("%s::memory(msl_rt_threadgroup_argument(msl_g, %d))", a, p.Index))
		case p.Kind != 0:
			args = append(args, fmt.Sprintf("%s::memory(msl_rt_buffer(msl_g, %d))", a, p.Index))
		default:
			args = append(args, place(a, p))
		}
	}
	return fmt.Sprintf(`extern "C" __attribute__((visibility("default"), no_sanitize("kernel-address"))) void %s(const __global msl_group * msl_g, const __global msl_thread * msl_t) {
  typedef msl_::function<decltype(%s)> msl_F;
  %s(%s);
}`, symbol, e.Callee, e.Callee, strings.Join(args, ", "))
}

// places maps Metal's builtins to fields of what the runtime passes.
var places = map[string]string{
	"thread_position_in_grid": "msl_t->grid", "thread_position_in_threadgroup": "msl_t->inside",
	"threadgroup_position_in_grid": "msl_g->position", "threads_per_threadgroup": "msl_g->size",
	"dispatch_threads_per_threadgroup": "msl_g->full", "threads_per_grid": "msl_g->grid", "threadgroups_per_grid": "msl_g->groups",
	"grid_size": "msl_g->grid", "thread_index_in_threadgroup": "msl_t->index", "thread_index_in_simdgroup": "msl_t->lane",
	"simdgroup_index_in_threadgroup": "msl_t->simdgroup", "simdgroups_per_threadgroup": "msl_g->simdgroups", "dispatch_simdgroups_per_threadgroup": "((msl_g->full[0] * msl_g->full[1] * msl_g->full[2] + 31) / 32)",
	"threads_per_simdgroup": "32u", "thread_execution_width": "32u", "thread_index_in_quadgroup": "(msl_t->lane % 4)",
	"quadgroup_index_in_threadgroup": "(msl_t->index / 4)", "quadgroups_per_threadgroup": "((msl_g->size[0] * msl_g->size[1] * msl_g->size[2] + 3) / 4)",
	"dispatch_quadgroups_per_threadgroup": "((msl_g->full[0] * msl_g->full[1] * msl_g->full[2] + 3) / 4)",
}

func place(arg string, p msl.Parameter) string {
	switch {
	case p.Builtin == "grid_origin":
		return arg + "::one(0)"
	case p.Components() == 3:
		v := places[p.Builtin]
		return fmt.Sprintf("%s::triple(%s[0], %s[1], %s[2])", arg, v, v, v)
	}
	return fmt.Sprintf("%s::one(%s)", arg, places[p.Builtin])
}
