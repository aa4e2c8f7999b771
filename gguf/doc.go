// Package gguf reads and writes GGUF model files.
//
// Open maps a file (or all parts of a split model) into memory and reads its
// metadata and tensor directory; tensor data stays where it is in the mapping
// and is read in place. The format is llama.cpp's, as described in
// ggml/docs/gguf.md of that project.
package gguf
