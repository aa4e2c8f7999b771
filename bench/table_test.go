package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine"
)

var update = flag.Bool("update", false, "write the golden files anew")

// results are two made-up measurements; the second has what makes a table
// more than plain.
func results() []*Result {
	a := &Result{
		Commit: "0123abcd", CPU: "Some CPU @ 3.00GHz", Backend: "CPU", File: "models/a.gguf", Model: "llama 135M Q4_1",
		Size: 96571392, Parameters: 134515008, Batch: 512, Microbatch: 512, Threads: 2, KeyType: "f16", ValueType: "f16", Device: "cpu",
		Prompt: 512, Time: "2026-11-22T14:00:00Z", AvgNS: 2500000000, StddevNS: 1000000, AvgTS: 204.8, StddevTS: 0.0819,
		SamplesNS: []int64{2499000000, 2501000000}, SamplesTS: []float64{204.88, 204.72},
	}
	b := *a
	b.Prompt, b.Gen, b.Depth = 8, 4, 1024
	b.File, b.Model, b.CPU = `models/it's, "quoted".gguf`, "gemma3 12B Q4_K - Medium", `A "fast", one`
	b.Size, b.Parameters, b.Batch = 7300000000, 12187325040, 32
	b.TokenBytes = 1e8
	b.Compare(40e9)
	return []*Result{a, &b}
}

func written(t *testing.T, format string, rows []*Result) string {
	t.Helper()
	var b bytes.Buffer
	table, err := NewTable(format, &b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := table.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTables(t *testing.T) {
	for _, format := range Formats() {
		for name, rows := range map[string][]*Result{"two": results(), "batch": results()[1:], "none": nil} {
			got := written(t, format, rows)
			path := filepath.Join("testdata", "table_"+name+"."+format)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s, %s: got\n%s\nwant\n%s", format, name, got, want)
			}
		}
	}
	if _, err := NewTable("xml", nil); err == nil || !strings.Contains(err.Error(), `"xml"`) {
		t.Errorf("xml: %v", err)
	}
}

// TestTablesRead reads the tables with what reads such formats.
func TestTablesRead(t *testing.T) {
	rows := results()
	var array []*Result
	if err := json.Unmarshal([]byte(written(t, "json", rows)), &array); err != nil {
		t.Fatal(err)
	}
	var lines []*Result
	for line := range strings.Lines(written(t, "jsonl", rows)) {
		r := &Result{}
		if err := json.Unmarshal([]byte(line), r); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, r)
	}
	for name, got := range map[string][]*Result{"json": array, "jsonl": lines} {
		if len(got) != 2 || got[1].Model != rows[1].Model || got[1].CPU != rows[1].CPU || !slices.Equal(got[1].SamplesNS, rows[1].SamplesNS) || got[1].Test() != rows[1].Test() {
			t.Errorf("%s reads as %+v", name, got)
		}
	}
	table, err := csv.NewReader(strings.NewReader(written(t, "csv", rows))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(table[0], "model_filename")
	if len(table) != 3 || table[2][at] != rows[1].File {
		t.Errorf("csv reads as %q", table)
	}
}

// TestLayersColumn has llama-bench's column of layers in tables of a GPU.
func TestLayersColumn(t *testing.T) {
	r := results()[0]
	r.Backend, r.GPULayers = backend(engine.Placement{Device: "metal", GPULayers: 5}), 5
	lines := strings.Split(written(t, "md", []*Result{r}), "\n")
	for i, want := range []string{"| backend    | ngl | threads |", "", "| Metal      |   5 |       2 |"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("%q has no %q", lines[i], want)
		}
	}
	for want, p := range map[string]engine.Placement{"CPU": {Device: "cpu"}, "emu": {Device: "emu", GPULayers: 1}} {
		if got := backend(p); got != want {
			t.Errorf("%+v: backend %q, want %q", p, got, want)
		}
	}
}

// TestColumns holds the columns against llama-bench's, in its order.
func TestColumns(t *testing.T) {
	theirs := recordedColumns(t)
	ours := strings.Split(strings.TrimSpace(strings.SplitN(written(t, "csv", results()), "\n", 2)[0]), ",")
	subset(t, "csv", ours, theirs)
	var object map[string]any
	if err := json.Unmarshal([]byte(strings.SplitN(written(t, "jsonl", results()[1:]), "\n", 2)[0]), &object); err != nil {
		t.Fatal(err)
	}
	for name := range object {
		if !slices.Contains(theirs, name) && name != "samples_ns" && name != "samples_ts" &&
			name != "token_bytes" && name != "memory_bandwidth" && name != "memory_share" {
			t.Errorf("the JSON field %s is none of llama-bench's", name)
		}
	}
	// What scripts that compare benchmarks look for.
	for _, name := range []string{"build_commit", "build_number", "cpu_info", "gpu_info", "backends", "model_filename", "model_type", "model_size", "model_n_params",
		"n_batch", "n_ubatch", "n_threads", "type_k", "type_v", "n_gpu_layers", "n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts"} {
		if !slices.Contains(ours, name) {
			t.Errorf("no column %s", name)
		}
	}
}

// recordedColumns are llama-bench's (llama.cpp 0.7.0):
//
//	llama-bench -m stories260K.gguf -p 8 -n 0 -r 1 -o csv | head -1 >testdata/llama-bench-columns.csv
func recordedColumns(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "llama-bench-columns.csv"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), ",")
}

// subset fails unless ours are all among theirs, in the same order.
func subset(t *testing.T, what string, ours, theirs []string) {
	t.Helper()
	at := 0
	for _, name := range ours {
		i := slices.Index(theirs[at:], name)
		if i < 0 {
			t.Errorf("%s: column %s is none of llama-bench's, or not in its place: %q", what, name, theirs)
			return
		}
		at += i + 1
	}
}

// full is a writer that has room for n bytes.
type full struct{ n int }

var errFull = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.n {
		return 0, errFull
	}
	f.n -= len(p)
	return len(p), nil
}

func TestTablesFail(t *testing.T) {
	for _, format := range Formats() {
		for _, room := range []int{0, 100, 400} {
			table, err := NewTable(format, &full{room})
			if err != nil {
				t.Fatal(err)
			}
			err = nil
			for _, r := range results() {
				err = errors.Join(err, table.Add(r))
			}
			if err = errors.Join(err, table.Close()); !errors.Is(err, errFull) {
				t.Errorf("%s with room for %d bytes: %v", format, room, err)
			}
		}
	}
}
