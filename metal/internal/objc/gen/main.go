// Gen writes messages.go from messages.txt; `go generate` runs it in the folder above.
package main

import (
	"fmt"
	"os"

	"github.com/gollm/gollm/metal/internal/decl"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile("messages.txt")
	if err != nil {
		return err
	}
	list, err := decl.Parse(string(text))
	if err != nil {
		return err
	}
	src, err := decl.Generate(list)
	if err != nil {
		return err
	}
	return os.WriteFile("messages.go", src, 0o644)
}
