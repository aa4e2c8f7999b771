package gguf

import (
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkOpen opens a file with a vocabulary of the size of gemma's: 262,144
// tokens, their scores and types, and 300 tensors.
func BenchmarkOpen(b *testing.B) {
	const n = 262144
	tokens, scores, types := make([]string, n), make([]float32, n), make([]int32, n)
	for i := range n {
		tokens[i] = fmt.Sprintf("token %d", i)
		scores[i] = -float32(i)
		types[i] = 1
	}
	path := filepath.Join(b.TempDir(), "vocab.gguf")
	w, err := Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Abort()
	for k, v := range map[string]any{"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.scores": scores, "tokenizer.ggml.token_type": types} {
		if err := w.Set(k, v); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 300 {
		if err := w.Declare(fmt.Sprintf("blk.%d.weight", i), F32, 64); err != nil {
			b.Fatal(err)
		}
	}
	for range 300 {
		if _, err := w.Write(make([]byte, 256)); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
