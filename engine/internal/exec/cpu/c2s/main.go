// Command c2s turns C kernels into Go assembly, so that plain go build needs no
// C compiler and the binary no cgo:
//
//	c2s -o DIR csrc/avx2_amd64.c …
//
// writes DIR/avx2_amd64.s and DIR/avx2_amd64.go. Every
//
//	KERNEL(name)(float *y, const uint8_t *w, int64_t n) { … }
//
// of the C file becomes one TEXT symbol: the arguments are moved from Go's stack to
// the registers of clang's preserve_none convention, and the machine code follows
// verbatim, one instruction a line with clang's own text as comment. Constants are
// appended to the code and reached relative to the program counter.
//
// The Go runtime must be able to unwind, preempt and profile what it did not
// compile. So a kernel is a leaf that keeps off the stack: one that touches the
// stack pointer, calls, or on arm64 uses R18 (the platform's), R27 (the
// assembler's), R28 (g), R29 or R30, is refused. preserve_none makes that possible: no register
// need be saved. Its argument registers are not a stable interface, so the
// version of clang is pinned; the same version gives the same bytes everywhere.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("o", ".", "write the .s and .go files to this `folder`")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "c2s: no C files")
		os.Exit(2)
	}
	for _, file := range flag.Args() {
		if err := convertFile(file, *out); err != nil {
			fmt.Fprintln(os.Stderr, "c2s:", err)
			os.Exit(1)
		}
	}
}

// convertFile writes the assembly and the declarations of one C file.
func convertFile(file, dir string) error {
	abs, err := filepath.Abs(dir) // the folder's name is the package's
	if err != nil {
		return err
	}
	asm, decls, err := convert(file, filepath.Base(abs))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	base := filepath.Join(dir, trimExt(filepath.Base(file)))
	if err := os.WriteFile(base+".s", asm, 0o644); err != nil {
		return err
	}
	return os.WriteFile(base+".go", decls, 0o644)
}

func trimExt(name string) string { return name[:len(name)-len(filepath.Ext(name))] }
