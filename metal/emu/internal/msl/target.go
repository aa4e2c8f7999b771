package msl

import (
	"fmt"
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// Target is a machine kernels are compiled for. An executor provides it.
type Target struct {
	Name    string   // in the cache's file names
	Library string   // the Metal standard library for it, one text
	Flags   []string // for clang, besides those every target shares
	Runtime string   // C that is linked to every kernel object, or ""
	// Link says that objects are linked into shared libraries; otherwise clang's output (assembler
	// text for a GPU driver) is the result.
	Link bool
	// Prepare, if set, rewrites the LLVM assembler text of a kernel before it is optimised, Rewrite
	// after. Codegen is clang's flags to make an object of the result.
	Prepare, Rewrite func(ir string) string
	Codegen          []string
	// Entry writes the function the executor calls for e, named symbol.
	Entry func(symbol string, e Entry) string
	// ConstantsByValue says that function constants are compiled in, once for each set of values,
	// and not set before a dispatch.
	ConstantsByValue bool
}

// Entry is what a Target needs to know to write an entry point.
type Entry struct {
	Callee     string // the function to call, with template arguments
	Parameters []Parameter
}

// Parameter is one parameter of a kernel function.
type Parameter struct {
	Kind    kernel.ArgKind // 0 for a builtin
	Index   int
	Builtin string // "thread_position_in_grid"
}

// Components says how many components a builtin has at most.
func (p Parameter) Components() int { return builtins[p.Builtin] }

// sharedFlags are clang's flags for Metal's dialect on any target.
var sharedFlags = []string{
	"-x", "cl", "-cl-std=clc++2021", "-cl-no-stdinc", "-cl-single-precision-constant",
	"-Xclang", "-cl-ext=+cl_khr_fp16,+__opencl_c_program_scope_global_variables,+__opencl_c_generic_address_space,+__cl_clang_function_pointers",
	"-Wno-everything", "-Wc++11-narrowing", "-Werror=c++11-narrowing", "-fno-color-diagnostics", "-fno-caret-diagnostics", "-ferror-limit=64",
}

func (e *entry) describe() Entry {
	d := Entry{Callee: e.Expr}
	for _, p := range e.Params {
		d.Parameters = append(d.Parameters, Parameter{p.Kind, p.Index, p.Builtin})
	}
	return d
}

func symbolOf(i int) string { return fmt.Sprintf("msl_entry_%d", i) }

// footer writes what stands after the rewritten source: the entry points chosen, the addresses of
// the function constants, and the table of sizes.
func (l *library) footer(chosen []int, table, check bool) string {
	var b strings.Builder
	t := l.c.cfg.Target
	fmt.Fprintln(&b, "\n# 1 \"msl_footer\"")
	for _, i := range chosen {
		fmt.Fprintln(&b, t.Entry(symbolOf(i), l.Entries[i].describe()))
	}
	if check {
		// Never emitted, and so only instantiated: semantic errors of every kernel appear.
		fmt.Fprintln(&b, "static __attribute__((unused)) void msl_check() {")
		for _, e := range l.Entries {
			fmt.Fprintf(&b, "  (void)(%s);\n", e.Expr)
		}
		fmt.Fprintln(&b, "}")
	}
	if !t.ConstantsByValue {
		fmt.Fprintln(&b, `extern "C" __attribute__((visibility("default"))) ulong msl_constant(int i, bool defined) { switch (i) {`)
		for _, c := range l.Constants {
			if c.Type == 0 {
				continue
			}
			fmt.Fprintf(&b, "case %d: return defined ? (ulong)&%s%s : (ulong)&%s%s;\n", c.Index, c.Scope, "msl_defined_"+c.Name, c.Scope, c.Name)
		}
		fmt.Fprintln(&b, "} return 0; }")
	}
	if table {
		fmt.Fprintln(&b, `extern "C" { extern __attribute__((used, visibility("default"))) const __global uint msl_table[]; const __global uint msl_table[] = {`)
		for _, e := range l.Entries {
			if e.Layout != "" {
				fmt.Fprintf(&b, "%s(-1),", e.Layout)
			} else {
				fmt.Fprint(&b, "0,")
			}
			for i := range e.Params {
				a := fmt.Sprintf("msl_::function<decltype(%s)>::arg<%d>", e.Expr, i)
				fmt.Fprintf(&b, "%s::size,%s::align,", a, a)
			}
			fmt.Fprintln(&b)
		}
		fmt.Fprintln(&b, "0}; }")
	}
	return b.String()
}
