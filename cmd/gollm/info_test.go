package main

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
)

var update = flag.Bool("update", false, "write the golden files anew")

// writeModel writes a model with these tensors, all of zeros.
func writeModel(t *testing.T, path string, pairs []gguf.Pair, tensors ...gguf.Tensor) {
	t.Helper()
	w, err := gguf.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, p := range pairs {
		if err := w.Set(p.Key, p.Value); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range tensors {
		if err := w.Declare(s.Name, s.Type, s.Dims...); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range tensors {
		if err := w.WriteTensor(s.Name, make([]byte, s.Rows()*s.RowBytes())); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

// manyKinds is metadata that each rule of the printing has something to do with.
var manyKinds = []gguf.Pair{
	{Key: "general.architecture", Value: "llama"},
	{Key: "general.alignment", Value: uint32(64)},
	{Key: "terminal\x1b[31m", Value: "red\x1b[31m\a"},
	{Key: "string.long", Value: strings.Repeat("ein größerer Text; ", 20)},
	{Key: "bool", Value: true},
	{Key: "float32", Value: float32(1e-5)},
	{Key: "float64", Value: 0.1},
	{Key: "nan", Value: float32(math.NaN())},
	{Key: "uint64", Value: uint64(math.MaxUint64)},
	{Key: "array.empty", Value: []int32{}},
	{Key: "array.uint8", Value: []uint8{1, 2, 255}},
	{Key: "array.long", Value: make([]int64, 1000)},
	{Key: "array.strings", Value: []string{"<s>", "\n", strings.Repeat("long ", 20), "never seen, as the line is full by now"}},
	{Key: "array.arrays", Value: []any{[]uint32{1, 2}, []string{"x"}, []any{}}},
}

func model(t *testing.T) string {
	writeModel(t, "model.gguf", manyKinds,
		gguf.Tensor{Name: "token_embd.weight", Type: gguf.Q4_K, Dims: []int{256, 10}},
		gguf.Tensor{Name: "norm\r\n", Type: gguf.F32, Dims: []int{256}},
		gguf.Tensor{Name: "blk.0.ffn_gate_exps.weight", Type: gguf.Q8_0, Dims: []int{256, 3, 4}},
		gguf.Tensor{Name: "output.weight", Type: gguf.Q4_K, Dims: []int{256, 10}},
	)
	return "model.gguf"
}

func split(t *testing.T) string {
	for i, name := range []string{"a", "b"} {
		writeModel(t, gguf.SplitPath("m", i, 2), []gguf.Pair{
			{Key: "split.no", Value: uint16(i)}, {Key: "split.count", Value: uint16(2)}, {Key: "split.tensors.count", Value: int32(2)},
		}, gguf.Tensor{Name: name, Type: gguf.F16, Dims: []int{4}})
	}
	return gguf.SplitPath("m", 1, 2)
}

func nothing(t *testing.T) string {
	writeModel(t, "nothing.gguf", nil)
	return "nothing.gguf"
}

func TestInfo(t *testing.T) {
	golden, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		model  func(t *testing.T) string
		asJSON bool
	}{
		{"info_model.txt", model, false}, {"info_model.json", model, true},
		{"info_split.txt", split, false}, {"info_split.json", split, true},
		{"info_nothing.txt", nothing, false}, {"info_nothing.json", nothing, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir()) // so that the paths that are printed are the same everywhere
			var out strings.Builder
			if err := printInfo(&out, c.model(t), c.asJSON); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(golden, c.name)
			if *update {
				if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("info prints\n%s\nwant (%s)\n%s", &out, c.name, want)
			}
		})
	}
}

// What --json prints says everything: the metadata can be read back from it.
func TestInfoJSONIsComplete(t *testing.T) {
	t.Chdir(t.TempDir())
	var out strings.Builder
	if err := printInfo(&out, model(t), true); err != nil {
		t.Fatal(err)
	}
	var info fileInfo
	if err := json.Unmarshal([]byte(out.String()), &info); err != nil {
		t.Fatal(err)
	}
	if len(info.Metadata) != len(manyKinds) {
		t.Fatalf("%d pairs, want %d", len(info.Metadata), len(manyKinds))
	}
	for i, want := range manyKinds {
		if got := info.Metadata[i]; want.Key != "nan" && !reflect.DeepEqual(got, want) {
			t.Errorf("pair %#v, want %#v", got, want)
		}
	}
	if len(info.Tensors) != 4 || info.Values != 2560+256+3072+2560 || info.Bytes != 1440+1024+3264+1440 {
		t.Errorf("%d tensors of %d values in %d bytes", len(info.Tensors), info.Values, info.Bytes)
	}
}

func TestInfoRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text")
	os.WriteFile(path, []byte("not a model"), 0o644)
	var out strings.Builder
	err := printInfo(&out, path, false)
	if want := "gguf: " + path + `: header at byte 0: not a GGUF file: it begins with "not a model"`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if out.Len() != 0 {
		t.Errorf("printed %q", &out)
	}
}
