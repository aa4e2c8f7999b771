package gguf

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"runtime/metrics"
	"testing"
)

// allocated returns the bytes the program has ever allocated.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// FuzzOpen holds the reader to its promise for any bytes: a model or a
// FormatError that points into the file, and memory by the size of the file, never
// by a number in it. The corpus in testdata/fuzz/FuzzOpen is the files of the tests of parse.
func FuzzOpen(f *testing.F) {
	f.Add(tiny(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := allocated()
		file, err := parse("m.gguf", b)
		// A string of no bytes takes 8 in the file and 16 in memory, a tensor 25 and
		// about 200; growing slices and maps take twice what they hold. The
		// megabyte is for what the fuzzing engine allocates beside.
		if n := allocated() - before; n > uint64(40*len(b)+1<<20) {
			t.Errorf("%d bytes allocated for a file of %d", n, len(b))
		}
		if err != nil {
			var fe *FormatError
			if !errors.As(err, &fe) || fe.Path != "m.gguf" || fe.Offset < 0 || fe.Offset > int64(len(b)) || fe.Item == "" || fe.Reason == "" {
				t.Errorf("error %#v", err)
			}
			return
		}
		for _, s := range file.Tensors {
			if file.Tensor(s.Name) != s || len(s.Data) != s.Rows()*s.RowBytes() || !bytes.Equal(s.Row(s.Rows()-1), s.Data[len(s.Data)-s.RowBytes():]) {
				t.Errorf("tensor %+v is not what it says", s)
			}
			clear(s.Data) // overlapping tensors would read as zero below
			s.Data[0] = 1
		}
		for _, s := range file.Tensors {
			if s.Data[0] != 1 {
				t.Errorf("tensor %q overlaps another", s.Name)
			}
		}
	})
}

// FuzzRewrite holds Writer to the reader: what was read and is written again reads
// the same.
func FuzzRewrite(f *testing.F) {
	f.Add(tiny(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := parse("m.gguf", b)
		if err != nil {
			return
		}
		var out bytes.Buffer
		var e encoder
		e.init(&out)
		for _, p := range first.Pairs {
			if err := e.set(p.Key, p.Value); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range first.Tensors {
			if len(s.Name) == maxNameLen {
				return // may be read, not written
			}
			if err := e.declare(s.Name, s.Type, s.Dims); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range first.Tensors {
			if err := e.writeTensor(s.Name, s.Data); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.finish(); err != nil {
			t.Fatal(err)
		}
		second, err := parse("m.gguf", out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(first.Pairs) != len(second.Pairs) || len(first.Tensors) != len(second.Tensors) || first.Alignment != second.Alignment {
			t.Fatalf("read %+v, then %+v", first, second)
		}
		for i, p := range first.Pairs {
			if q := second.Pairs[i]; p.Key != q.Key || !same(p.Value, q.Value) {
				t.Errorf("pair %q %#v was written, %q %#v read", p.Key, p.Value, q.Key, q.Value)
			}
		}
		for i, s := range first.Tensors {
			q := second.Tensors[i]
			if s.Name != q.Name || s.Type != q.Type || !reflect.DeepEqual(s.Dims, q.Dims) || !bytes.Equal(s.Data, q.Data) {
				t.Errorf("tensor %+v was written, %+v read", s, q)
			}
		}
	})
}

// same is DeepEqual with floats compared by their bits, as NaN must survive too.
func same(a, b any) bool {
	switch a := a.(type) {
	case float32:
		b, ok := b.(float32)
		return ok && math.Float32bits(a) == math.Float32bits(b)
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case []float32, []float64:
		return reflect.TypeOf(a) == reflect.TypeOf(b) && bytes.Equal(appendValue(nil, a), appendValue(nil, b))
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}
