// Package lib holds the Metal standard library for clang: the headers a kernel's text is compiled
// with. What a kernel includes by Metal's names are marker files that only define Metal's macros
// for the preprocessor; the library itself is a precompiled header of its own.
package lib

import (
	"embed"
	"io/fs"
)

//go:generate go run ./gen -o msl_math.h

//go:embed msl_*.h std/msl_macros
var files embed.FS

// Standard lists the headers of Metal that a compute kernel may include.
var Standard = []string{
	"metal_stdlib", "metal_types", "metal_array", "metal_atomic", "metal_common", "metal_compute", "metal_config", "metal_extended_vector",
	"metal_geometric", "metal_integer", "metal_limits", "metal_math", "metal_matrix", "metal_numeric", "metal_pack", "metal_packed_vector",
	"metal_quadgroup", "metal_relational", "metal_simdgroup", "metal_simdgroup_matrix", "metal_type_traits", "metal_uniform",
	"metal_assert", "metal_initializer_list", "metal_utility",
}

// Macros is the text of every header in Standard.
func Macros() string { return text("std/msl_macros") }

// CPU is the library for the CPU executor, one text.
func CPU() string {
	return text("msl_base.h") + text("msl_machine.h") + text("msl_cpu.h") + text("msl_math.h") + text("msl_simd.h")
}

// CUDA is the library for an NVIDIA GPU.
func CUDA() string { return CUDAOn(text("msl_ptx.h")) }

// CUDAOn is CUDA with other operations in the place of the GPU's own.
func CUDAOn(operations string) string {
	return text("msl_base.h") + text("msl_machine.h") + operations + text("msl_cuda.h") + text("msl_math.h") + text("msl_simd.h")
}

func text(name string) string {
	b, err := fs.ReadFile(files, name)
	if err != nil {
		panic(err) // embedded above
	}
	return string(b)
}
