package gpu

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
	"github.com/gollm/gollm/shaders"
)

var update = flag.Bool("update", false, "write testdata/launches.txt anew")

// TestLaunches counts what a decoded token costs, launches and barriers, and what
// each rule of program.Fusions did. The counts are committed,
// so that a fusion that is lost, or a barrier too many, is seen. Tokens of several
// sequences in one step must take no more launches than one. What a Planner says of each
// model must be what its runner does.
func TestLaunches(t *testing.T) {
	if race {
		t.Skip("counted without the race detector: nothing here runs at the same time")
	}
	d := emu.Test(t, emu.Options{PageSize: os.Getpagesize()}).Device()
	var out strings.Builder
	fmt.Fprintln(&out, "# Launches and barriers of a decoded token, and the fusions of each model:")
	fmt.Fprintln(&out, "# go test ./engine/internal/exec/gpu -run TestLaunches -update")
	seen := map[string]bool{}
	for _, c := range archtest.Cases() {
		n := count(t, d, c)
		fmt.Fprintf(&out, "%-28s %d layers, %d launches, %d barriers;", c.Name, n["layers"], n["launches"], n["barriers"])
		for _, f := range program.Fusions {
			if n[f.Name] > 0 {
				seen[f.Name] = true
				fmt.Fprintf(&out, " %s %d", f.Name, n[f.Name])
			}
		}
		fmt.Fprintln(&out)
		if c.Name == "llama-dense" {
			// What two layers more make more is what a layer costs twice.
			two, four := count(t, d, c.Deep(2)), count(t, d, c.Deep(4))
			launches, barriers := four["launches"]-two["launches"], four["barriers"]-two["barriers"]
			fmt.Fprintf(&out, "%-28s %g launches, %g barriers\n", "a layer of llama", float64(launches)/2, float64(barriers)/2)
			if launches > 2*8 {
				t.Errorf("two layers of llama take %d launches, more than 8 each", launches)
			}
		}
	}
	for _, f := range program.Fusions {
		if !seen[f.Name] {
			t.Errorf("no model has the fusion %q", f.Name)
		}
	}
	path := filepath.Join("testdata", "launches.txt")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wants := strings.Split(string(want), "\n")
	for i, line := range strings.Split(out.String(), "\n") {
		if i >= len(wants) || line != wants[i] {
			t.Errorf("%s differs (-update writes it anew):\n%s", path, line)
		}
	}
}

// count compiles a model but for its kernels, and counts.
func count(t *testing.T, d *metal.Device, c archtest.Case) map[string]int {
	t.Helper()
	f := c.Open(t, 1)
	defer f.Close()
	p := archtest.Program(t, f, 64)
	e := New(d, f.Mappings())
	defer e.Close()
	memory, err := program.NewKVMemory(e, p.KV, gguf.F16, 32, 2)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.newRunner(p, memory, program.Limits{Tokens: 40, Outputs: 1})
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	planned(t, c.Name, p, r)
	plan, err := r.lower(shape{tokens: 1, outputs: 1, pages: 1})
	if err != nil {
		t.Fatal(err)
	}
	for tokens := 2; tokens <= shaders.MaxColumns; tokens++ {
		several, err := r.lower(shape{tokens: tokens, outputs: 1, pages: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(several.launches) > len(plan.launches) {
			t.Errorf("%s: %d tokens take %d launches, one takes %d", c.Name, tokens, len(several.launches), len(plan.launches))
		}
	}
	n := map[string]int{"layers": len(p.KV), "launches": len(plan.launches)}
	for _, l := range plan.launches {
		if l.barrier {
			n["barriers"]++
		}
	}
	for _, op := range r.program.Ops {
		if f, ok := op.(*program.Fused); ok {
			n[f.Rule]++
		}
	}
	return n
}
