package gguf

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// encode returns the file with these pairs and tensors, whose bytes are the
// counting pattern of fill.
func encode(pairs []Pair, tensors []declared) ([]byte, error) {
	var out bytes.Buffer
	var e encoder
	e.init(&out)
	for _, p := range pairs {
		if err := e.set(p.Key, p.Value); err != nil {
			return nil, err
		}
	}
	for _, t := range tensors {
		if err := e.declare(t.name, t.typ, t.dims); err != nil {
			return nil, err
		}
	}
	for i, t := range e.tensors {
		if err := e.writeTensor(t.name, fill(t.size, i)); err != nil {
			return nil, err
		}
	}
	err := e.finish()
	return out.Bytes(), err
}

func fill(n, seed int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + seed*31 + 1)
	}
	return b
}

func TestRoundTripOfEveryKind(t *testing.T) {
	f, err := parse("m.gguf", tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.Version != 3 || f.Alignment != 32 {
		t.Errorf("version %d, alignment %d; want 3, 32", f.Version, f.Alignment)
	}
	if len(f.Pairs) != len(everyKind) {
		t.Fatalf("%d pairs, want %d", len(f.Pairs), len(everyKind))
	}
	for i, want := range everyKind {
		if got := f.Pairs[i]; got.Key != want.Key || !reflect.DeepEqual(got.Value, want.Value) {
			t.Errorf("pair %d is %q %T %v, want %q %T %v", i, got.Key, got.Value, got.Value, want.Key, want.Value, want.Value)
		}
		kind, elem, ok := KindOf(want.Value)
		if !ok || kind.String() == "array" && elem.String() == "" {
			t.Errorf("KindOf(%T) = %v, %v, %v", want.Value, kind, elem, ok)
		}
	}
}

func TestRoundTripOfEveryType(t *testing.T) {
	var tensors []declared
	for i := range layouts {
		if typ := Type(i); typ.Known() {
			tensors = append(tensors, declared{name: typ.String(), typ: typ, dims: []int{3 * typ.BlockSize(), 2, 1, 5}})
		}
	}
	if len(tensors) != 35 {
		t.Errorf("%d types, want ggml's 35", len(tensors))
	}
	b, err := encode(nil, tensors)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parse("m.gguf", b)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range tensors {
		got := f.Tensors[i]
		if got != f.Tensor(want.name) {
			t.Errorf("Tensor(%q) is not the tensor at its place", want.name)
		}
		if got.Name != want.name || got.Type != want.typ || !reflect.DeepEqual(got.Dims, want.dims) {
			t.Errorf("tensor %d is %q %v %v, want %q %v %v", i, got.Name, got.Type, got.Dims, want.name, want.typ, want.dims)
		}
		size := 30 * want.typ.BlockBytes()
		if !bytes.Equal(got.Data, fill(size, i)) {
			t.Errorf("tensor %q has other bytes than were written", want.name)
		}
		if got.Rows() != 10 || got.Cols() != 3*want.typ.BlockSize() || got.RowBytes() != 3*want.typ.BlockBytes() {
			t.Errorf("tensor %q: %d rows of %d values in %d bytes", want.name, got.Rows(), got.Cols(), got.RowBytes())
		}
		if !bytes.Equal(got.Row(9), got.Data[9*got.RowBytes():]) {
			t.Errorf("tensor %q: Row(9) is not the last tenth", want.name)
		}
	}
}

func TestAlignment(t *testing.T) {
	for _, a := range []uint32{8, 64, 4096} {
		b, err := encode([]Pair{{"general.alignment", a}}, []declared{{name: "a", typ: I8, dims: []int{3}}, {name: "b", typ: I8, dims: []int{5}}})
		if err != nil {
			t.Fatal(err)
		}
		f, err := parse("m.gguf", b)
		if err != nil {
			t.Fatal(err)
		}
		first, second := f.Tensors[0].Offset, f.Tensors[1].Offset
		if f.Alignment != int(a) || first%int64(a) != 0 || second != first+int64(a) || len(b) != int(second)+int(a) {
			t.Errorf("alignment %d: read as %d, tensors at %d and %d in a file of %d bytes", a, f.Alignment, first, second, len(b))
		}
	}
}

// A file written by llama.cpp's own code comes out of the Writer as it was.
func TestWriterReproducesFile(t *testing.T) {
	const path = "../testdata/stories260K.gguf"
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	copied := filepath.Join(t.TempDir(), "copy.gguf")
	w, err := Create(copied)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.CopyMetadata(f); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.Tensors {
		if err := w.Declare(s.Name, s.Type, s.Dims...); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range f.Tensors {
		if i%2 == 0 {
			err = w.WriteTensor(s.Name, s.Data)
		} else { // in pieces
			_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bytes.NewReader(s.Data)}, make([]byte, 1000))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	want, _ := os.ReadFile(path)
	got, _ := os.ReadFile(copied)
	if !bytes.Equal(got, want) {
		t.Errorf("the copy (%d bytes) differs from the original (%d bytes)", len(got), len(want))
	}
	left, _ := os.ReadDir(filepath.Dir(copied))
	if len(left) != 1 {
		t.Errorf("%d files in the folder, want only the copy", len(left))
	}
}

// The parts that
//
//	llama-gguf-split --split --split-max-tensors 20 testdata/stories260K.gguf s
//
// (llama.cpp 0.7.0) writes, by the Writer: the same bytes.
var splitSums = []string{
	"a9f20db76f65f360cc945e7d94ef8a98649177000b1596907c5d8746792f4dc4",
	"6fd778b5fd55da76fd09dfd1a4ca1534d5cbc7481109c91ab551b594f12751bf",
	"5347b2ce84e83ce7f5e0a636bac675fae1cc76eeaa109aade687ed516d991584",
}

// writeSplit splits f into parts of at most n tensors, in folder, as
// llama-gguf-split does.
func writeSplit(t testing.TB, f *File, folder string, n int) []string {
	t.Helper()
	count := (len(f.Tensors) + n - 1) / n
	var paths []string
	for i := range count {
		path := SplitPath(filepath.Join(folder, "s"), i, count)
		w, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			err = w.CopyMetadata(f)
		}
		tensors := f.Tensors[i*n : min(i*n+n, len(f.Tensors))]
		err = errors.Join(err,
			w.Set(keySplitNo, uint16(i)), w.Set(keySplitTensors, int32(len(f.Tensors))), w.Set(keySplitCount, uint16(count)))
		for _, s := range tensors {
			err = errors.Join(err, w.Declare(s.Name, s.Type, s.Dims...))
		}
		for _, s := range tensors {
			err = errors.Join(err, w.WriteTensor(s.Name, s.Data))
		}
		if err = errors.Join(err, w.Commit()); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestWriterReproducesSplit(t *testing.T) {
	f, err := Open("../testdata/stories260K.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, path := range writeSplit(t, f, t.TempDir(), 20) {
		b, _ := os.ReadFile(path)
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != splitSums[i] {
			t.Errorf("part %d (%d bytes) has sha256 %s, want %s", i+1, len(b), got, splitSums[i])
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	long := strings.Repeat("n", 64)
	nested := any([]uint8{})
	for range maxDepth {
		nested = []any{nested}
	}
	for _, c := range []struct {
		name string
		do   func(w *Writer) error
		want string
	}{
		{"no key", func(w *Writer) error { return w.Set("", "x") }, `key "": a key is 1 to 65535 bytes of UTF-8`},
		{"key not UTF-8", func(w *Writer) error { return w.Set("\xff", "x") }, `key "\xff": a key is 1 to`},
		{"key too long", func(w *Writer) error { return w.Set(strings.Repeat("k", 1<<16), "x") }, `(65536 bytes): a key is 1 to`},
		{"Go int", func(w *Writer) error { return w.Set("k", 1) }, `key "k": a int is no metadata value`},
		{"nil", func(w *Writer) error { return w.Set("k", nil) }, `key "k": a <nil> is no metadata value`},
		{"number in array of arrays", func(w *Writer) error { return w.Set("k", []any{[]uint8{}, uint8(1)}) }, `key "k": element 1: a uint8 in an array of arrays`},
		{"deep", func(w *Writer) error { return w.Set("k", nested) }, `arrays are nested deeper than 8`},
		{"alignment no power of two", func(w *Writer) error { return w.Set(keyAlignment, uint32(24)) }, `key "general.alignment": the alignment 24 is not a power of two from 8`},
		{"alignment of another kind", func(w *Writer) error { return w.Set(keyAlignment, uint64(32)) }, `the alignment is a uint64, want a uint32`},
		{"no name", func(w *Writer) error { return w.Declare("", F32, 1) }, `tensor "": a name is 1 to 63 bytes`},
		{"name too long", func(w *Writer) error { return w.Declare(long, F32, 1) }, `a name is 1 to 63 bytes`},
		{"name not UTF-8", func(w *Writer) error { return w.Declare("\xff", F32, 1) }, `tensor "\xff": a name is`},
		{"twice", func(w *Writer) error { w.Declare("a", F32, 1); return w.Declare("a", F32, 1) }, `tensor "a": declared twice`},
		{"no dimensions", func(w *Writer) error { return w.Declare("a", F32) }, `tensor "a": it has 0 dimensions, not 1 to 4`},
		{"five dimensions", func(w *Writer) error { return w.Declare("a", F32, 1, 1, 1, 1, 1) }, `tensor "a": it has 5 dimensions`},
		{"dimension 0", func(w *Writer) error { return w.Declare("a", F32, 1, 0) }, `tensor "a": dimension 1 is 0`},
		{"overflow", func(w *Writer) error { return w.Declare("a", F32, 1<<32, 1<<31) }, `the number of values overflows`},
		{"overflow of bytes", func(w *Writer) error { return w.Declare("a", F64, 1<<31, 1<<31) }, `the number of bytes overflows`},
		{"overflow of the sum", func(w *Writer) error {
			w.Declare("a", I8, 1<<62)
			w.Declare("b", I8, 1<<62)
			_, err := w.Write([]byte{1})
			return err
		}, `tensor "b": the tensors are together too large`},
		{"part of a block", func(w *Writer) error { return w.Declare("a", Q4_0, 48) }, `rows of 48 values are no whole number of Q4_0 blocks of 32`},
		{"unknown type", func(w *Writer) error { return w.Declare("a", 99, 1) }, `its type 99 is unknown`},
		{"late key", func(w *Writer) error { w.Declare("a", I8, 2); w.Write([]byte{1}); return w.Set("k", "x") }, `key "k": set after the first bytes`},
		{"late tensor", func(w *Writer) error {
			w.Declare("a", I8, 2)
			w.Write([]byte{1})
			return w.Declare("b", I8, 1)
		}, `tensor "b": declared after the first bytes`},
		{"tensor out of order", func(w *Writer) error {
			w.Declare("a", I8, 1)
			w.Declare("b", I8, 1)
			return w.WriteTensor("b", []byte{1})
		}, `tensor "b": is not the next: tensor "a" has 0 of its 1 bytes`},
		{"tensor after the last", func(w *Writer) error { return w.WriteTensor("b", []byte{1}) }, `tensor "b": is not the next: all 0 tensors are written`},
		{"wrong size", func(w *Writer) error { w.Declare("a", I8, 2); return w.WriteTensor("a", []byte{1}) }, `tensor "a": 1 bytes given, it has 2, of which 0 are written`},
		{"across the end", func(w *Writer) error {
			w.Declare("a", I8, 2)
			w.Declare("b", I8, 2)
			_, err := w.Write([]byte{1, 2, 3})
			return err
		}, `tensor "a": 3 bytes given, 2 of its 2 are left`},
		{"past the end", func(w *Writer) error { _, err := w.Write([]byte{1}); return err }, `1 bytes more than the declared tensors have`},
		{"incomplete", func(w *Writer) error { w.Declare("a", I8, 2); w.Write([]byte{1}); return w.Commit() }, `tensor "a" has 1 of its 2 bytes`},
		{"second commit", func(w *Writer) error { w.Commit(); return w.Commit() }, `already committed or aborted`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.gguf")
			w, err := Create(path)
			if err != nil {
				t.Fatal(err)
			}
			err = c.do(w)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "gguf: write "+path+": ") {
				t.Errorf("error %v, want gguf: write %s: …%s", err, path, c.want)
			}
			w.Abort()
			left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.tmp"))
			if len(left) != 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

func TestSetReplaces(t *testing.T) {
	b, err := encode([]Pair{{"a", uint8(1)}, {"b", "x"}, {"a", "again"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parse("m.gguf", b)
	if err != nil {
		t.Fatal(err)
	}
	if want := []Pair{{"a", "again"}, {"b", "x"}}; !reflect.DeepEqual(f.Pairs, want) {
		t.Errorf("pairs %v, want %v", f.Pairs, want)
	}
}

// full is a disk with room for n bytes.
type full int

var errFull = errors.New("no space left on device")

func (n *full) Write(p []byte) (int, error) {
	if len(p) > int(*n) {
		return int(*n), errFull
	}
	*n -= full(len(p))
	return len(p), nil
}

func TestWriterOnFullDisk(t *testing.T) {
	for _, room := range []full{0, 1 << 20, 5 << 20} {
		path := filepath.Join(t.TempDir(), "out.gguf")
		os.WriteFile(path, []byte("before"), 0o644)
		w, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w.enc.out.Reset(&room)
		err = w.Declare("a", I8, 8<<20)
		for i := 0; i < 8 && err == nil; i++ {
			_, err = w.Write(make([]byte, 1<<20))
		}
		if err != nil && !errors.Is(err, errFull) {
			t.Errorf("Write: %v, want %v", err, errFull)
		}
		if err := w.Commit(); !errors.Is(err, errFull) {
			t.Errorf("Commit: %v, want %v", err, errFull)
		}
		if b, _ := os.ReadFile(path); string(b) != "before" {
			t.Error("the file that was there before has changed")
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
			t.Errorf("%d files are left, want the one from before", len(left))
		}
	}
}

// A Commit that cannot rename leaves nothing and names the file, not the temporary one.
func TestCommitCannotRename(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.gguf")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(filepath.Join(path, "in the way"), 0o755)
	if err := w.Commit(); err == nil || !strings.HasPrefix(err.Error(), "gguf: write "+path+": ") || strings.Contains(err.Error(), ".tmp") {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%d entries are left, want the folder in the way", len(left))
	}
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ path, want string }{
		{dir, "a directory or device of that name exists"},
		{os.DevNull, "a directory or device of that name exists"},
		{filepath.Join(dir, "none", "x.gguf"), "no such file or directory"},
	} {
		w, err := Create(c.path)
		if err == nil {
			w.Abort()
		}
		if want := "gguf: create " + c.path + ": " + c.want; err == nil || err.Error() != want {
			t.Errorf("Create(%s): %v, want %s", c.path, err, want)
		}
	}
}
