// Package shaders holds gollm's Metal kernels, one .metal file an op, and the catalogue that says how
// to launch them. It knows neither models nor Metal's objects: an executor compiles [Source], makes a
// pipeline of a [Kernel] and encodes a [Launch].
//
// # What every kernel keeps to
//
// buffer(0) is "constant Params &p": a struct of 4-byte scalars, bound with SetBytes. Its Go mirror
// (MatVecParams, …) has the same fields in the same order; a test holds the two together. The other
// buffers are numbered by constants beside the mirror.
//
// Activations are float32, row-major [rows][width], bound from an offset that is a multiple of 16.
// Token ids and expert numbers are int32. Outputs never overlap inputs, but a residual may be the
// output itself.
//
// A weight is the file's own bytes: GGUF blocks, row after row, bound from an offset that is a multiple
// of 32 (GGUF's alignment). A row's bytes may be odd (MXFP4) or a multiple of 2 alone (Q8_0, Q6_K);
// kernels load no wider than the layout's alignment allows. A kernel may read up to the next multiple of 4
// bytes beyond a tensor's end, which the file's padding has.
//
// Optional parts (a bias, a residual) are function constants, so that a pipeline without them has no
// code for them, and no binding.
//
// Simdgroups are 32 wide. The language is MSL 3.0: bfloat, which came with 3.1, is read as bits. Compile with
// MathRelaxed: infinities and NaNs mean something here.
//
// # Source
//
// A file includes headers of this package by name in quotes; [Source] puts their text in place, each once,
// since newLibraryWithSource knows no folders. Kernels are templates over the tensor type, instantiated
// under names like matvec_q4_K. With the macro ONLY_TYPES defined to 1, only the types are
// instantiated whose macro is defined too ([Macros]): what a program does not use is not compiled.
package shaders

import (
	"embed"
	"fmt"
	"strings"
	"unsafe"
)

//go:embed *.metal *.h
var files embed.FS

// Size is a number of threadgroups, or of threads in one: width, height, depth.
type Size [3]int

// Kernel names a pipeline: a kernel function of a source with the values of its function constants. It
// can be a map's key.
type Kernel struct {
	Source string // the file, without .metal
	Name   string // the kernel's host_name
	// Constants are the values by [[function_constant(index)]]: bool, uint32, int32 or float32, and nil
	// for an index the source does not have.
	Constants [8]any
}

// ConstantValues gives the function constants as package metal takes them.
func (k Kernel) ConstantValues() map[int]any {
	m := map[int]any{}
	for i, v := range k.Constants {
		if v != nil {
			m[i] = v
		}
	}
	return m
}

// Launch is one dispatch but for its buffers.
type Launch struct {
	Kernel  Kernel
	Params  []byte // of buffer(0)
	Groups  Size   // threadgroups in the grid
	Threads Size   // threads in a threadgroup
	Shared  int    // bytes of [[threadgroup(0)]], a multiple of 16; 0 if the kernel has none

	// Read and Written are the bytes of device memory the launch must move: each input and output once.
	Read, Written int64
}

// Source is the complete text of NAME.metal, for newLibraryWithSource.
func Source(name string) (string, error) {
	var b strings.Builder
	if err := inline(&b, name+".metal", map[string]bool{}); err != nil {
		return "", fmt.Errorf("shaders: %w", err)
	}
	return b.String(), nil
}

// inline writes a file with the headers it includes in their place; one that was written is left out.
func inline(b *strings.Builder, file string, written map[string]bool) error {
	if written[file] {
		return nil
	}
	written[file] = true
	text, err := files.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if line == "#pragma once\n" { // a warning in what is now the main file
			continue
		}
		if rest, ok := strings.CutPrefix(line, `#include "`); ok {
			header, _, ok := strings.Cut(rest, `"`)
			if !ok {
				return fmt.Errorf("%s: %q", file, line)
			}
			if err := inline(b, header, written); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			continue
		}
		b.WriteString(line)
	}
	return nil
}

// Names lists the sources.
func Names() []string {
	entries, _ := files.ReadDir(".")
	var list []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".metal"); ok {
			list = append(list, name)
		}
	}
	return list
}

// Bytes are a params struct's bytes, as SetBytes takes them. They are p's own memory.
func Bytes[T any](p *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p))
}

// paramBytes is a copy of a params struct's bytes.
func paramBytes[T any](p T) []byte { return append([]byte(nil), Bytes(&p)...) }

// ceil is a/b rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }
