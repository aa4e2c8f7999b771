package gguf

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func save(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenRefuses(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := save(t, []byte("Once upon a time"))
	empty := save(t, nil)
	part := save(t, mustEncode(t, []Pair{{keySplitNo, uint16(0)}, {keySplitCount, uint16(2)}}))
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "none.gguf"), "gguf: open " + dir + "/none.gguf: no such file or directory"},
		{dir, "gguf: " + dir + ": is a directory, not a model file"},
		{fifo, "gguf: " + fifo + ": is not a regular file"},
		{os.DevNull, "gguf: " + os.DevNull + ": is not a regular file"},
		{empty, "gguf: " + empty + ": is empty"},
		{text, "gguf: " + text + `: header at byte 0: not a GGUF file: it begins with "Once upon a time"`},
		{part, "gguf: " + part + ": is part 1 of 2 of a split model, but is not named -00001-of-00002.gguf, so the other parts cannot be found"},
	} {
		f, err := Open(c.path)
		if err == nil {
			f.Close()
			t.Errorf("%s was opened", c.path)
		} else if err.Error() != c.want {
			t.Errorf("error\n\t%s\nwant\n\t%s", err, c.want)
		}
	}
}

func mustEncode(t testing.TB, pairs []Pair, tensors ...declared) []byte {
	t.Helper()
	b, err := encode(pairs, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The mapping is the file, rounded up to whole pages with zeros, and the
// tensors are inside it.
func TestMapping(t *testing.T) {
	b := tiny(t)
	page := os.Getpagesize()
	for _, n := range []int{len(b), 3 * page, 3*page + 1} {
		b := append(bytes.Clone(b), make([]byte, n-len(b))...)
		f, err := Open(save(t, b))
		if err != nil {
			t.Fatal(err)
		}
		m := f.Mappings()[0]
		if len(m)%page != 0 || len(m) < n || len(m) >= n+page || f.Size() != int64(n) {
			t.Errorf("mapping of %d bytes, Size %d, for a file of %d and pages of %d", len(m), f.Size(), n, page)
		}
		if !bytes.Equal(m[:n], b) || slices.Max(append(m[n:len(m):len(m)], 0)) != 0 {
			t.Error("the mapping is not the file and zeros")
		}
		for _, s := range f.Tensors {
			if &m[s.Offset] != &s.Data[0] {
				t.Errorf("tensor %q is not in the mapping", s.Name)
			}
		}
		if err := errors.Join(f.Close(), f.Close()); err != nil {
			t.Error(err)
		}
		if f.Tensors[0].Data != nil {
			t.Error("a tensor of a closed file has data")
		}
	}
}

func TestOpenBytes(t *testing.T) {
	b := tiny(t)
	f, err := OpenBytes("built in", b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := f.Mappings()[0]
	if len(m)%os.Getpagesize() != 0 || !bytes.Equal(m[:len(b)], b) || f.Name() != "built in" || f.Size() != int64(len(b)) {
		t.Errorf("mapping of %d bytes, Size %d, name %q", len(m), f.Size(), f.Name())
	}
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{nil, "gguf: built in: is empty"},
		{b[:10], "gguf: built in: header at byte 0: the file ends within the header: it has 10 bytes, the header 24"},
		{mustEncode(t, []Pair{{keySplitCount, uint16(2)}}), "gguf: built in: is a part of a split model"},
		{mustEncode(t, []Pair{{keySplitCount, "2"}}), `gguf: built in: key "split.count": has type string, want int`},
	} {
		if _, err := OpenBytes("built in", c.b); err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}

// A file that is cut while it is read is an error, not the end of the program.
// (qemu-user does not say where a SIGBUS came from, so that nothing tells it from a nil pointer's.)
func TestFileCutWhileRead(t *testing.T) {
	path := save(t, mustEncode(t, []Pair{{"k", make([]string, 10000)}}))
	p, err := mapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(p.data)
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := recover(); r != nil && runtime.GOARCH == "arm64" {
			t.Skip("needs a system that gives a fault's address:", r)
		} else if r != nil {
			panic(r)
		}
	}()
	_, err = p.parse()
	if err == nil || !strings.Contains(err.Error(), path+": the model's file can no longer be read") {
		t.Errorf("error %v", err)
	}
}

func TestSplit(t *testing.T) {
	whole, err := Open("../testdata/stories260K.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	paths := writeSplit(t, whole, t.TempDir(), 20)
	if len(paths) != 3 {
		t.Fatalf("%d parts, want 3", len(paths))
	}
	for _, path := range paths {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name() != path || !slices.Equal(f.Paths(), paths) || len(f.Mappings()) != 3 {
			t.Errorf("opened by %s: name %s, parts %v, %d mappings", path, f.Name(), f.Paths(), len(f.Mappings()))
		}
		if v, err := Get[string](f, "general.architecture"); v != "llama" {
			t.Errorf("opened by %s: architecture %q, %v", path, v, err)
		}
		for i, want := range whole.Tensors {
			got := f.Tensor(want.Name)
			if got == nil || f.Tensors[i] != got || got.Part != i/20 || !bytes.Equal(got.Data, want.Data) {
				t.Fatalf("opened by %s: tensor %q is missing or not the same", path, want.Name)
			}
			if m := f.Mappings()[got.Part]; &m[got.Offset] != &got.Data[0] {
				t.Errorf("tensor %q is not in the mapping of its part", got.Name)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	ten := func(name string) declared { return declared{name: name, typ: I8, dims: []int{1}} }
	part := func(no, count uint16, total int32, names ...string) []byte {
		var list []declared
		for _, n := range names {
			list = append(list, ten(n))
		}
		return mustEncode(t, []Pair{{keySplitNo, no}, {keySplitCount, count}, {keySplitTensors, total}}, list...)
	}
	for _, c := range []struct {
		name   string
		first  []byte
		second []byte
		want   string // D stands for the folder
	}{
		{"missing", part(0, 2, 2, "a"), nil, `gguf: open D/m-00002-of-00002.gguf: no such file or directory (part 2 of the 2 of D/m-00001-of-00002.gguf)`},
		{"broken", part(0, 2, 2, "a"), []byte("text"), `gguf: D/m-00002-of-00002.gguf: header at byte 0: not a GGUF file: it begins with "text" (part 2 of the 2 of D/m-00001-of-00002.gguf)`},
		{"wrong number", part(0, 2, 2, "a"), part(0, 2, 2, "b"), `gguf: D/m-00002-of-00002.gguf: key "split.no" is 0, want 1: the files are not parts of one model`},
		{"wrong count", part(0, 2, 2, "a"), part(1, 3, 2, "b"), `gguf: D/m-00002-of-00002.gguf: key "split.count" is 3, want 2: the files are not parts of one model`},
		{"no number", part(0, 2, 2, "a"), mustEncode(t, nil), `gguf: D/m-00002-of-00002.gguf: key "split.no": no such key`},
		{"tensor in both", part(0, 2, 2, "a"), part(1, 2, 2, "a"), `gguf: D/m-00002-of-00002.gguf: tensor "a" is also in part 1 of the model, D/m-00001-of-00002.gguf`},
		{"tensor missing", part(0, 2, 3, "a"), part(1, 2, 3, "b"), `gguf: D/m-00001-of-00002.gguf: key "split.tensors.count" is 3, but the 2 parts hold 2 tensors`},
		{"other total", part(0, 2, 2, "a"), part(1, 2, 7, "b"), `gguf: D/m-00002-of-00002.gguf: key "split.tensors.count" is 7, but the 2 parts hold 2 tensors`},
		{"no total", mustEncode(t, []Pair{{keySplitNo, uint16(0)}, {keySplitCount, uint16(2)}}), part(1, 2, 0), `gguf: D/m-00001-of-00002.gguf: key "split.tensors.count": no such key`},
		{"renamed", part(1, 2, 1, "a"), part(1, 2, 1), `gguf: D/m-00001-of-00002.gguf: is part 2 of 2 of a split model by its metadata (split.no, split.count), not as its name says`},
		{"number of another kind", mustEncode(t, []Pair{{keySplitNo, "0"}, {keySplitCount, uint16(2)}}), nil, `gguf: D/m-00001-of-00002.gguf: key "split.no": has type string, want int`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := SplitPath(filepath.Join(dir, "m"), 0, 2)
			os.WriteFile(path, c.first, 0o644)
			if c.second != nil {
				os.WriteFile(SplitPath(filepath.Join(dir, "m"), 1, 2), c.second, 0o644)
			}
			f, err := Open(path)
			if err == nil {
				f.Close()
				t.Fatal("opened")
			}
			if want := strings.ReplaceAll(c.want, "D/", dir+"/"); err.Error() != want {
				t.Errorf("error\n\t%s\nwant\n\t%s", err, want)
			}
		})
	}
}

func TestSplitPath(t *testing.T) {
	if got := SplitPath("a/m", 1, 12); got != "a/m-00002-of-00012.gguf" {
		t.Errorf("SplitPath: %s", got)
	}
	if prefix, i, n, ok := ParseSplitPath("a/m-00002-of-00012.gguf"); prefix != "a/m" || i != 1 || n != 12 || !ok {
		t.Errorf("ParseSplitPath: %s %d %d %v", prefix, i, n, ok)
	}
	for _, path := range []string{"", "m.gguf", "-00001-of-00002.gguf", "a/-00001-of-00002.gguf", "m-00000-of-00002.gguf", "m-00003-of-00002.gguf", "m-00001-of-00002.bin", "m-0001-of-00002.gguf", "m-+0001-of-00002.gguf", "m-00001_of-00002.gguf"} {
		if _, _, _, ok := ParseSplitPath(path); ok {
			t.Errorf("ParseSplitPath(%q) takes it for a part", path)
		}
	}
}
