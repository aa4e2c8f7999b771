package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/bench"
)

// TestPlanText holds the plan of the model inside the program to what is
// committed (-update writes it anew): a dispatch or a barrier more is seen.
func TestPlanText(t *testing.T) {
	r := do("", "plan", "-m", stories, "-c", "512")
	if r.status != 0 || r.stderr != "" {
		t.Fatalf("status %d, stderr %q", r.status, r.stderr)
	}
	path := filepath.Join("testdata", "plan.txt")
	if *update {
		if err := os.WriteFile(path, []byte(r.stdout), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.stdout != string(want) {
		t.Errorf("the plan differs from %s (-update writes it anew):\n%s", path, r.stdout)
	}
}

// TestPlanJSON adds up the dispatches again.
func TestPlanJSON(t *testing.T) {
	r := do("", "plan", "-o", "json")
	if r.status != 0 {
		t.Fatalf("status %d: %s", r.status, r.stderr)
	}
	type cost struct{ Dispatches, Barriers, Messages, Read, Written int }
	type step struct {
		Dispatches []struct {
			Kernel  string
			Groups  [3]int
			Threads [3]int
			Read    int
			Written int
			Barrier bool
		}
		Layers []cost
		Total  cost
	}
	var p struct {
		Context         int
		Memory          struct{ Weights, KV, Scratch, Total int }
		First           step `json:"decode_first"`
		Decode, Prefill step
		Formula         string
		Chips           []struct {
			Name            string
			First           float64 `json:"decode_first"`
			Decode, Prefill float64
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
		t.Fatal(err)
	}
	// 5 layers, keys and values of 32 float16 each.
	if want := 5 * 2048 * (32 + 32) * 2; p.Context != 2048 || p.Memory.KV != want {
		t.Errorf("KV cache of %d bytes for %d tokens, want %d for 2048", p.Memory.KV, p.Context, want)
	}
	if m := p.Memory; m.Weights == 0 || m.Scratch == 0 || m.Total != m.Weights+m.KV+m.Scratch {
		t.Errorf("memory %+v does not add up", m)
	}
	for name, s := range map[string]step{"first": p.First, "decode": p.Decode, "prefill": p.Prefill} {
		sum := cost{Dispatches: len(s.Dispatches), Messages: s.Total.Messages}
		for _, d := range s.Dispatches {
			sum.Read += d.Read
			sum.Written += d.Written
			if d.Barrier {
				sum.Barriers++
			}
			if d.Kernel == "" || slices.Min(append(d.Groups[:], d.Threads[:]...)) < 1 || d.Read < 1 || d.Written < 1 {
				t.Errorf("%s: dispatch %+v", name, d)
			}
		}
		if sum != s.Total {
			t.Errorf("%s: the dispatches come to %+v, the total says %+v", name, sum, s.Total)
		}
		if len(s.Layers) != 5 {
			t.Errorf("%s: %d layers", name, len(s.Layers))
		}
	}
	if len(p.Chips) != len(bench.Chips) || p.Formula != bench.Formula {
		t.Fatalf("%d chips, formula %q", len(p.Chips), p.Formula)
	}
	for _, c := range p.Chips {
		if floor := float64(p.Decode.Total.Dispatches) * bench.DispatchCost.Seconds(); !(c.Decode > floor) || !(c.First > 0) || !(c.Prefill > 0) {
			t.Errorf("%+v: the dispatches alone take %g s", c, floor)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, line := range [][]string{{"plan", "-o", "yaml"}, {"plan", "x"}, {"plan", "-c", "-2"}, {"plan", "-m="}} {
		r := do("", line...)
		if r.status != 2 {
			t.Errorf("%v: status %d", line, r.status)
		}
		r.oneLine(t)
	}
}

func TestRanges(t *testing.T) {
	for want, list := range map[string][]int{"": nil, "3": {3}, "0–1": {0, 1}, "0–4, 6, 8–10": {0, 1, 2, 3, 4, 6, 8, 9, 10}} {
		if got := ranges(list); got != want {
			t.Errorf("%v: %q, want %q", list, got, want)
		}
	}
}

// TestPlanOfLayers plans the GPU's part of a model that is on the CPU, too.
func TestPlanOfLayers(t *testing.T) {
	r := do("", "plan", "-m", stories, "-ngl", "2")
	if r.status != 0 || !strings.Contains(r.stdout, "\n-ngl 2 of 5 layers: ") || !strings.Contains(r.stdout, "  layer 3\n") || strings.Contains(r.stdout, "blk.2.") || strings.Contains(r.stdout, "token_embd") {
		t.Errorf("%+v", r)
	}
	type plan struct {
		Layers    int
		GPULayers int `json:"gpu_layers"`
		Memory    struct{ Weights, KV int }
		Decode    struct{ Dispatches []struct{ Layer int } }
	}
	of := func(ngl string) (p plan) {
		r := do("", "plan", "-m", stories, "-o", "json", "-ngl", ngl)
		if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
			t.Fatalf("%v: %+v", err, r)
		}
		return p
	}
	whole, two := of("-1"), of("2")
	if whole.Layers != 5 || whole.GPULayers != 6 || two.GPULayers != 2 || of("99").GPULayers != 6 {
		t.Errorf("%d and %d of %d layers", whole.GPULayers, two.GPULayers, whole.Layers)
	}
	if two.Memory.KV*5 != whole.Memory.KV*2 || two.Memory.Weights*2 > whole.Memory.Weights {
		t.Errorf("2 of 5 layers take %+v of %+v", two.Memory, whole.Memory)
	}
	// The output, and layers 3 and 4.
	for _, d := range two.Decode.Dispatches {
		if d.Layer >= 0 && d.Layer < 3 {
			t.Errorf("a dispatch of layer %d", d.Layer)
		}
	}
	if r := do("", "plan", "-m", stories, "-ngl", "0"); r.status == 0 || !strings.Contains(r.stderr, "--n-gpu-layers 0") {
		t.Errorf("-ngl 0: %+v", r)
	}
}
