package gguf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// A Writer writes a GGUF file of version 3. Everything about the file is said
// before the first tensor's bytes: metadata by Set, tensors by Declare. Then the
// tensors' bytes follow in the order of declaration, by WriteTensor or Write, in
// pieces of any size: the Writer holds no more than one buffer of them.
//
//	w, err := gguf.Create("out.gguf")
//	…
//	defer w.Abort()
//	err = w.Set("general.architecture", "llama")
//	err = w.Declare("token_embd.weight", gguf.F32, 64, 512)
//	err = w.WriteTensor("token_embd.weight", data)
//	err = w.Commit()
//
// The file appears under its name only by Commit, complete and synced to the
// disk; before, its bytes are in a temporary file in the same folder, which Abort,
// or a Commit that fails, removes. A Writer is for one goroutine.
type Writer struct {
	path string
	file *os.File // nil when the destination is not a file
	enc  encoder
	done bool
}

// Create starts a file that will be at path, replacing what is there.
func Create(path string) (*Writer, error) {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("gguf: create %s: a directory or device of that name exists", path)
	}
	// os.CreateTemp would make a file that only its owner may read.
	for range 100 {
		tmp := fmt.Sprintf("%s.%08x.tmp", path, rand.Uint32())
		f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("gguf: create %s: %w", path, cause(err))
		}
		w := &Writer{path: path, file: f}
		w.enc.init(f)
		return w, nil
	}
	return nil, fmt.Errorf("gguf: create %s: no name is free for its temporary file", path)
}

// Set gives a metadata key its value, in place of an earlier one. The type of
// value, which is one of those that Pair lists, is the kind in the file: a Go int
// is refused. The Writer keeps slices, which must not change before the first write.
func (w *Writer) Set(key string, value any) error { return w.wrap(w.enc.set(key, value)) }

// CopyMetadata sets all of f's metadata, but for the keys of a split model, as
// the new file is in one part.
func (w *Writer) CopyMetadata(f *File) error {
	for _, p := range f.Pairs {
		if IsSplitKey(p.Key) {
			continue
		}
		if err := w.Set(p.Key, p.Value); err != nil {
			return err
		}
	}
	return nil
}

// Declare announces a tensor, with dims as in Tensor.Dims.
func (w *Writer) Declare(name string, typ Type, dims ...int) error {
	return w.wrap(w.enc.declare(name, typ, dims))
}

// WriteTensor writes all bytes of the named tensor, which must be the next.
func (w *Writer) WriteTensor(name string, data []byte) error {
	return w.wrap(w.enc.writeTensor(name, data))
}

// Write writes the next bytes of the current tensor, which is the first that is
// not complete. It writes no byte of the tensor after it: more bytes than the
// tensor has left are an error.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.enc.write(p)
	return n, w.wrap(err)
}

// Commit checks that all declared tensors are complete, syncs the file to the disk
// and gives it its name. On an error, also an earlier one of Write, nothing is left
// of the file, and what was at the path before is untouched.
func (w *Writer) Commit() error {
	if w.done {
		return fmt.Errorf("gguf: write %s: already committed or aborted", w.path)
	}
	if err := w.enc.finish(); err != nil {
		w.Abort()
		return w.wrap(err)
	}
	w.done = true
	tmp := w.file.Name()
	err := w.file.Sync()
	if e := w.file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, w.path)
	}
	if err != nil {
		os.Remove(tmp)
		return w.wrap(err)
	}
	// The new name is in the folder, which is synced by itself. Some file systems
	// cannot do that; the file is there all the same.
	if dir, err := os.Open(filepath.Dir(w.path)); err == nil {
		dir.Sync()
		dir.Close()
	}
	return nil
}

// Abort removes the temporary file. After Commit it does nothing, so that it can
// be deferred.
func (w *Writer) Abort() {
	if !w.done {
		w.done = true
		w.file.Close()
		os.Remove(w.file.Name())
	}
}

// wrap names the file in an error, and not the temporary one.
func (w *Writer) wrap(err error) error {
	if err == nil {
		return nil
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		err = le.Err
	}
	return fmt.Errorf("gguf: write %s: %w", w.path, cause(err))
}

