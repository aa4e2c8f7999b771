// Package quant converts between float32 and every tensor type of GGUF, one
// plain function a type.
//
// It is the reference that fast kernels are held against: Decode gives the
// very bits of ggml's to_float, and Encode an error no worse than ggml's own
// quantisation without an importance matrix. Layouts and formulas are those of
// llama.cpp v0.5.0 (ggml/src/ggml-common.h and ggml-quants.c); testdata/ holds
// vectors recorded from it.
//
// A quantised row is a sequence of blocks. A block holds BlockSize values as
// small integers and one or more scales, and a value is read back as
//
//	value = scale·q          (Q4_0, Q5_0, Q8_0, Q3_K, Q6_K, IQ…, MXFP4 …)
//	value = scale·q + min    (Q4_1, Q5_1)
//	value = scale·q − min    (Q2_K, Q4_K, Q5_K: blocks in a block, whose scales and mins are themselves quantised)
//
// where q is an integer, or an index into a codebook that is part of the
// format (IQ types, MXFP4, NVFP4). All multi-byte fields are little endian.
//
// Products and sums are written float32(a*b) + c: the conversion forbids the
// compiler to fuse them (it does on arm64), which would change the last bit.
package quant
