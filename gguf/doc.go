// Package gguf reads and writes GGUF model files.
//
// Open maps a file (or all parts of a split model) into memory and reads its
// metadata and tensor directory; tensor data stays where it is in the mapping
// and is read in place. Create writes a new file, atomically.
//
// The format is llama.cpp's, as described in docs/gguf.md of the ggml project.
// A file is, in order and little-endian: the header (magic "GGUF", version,
// number of tensors, number of metadata pairs), the pairs, the tensor
// directory (name, dimensions, type and offset of each), and, from the next
// multiple of the alignment, the tensors' bytes.
//
// A model file is a stranger's input. The reader checks every count, length,
// offset and size in it against the bytes that are there before it takes
// memory for them, and refuses what is inconsistent with an error that names
// the file, the key or tensor, and the byte offset.
package gguf

// Sizes and offsets of model files are held in int, which has to have 64 bits.
const _ uint = 1 << 63
