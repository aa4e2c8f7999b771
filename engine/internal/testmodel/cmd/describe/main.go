// Command describe prints the form of a GGUF model as JSON, from which package
// testmodel makes models with other weights.
//
//	describe [-source TEXT] MODEL.gguf > testdata/families/NAME.json
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gollm/gollm/engine/internal/testmodel"
	"github.com/gollm/gollm/gguf"
)

func main() {
	source := flag.String("source", "", "where the model comes from (default: the file's name)")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: describe [-source TEXT] MODEL.gguf")
		os.Exit(2)
	}
	if err := describe(flag.Arg(0), *source); err != nil {
		fmt.Fprintln(os.Stderr, "describe:", err)
		os.Exit(1)
	}
}

func describe(path, source string) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if source == "" {
		source = filepath.Base(path)
	}
	b, err := testmodel.Describe(f, source).Encode()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(b)
	return err
}
