package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine"
)

// q4 is a cell's model.
var q4 = model{name: "small-q4_0", title: "small Q4_0"}

func TestCells(t *testing.T) {
	all := cells([]int{1, 2})
	names := map[string]bool{}
	for _, c := range all {
		names[c.String()] = true
	}
	if len(names) != len(all) || len(all) != len(models)*len(tests)*2 {
		t.Errorf("%d cells of %d names", len(all), len(names))
	}
	for _, want := range []string{"smollm2-135m-q4_1/tg64/1", "gemma-3-270m-q4_k_m/pp512/2", "random-1.1b-q8_0/tg64/2"} {
		if !names[want] {
			t.Errorf("no cell %s among %v", want, names)
		}
	}
}

func TestParseThreads(t *testing.T) {
	if got, err := parseThreads("1,4,1"); err != nil || !slices.Equal(got, []int{1, 4}) {
		t.Errorf("1,4,1: %v, %v", got, err)
	}
	for _, bad := range []string{"", "0", "-1", "x", "1,", "1 ,2"} {
		if got, err := parseThreads(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 100, 2}, 3}} {
		before := slices.Clone(c.x)
		if got := median(c.x); got != c.want || !slices.Equal(c.x, before) {
			t.Errorf("median of %v is %v, want %v; left %v", before, got, c.want, c.x)
		}
	}
}

// TestParse reads what the programs print: recorded, and damaged.
func TestParse(t *testing.T) {
	tg, pp := cell{q4, test{true, 64}, 2}, cell{q4, test{false, 512}, 2}
	const bench = `{"build_commit": "x", "n_threads": 2, "n_prompt": 0, "n_gen": 64, "avg_ts": 73.25, "samples_ts": [ 73.25 ]}` + "\n"
	const speed = "pp512 96.03 t/s  tg64 73.11 t/s  (2 threads)\n"
	for _, c := range []struct {
		parse func(string, cell) (float64, error)
		out   string
		cell  cell
		want  float64 // 0 is an error
	}{
		{parseBench, bench, tg, 73.25},
		{parseBench, strings.NewReplacer(`"n_prompt": 0`, `"n_prompt": 512`, `"n_gen": 64`, `"n_gen": 0`).Replace(bench), pp, 73.25},
		{parseBench, bench, pp, 0},
		{parseBench, bench, cell{q4, test{true, 64}, 1}, 0},
		{parseBench, bench + bench, tg, 0},
		{parseBench, "| model |", tg, 0},
		{parseBench, "", tg, 0},
		{parseSpeed, speed, tg, 73.11},
		{parseSpeed, speed, pp, 96.03},
		{parseSpeed, speed, cell{q4, test{true, 32}, 2}, 0},
		{parseSpeed, speed, cell{q4, test{true, 64}, 1}, 0},
		{parseSpeed, "cannot load x\n", tg, 0},
		{parseSpeed, strings.Replace(speed, "73.11", "seven", 1), tg, 0},
	} {
		got, err := c.parse(c.out, c.cell)
		if got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s in %q: %v, %v, want %v", c.cell, c.out, got, err, c.want)
		}
	}
}

// TestRivals runs programs that print what rivals are asked for.
func TestRivals(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// $5 and so on are the values of -t, -p and -n.
	gollm := script("gollm", `echo "{\"n_threads\": $5, \"n_prompt\": $7, \"n_gen\": $9, \"avg_ts\": 30}"`)
	script("tool", `[ "$1" = llama-bench ] && echo "{\"n_threads\": $5, \"n_prompt\": $7, \"n_gen\": $9, \"avg_ts\": 20}"`)
	script("oracle", `[ "$1" = speed ] && echo "pp$3 8 t/s  tg$4 10 t/s  ($5 threads)"`)
	models := filepath.Join(dir, "models")
	if err := os.Mkdir(models, 0o755); err != nil {
		t.Fatal(err)
	}
	m := q4
	m.file = "small.gguf"
	cells := []cell{{m, test{true, 64}, 2}, {m, test{false, 512}, 1}}
	state := filepath.Join(dir, "state")
	if err := measure(context.Background(), rivals(gollm, dir), cells, models, state, 1, false); err == nil || !strings.Contains(err.Error(), "small.gguf") {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(models, m.file), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	want := func(rounds int) {
		t.Helper()
		all, err := readRounds(state)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := writeTable(&b, cells, all); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`| model | test | threads | gollm | llama.cpp tools | llama.cpp library | ratio | rounds |
|---|---|--:|--:|--:|--:|--:|--:|
| small Q4_0 | tg64 | 2 | 30.0 | 20.0 | 10.0 | **1.50** | %[1]d |
| small Q4_0 | pp512 | 1 | 30.0 | 20.0 | 8.0 | **1.50** | %[1]d |
`, rounds)
		if b.String() != want {
			t.Errorf("got\n%swant\n%s", &b, want)
		}
	}
	for _, c := range []struct {
		rounds int
		add    bool
		all    int
	}{{2, false, 2}, {1, true, 3}, {1, false, 1}} {
		if err := measure(context.Background(), rivals(gollm, dir), cells, models, state, c.rounds, c.add); err != nil {
			t.Fatal(err)
		}
		want(c.all)
	}
	script("oracle", `echo broken >&2; exit 1`)
	if err := measure(context.Background(), rivals(gollm, dir), cells, models, state, 1, true); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a rival that fails: %v", err)
	}
	want(1)
	script("oracle", `echo "pp$3 8 t/s  tg$4 inf t/s  ($5 threads)"`)
	if err := measure(context.Background(), rivals(gollm, dir), cells, models, state, 1, true); err == nil {
		t.Error("a rival as fast as nothing is: no error")
	}
}

// TestTableOfSome: what was not measured has no line; ratios are to the faster.
func TestTableOfSome(t *testing.T) {
	a, b := cell{q4, test{true, 64}, 1}, cell{q4, test{true, 64}, 2}
	all := []round{
		{b.String(), map[string]float64{ours: 10, "x": 5, "y": 1}},
		{b.String(), map[string]float64{ours: 10, "x": 5, "y": 9}},
		{b.String(), map[string]float64{ours: 12, "x": 4, "y": 8}},
	}
	got := rows([]cell{a, b}, all)
	if len(got) != 1 || got[0].rounds != 3 || got[0].speed["x"] != 5 || got[0].ratio != 10.0/8 {
		t.Errorf("%+v", got)
	}
}

// TestRandomModel: the engine loads what writeRandom writes, and its logits are
// numbers that differ.
func TestRandomModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "random.gguf")
	if err := writeRandom(path, shape{2, 128, 2, 1, 96, 300}); err != nil {
		t.Fatal(err)
	}
	m, err := engine.Load(context.Background(), path, engine.Options{Context: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	logits, err := s.Eval(context.Background(), []int32{1, 270, 299})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, v := range logits {
		sum += float64(v) * float64(v)
	}
	if rms := math.Sqrt(sum / float64(len(logits))); !(rms > 0.3 && rms < 3) {
		t.Errorf("logits of size %v, want about 1", rms)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-models", "x", "-cells", "("},
		{"-models", "x", "-cells", "nosuchcell"},
		{"-models", "x", "-threads", "0"},
		{"-models", "x", "-rounds", "0"},
		{"-models", "x"},
	} {
		if err := versus(context.Background(), args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