// encoder is a Writer without its file.
type encoder struct {
	out       *bufio.Writer
	pairs     []Pair
	keys      map[string]int // index in pairs
	tensors   []declared
	names     map[string]bool
	alignment int

	started bool
	next    int   // index of the current tensor
	written int   // bytes of it
	err     error // of the output: sticks
}

type declared struct {
	name string
	typ  Type
	dims []int
	size int
}

func (e *encoder) init(out io.Writer) {
	e.out = bufio.NewWriterSize(out, 1<<20)
	e.keys, e.names = map[string]int{}, map[string]bool{}
	e.alignment = defaultAlignment
}

func (e *encoder) set(key string, value any) error {
	switch {
	case e.started:
		return fmt.Errorf("key %q: set after the first bytes of a tensor", key)
	case key == "" || len(key) > maxKeyLen || !utf8.ValidString(key):
		return fmt.Errorf("key %s: a key is 1 to %d bytes of UTF-8", quote(key), maxKeyLen)
	}
	if err := checkValue(value, 0); err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	if key == keyAlignment {
		if err := checkAlignment(value); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		e.alignment = int(value.(uint32))
	}
	if i, ok := e.keys[key]; ok {
		e.pairs[i].Value = value
		return nil
	}
	e.keys[key] = len(e.pairs)
	e.pairs = append(e.pairs, Pair{key, value})
	return nil
}

func (e *encoder) declare(name string, typ Type, dims []int) error {
	switch {
	case e.started:
		return fmt.Errorf("tensor %q: declared after the first bytes of a tensor", name)
	case name == "" || len(name) >= maxNameLen || !utf8.ValidString(name):
		// One byte less than may be read: llama.cpp keeps a terminating 0 in its 64.
		return fmt.Errorf("tensor %s: a name is 1 to %d bytes of UTF-8", quote(name), maxNameLen-1)
	case e.names[name]:
		return fmt.Errorf("tensor %q: declared twice", name)
	}
	size, err := checkShape(typ, dims)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", name, err)
	}
	e.names[name] = true
	e.tensors = append(e.tensors, declared{name, typ, append([]int(nil), dims...), size})
	return nil
}

// start writes everything that comes before the tensors' bytes.
func (e *encoder) start() error {
	if e.started {
		return e.err
	}
	e.started = true
	var b []byte
	b, e.err = e.directory()
	e.flush(b)
	return e.err
}

func (e *encoder) flush(b []byte) {
	if e.err == nil {
		_, e.err = e.out.Write(b)
	}
}

func (e *encoder) writeTensor(name string, data []byte) error {
	if err := e.start(); err != nil {
		return err
	}
	if e.next == len(e.tensors) || e.tensors[e.next].name != name {
		return fmt.Errorf("tensor %q: is not the next: %s", name, e.progress())
	}
	if t := e.tensors[e.next]; e.written != 0 || len(data) != t.size {
		return fmt.Errorf("tensor %q: %d bytes given, it has %d, of which %d are written", name, len(data), t.size, e.written)
	}
	_, err := e.write(data)
	return err
}

func (e *encoder) write(p []byte) (int, error) {
	if err := e.start(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if e.next == len(e.tensors) {
		return 0, fmt.Errorf("%d bytes more than the declared tensors have", len(p))
	}
	t := e.tensors[e.next]
	if len(p) > t.size-e.written {
		return 0, fmt.Errorf("tensor %q: %d bytes given, %d of its %d are left", t.name, len(p), t.size-e.written, t.size)
	}
	if e.flush(p); e.err != nil {
		return 0, e.err
	}
	if e.written += len(p); e.written == t.size {
		e.next, e.written = e.next+1, 0
		e.flush(make([]byte, padding(t.size, e.alignment)))
	}
	return len(p), e.err
}

func (e *encoder) finish() error {
	if err := e.start(); err != nil {
		return err
	}
	if e.next < len(e.tensors) {
		return errors.New(e.progress())
	}
	e.err = e.out.Flush()
	return e.err
}

// progress says which tensor's bytes come next.
func (e *encoder) progress() string {
	if e.next == len(e.tensors) {
		return fmt.Sprintf("all %d tensors are written", len(e.tensors))
	}
	t := e.tensors[e.next]
	return fmt.Sprintf("tensor %q has %d of its %d bytes", t.name, e.written, t.size)
}

// padding returns how many bytes are missing from n to a multiple of alignment.
func padding(n, alignment int) int { return -n & (alignment - 1) }
