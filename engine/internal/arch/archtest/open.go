package archtest

import (
	"path/filepath"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// Named returns the case of that name.
func Named(tb testing.TB, name string) Case {
	tb.Helper()
	for _, c := range Cases() {
		if c.Name == name {
			return c
		}
	}
	tb.Fatalf("archtest: no case %q", name)
	return Case{}
}

// Open writes the model with the seed's weights and opens it. It is closed when
// the test ends, and may be before.
func (c Case) Open(tb testing.TB, seed uint64) *gguf.File {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "m.gguf")
	if err := c.Write(path, seed); err != nil {
		tb.Fatal(err)
	}
	return open(tb, path)
}

func open(tb testing.TB, path string) *gguf.File {
	tb.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	return f
}

// Program returns the forward pass of a model for a context of so many tokens.
func Program(tb testing.TB, f *gguf.File, context int) *program.Program {
	tb.Helper()
	m, err := arch.Load(f)
	if err != nil {
		tb.Fatalf("%s: %v", f.Name(), err)
	}
	p, err := arch.Program(m, arch.Options{Context: context}, false)
	if err != nil {
		tb.Fatalf("%s: %v", f.Name(), err)
	}
	return p
}
