package gpu

import (
	"os"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal/emu"
	"github.com/gollm/gollm/shaders"
)

// TestCompileErrors breaks a source in several ways: the error names the op, its
// tensor and the kernel, and has the compiler's own words.
func TestCompileErrors(t *testing.T) {
	if err := emu.CanCompile(); err != nil {
		t.Skip(err)
	}
	f, p := archtest.Stories(t)
	d := emu.Test(t, emu.Options{PageSize: os.Getpagesize()}).Device()
	for _, c := range []struct {
		name, source, change, to string
		want                     []string
	}{
		{"syntax", "rope", "kernel void", "kernel int void", []string{"RoPE", "kernel rope", "program_source", "error:"}},
		{"undeclared", "matvec", "using namespace metal;", "using namespace metal;\nconstant int broken = undeclared_name;", []string{`tensor "blk.0.`, "of type F32", "kernel matvec", "undeclared_name"}},
		{"no_kernel", "attention", "attention_join", "attention_joined", []string{"Attention", "kernel attention_join", "attention_join"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := New(d, f.Mappings())
			defer e.Close()
			changed := false
			e.kernels.Source = func(name string) (string, error) {
				text, err := shaders.Source(name)
				if name == c.source {
					changed = strings.Contains(text, c.change)
					text = strings.ReplaceAll(text, c.change, c.to)
				}
				return text, err
			}
			memory, err := program.NewKVMemory(e, p.KV, gguf.F16, kv.BlockSize, 1)
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.Compile(p, memory, program.Limits{Tokens: 4, Outputs: 1})
			if !changed {
				t.Fatalf("%s has no %q", c.source, c.change)
			}
			if err == nil {
				t.Fatal("no error")
			}
			t.Log(err)
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q", want)
				}
			}
		})
	}
}
