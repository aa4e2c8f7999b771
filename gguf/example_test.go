package gguf_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/gollm/gollm/gguf"
)

func ExampleOpen() {
	f, err := gguf.Open("../testdata/stories260K.gguf")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()

	heads, err := gguf.Get[int](f, "llama.attention.head_count")
	if err != nil {
		log.Fatal(err)
	}
	base, err := gguf.GetOr(f, "llama.rope.freq_base", 10000.0) // a default for a missing key
	if err != nil {
		log.Fatal(err)
	}
	t := f.Tensor("blk.0.attn_k.weight")
	fmt.Println(heads, base)
	fmt.Println(t.Type, t.Dims, t.Rows(), len(t.Row(0)))
	// Output:
	// 8 10000
	// F32 [64 32] 32 256
}

func ExampleCreate() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "small.gguf")

	write := func() error {
		w, err := gguf.Create(path)
		if err != nil {
			return err
		}
		defer w.Abort() // leaves no trace, unless Commit was reached
		if err := w.Set("general.architecture", "llama"); err != nil {
			return err
		}
		if err := w.Declare("output.weight", gguf.Q8_0, 64, 10); err != nil {
			return err
		}
		for range 10 { // row by row
			if _, err := w.Write(make([]byte, gguf.Q8_0.RowBytes(64))); err != nil {
				return err
			}
		}
		return w.Commit()
	}
	if err := write(); err != nil {
		log.Fatal(err)
	}

	f, err := gguf.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	fmt.Println(f.Pairs, f.Tensors[0].Name, len(f.Tensors[0].Data))
	// Output: [{general.architecture llama}] output.weight 680
}
