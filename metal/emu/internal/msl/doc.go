// Package msl compiles Metal Shading Language on a machine without Metal.
//
// MSL is C++14 on clang with OpenCL's address spaces, so upstream clang's C++ for OpenCL mode is
// its closest relative. The front end here works on tokens, not on a grammar: it runs clang's
// preprocessor, reads the kernels and their argument tables, refuses what Apple's compiler refuses
// (strict mode), rewrites the few constructs clang does not share with Metal (vector constructors
// and casts, threadgroup variables, function constants, host_name instantiations), and hands the
// result to clang for the machine at hand ([Target]). What clang then says comes back at the line
// and column of the text as the caller gave it.
package msl
