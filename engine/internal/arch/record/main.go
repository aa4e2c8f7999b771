// Record makes what the tests of the model families hold them against, and the
// table of the families.
//
//	go run ./engine/internal/arch/record -oracle DIR        writes engine/internal/arch/testdata
//	go run ./engine/internal/arch/record -table FILE        measures against it and writes FILE
//
// DIR is where testdata/oracle/install.sh has installed llama.cpp.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gollm/gollm/engine/internal/arch"
	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/gguf"
)

func main() {
	oracle := flag.String("oracle", "", "record what the oracle in this `folder` computes")
	only := flag.String("case", "", "record only the cases that match this `regexp`")
	table := flag.String("table", "", "write the table of families to this `file`")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() > 0 || (*oracle == "") == (*table == ""):
		flag.Usage()
		os.Exit(2)
	case *oracle != "":
		err = record(archtest.Oracle(*oracle), *only)
	default:
		err = writeTable(*table)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(o archtest.Oracle, only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "record")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, c := range archtest.Cases() {
		if !match.MatchString(c.Name) {
			continue
		}
		var all [][][]float32
		for _, seed := range archtest.Seeds {
			path := filepath.Join(dir, c.Name+".gguf")
			if err := c.Write(path, seed); err != nil {
				return err
			}
			vocab, err := c.Vocab()
			if err != nil {
				return err
			}
			rows, err := o.Logits(path, archtest.Tokens(seed, vocab))
			if err != nil {
				return err
			}
			all = append(all, archtest.Pick(rows))
			os.Remove(path)
		}
		if err := c.Record(all); err != nil {
			return err
		}
		fmt.Println("recorded", c.Name)
	}
	return nil
}

// writeTable measures every case with both cache types and writes the page.
func writeTable(path string) error {
	var b strings.Builder
	b.WriteString(`# Model families

Each is held against llama.cpp on tiny models with random weights: those llama.cpp makes itself, and variants that have what
real models of the family have. The error is the largest, over ` + fmt.Sprintf("%d positions of %d tokens and %d", len(archtest.Recorded), archtest.Length, len(archtest.Seeds)) + ` seeds, of
the largest difference of a position's logits divided by its largest logit; the tests demand ` + fmt.Sprint(archtest.Bound) + ` and the same
argmax. llama.cpp computed with a float32 cache, package exec/ref with each type; a float16 cache by itself moves
logits by up to three thousandths on these models. Where the network's activation is GELU, llama.cpp reads it from
a table of float16: errors of 5e-4.

| architecture | model | what the variant has | F32 cache | F16 cache |
|---|---|---|---|---|
`)
	e := ref.New(0)
	defer e.Close()
	dir, err := os.MkdirTemp("", "families")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	left := arch.Names()
	for _, c := range archtest.Cases() {
		d, err := c.Describe()
		if err != nil {
			return err
		}
		name := d.Metadata[0].Value.(string)
		left = slices.DeleteFunc(left, func(s string) bool { return s == name })
		var worst [2]float64
		for _, seed := range archtest.Seeds {
			for i, cache := range []gguf.Type{gguf.F32, gguf.F16} {
				diff, err := measure(e, c, seed, cache, filepath.Join(dir, "m.gguf"))
				if err != nil {
					return fmt.Errorf("%s, seed %d, %s cache: %w", c.Name, seed, cache, err)
				}
				worst[i] = max(worst[i], diff)
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %.1e | %.1e |\n", name, c.Name, c.What, worst[0], worst[1])
	}
	if len(left) > 0 {
		return fmt.Errorf("no case of %v", left)
	}
	b.WriteString("\nMade by `go run ./engine/internal/arch/record -table FILE` from the logits that `-oracle DIR` recorded.\n")
	return os.WriteFile(path, []byte(b.String()), 0o666)
}

func measure(e *ref.Executor, c archtest.Case, seed uint64, cache gguf.Type, path string) (float64, error) {
	if err := c.Write(path, seed); err != nil {
		return 0, err
	}
	f, err := gguf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	s, err := archtest.NewSession(e, f, cache, archtest.Length)
	if err != nil {
		return 0, err
	}
	want, err := c.Logits(seed)
	if err != nil {
		return 0, err
	}
	got, err := s.Prompt(archtest.Tokens(seed, s.Vocab))
	if err != nil {
		return 0, err
	}
	return archtest.Difference(archtest.Pick(got), want, archtest.BoundOf(cache))
}
