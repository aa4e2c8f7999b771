package gguf

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Tensor is an entry of the tensor directory.
type Tensor struct {
	Name string
	Type Type
	// Dims are the extents, fastest varying first, as in the file: a weight
	// matrix of r rows and c columns has Dims {c, r}. There is at least one,
	// each is at least 1, and their product fits an int.
	Dims []int
	// Data is the tensor's bytes inside the file mapping, valid until the
	// File is closed. Writing to it faults.
	Data []byte
	// Part is the index of the split file that holds the tensor (0 for a model in
	// one file) and Offset the position of Data in that file.
	Part   int
	Offset int64
}

// Elements returns the number of values.
func (t *Tensor) Elements() int {
	n := 1
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Cols returns the row length: Dims[0].
func (t *Tensor) Cols() int { return t.Dims[0] }

// Rows returns the number of rows: the product of all Dims but the first.
func (t *Tensor) Rows() int { return t.Elements() / t.Dims[0] }

// RowBytes returns the bytes of one row.
func (t *Tensor) RowBytes() int { return t.Type.RowBytes(t.Dims[0]) }

// Row returns the bytes of row i.
func (t *Tensor) Row(i int) []byte {
	n := t.RowBytes()
	return t.Data[i*n : (i+1)*n : (i+1)*n]
}

// File is an open GGUF model: metadata, tensor directory and the mapping
// that holds the tensors' bytes. Reading from it is safe from several
// goroutines at once; Close is not safe beside them.
type File struct {
	Version   int
	Alignment int       // of the tensors' offsets; of a split model, in the first part
	Pairs     []Pair    // metadata in file order; of a split model, the first part's
	Tensors   []*Tensor // all parts' tensors in file order

	name    string
	keys    map[string]int // index in Pairs
	tensors map[string]*Tensor
	parts   []part
}

// part is one file of the model.
type part struct {
	path string
	size int
	data []byte // the mapping: size rounded up to whole pages
}

// Name returns the path given to Open.
func (f *File) Name() string { return f.name }

// Lookup returns the raw value of a metadata key. See Pair for its types.
func (f *File) Lookup(key string) (any, bool) {
	i, ok := f.keys[key]
	if !ok {
		return nil, false
	}
	return f.Pairs[i].Value, true
}

// Tensor returns the tensor of that name, or nil.
func (f *File) Tensor(name string) *Tensor { return f.tensors[name] }

// Paths returns the path of each part, in order: one for a model in one file.
func (f *File) Paths() []string {
	paths := make([]string, len(f.parts))
	for i, p := range f.parts {
		paths[i] = p.path
	}
	return paths
}

// Size returns the bytes of all parts together.
func (f *File) Size() int64 {
	var n int64
	for _, p := range f.parts {
		n += int64(p.size)
	}
	return n
}

// Mappings returns the memory mapping of each part, indexed by Tensor.Part.
// A mapping begins on a page, holds the whole file from its first byte, and its
// length is the file's rounded up to a whole page (16 KiB on Apple silicon); the
// bytes past the end of the file are zero. A GPU buffer may therefore wrap
// it without a copy, as long as the File stays open.
func (f *File) Mappings() [][]byte {
	maps := make([][]byte, len(f.parts))
	for i, p := range f.parts {
		maps[i] = p.data
	}
	return maps
}

// Close unmaps the file. Tensor data, and buffers that wrap the mappings, must
// not be used afterwards; metadata may be. A second Close does nothing.
func (f *File) Close() error {
	for _, t := range f.Tensors {
		t.Data = nil // so that use after Close is a panic with a line, not a fault
	}
	var err error
	for i := range f.parts {
		if m := f.parts[i].data; m != nil {
			if e := unix.Munmap(m); e != nil && err == nil {
				err = fmt.Errorf("gguf: unmap %s: %w", f.parts[i].path, e)
			}
			f.parts[i].data = nil
		}
	}
	return err
}

// Open maps the GGUF file at path and reads its metadata and tensor directory.
// It takes time by the size of the metadata, not of the file.
//
// A split model, whose files are named NAME-00001-of-0000N.gguf and so on, is
// opened whole by the path of any of its parts.
//
// The pages are shared with the file: nobody may shorten it while it is open.
// Touching a page that is gone ends a Go program, unless it is done in Guard. Replacing the file by a rename, as Writer does, is harmless.
func Open(path string) (*File, error) {
	f, err := openPart(path)
	if err != nil {
		return nil, err
	}
	whole, err := f.joinParts()
	if err != nil {
		f.Close()
		return nil, err
	}
	return whole, nil
}

// OpenBytes is Open for a model in memory, such as one embedded in the program.
// The bytes are copied, so that the mapping begins on a page as Open's does; name
// stands for the path in errors. A part of a split model is refused.
func OpenBytes(name string, data []byte) (*File, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("gguf: %s: is empty", name)
	}
	m, err := unix.Mmap(-1, 0, pageRound(len(data)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("gguf: map %s: %w", name, err)
	}
	copy(m, data)
	if err := unix.Mprotect(m, unix.PROT_READ); err != nil {
		unix.Munmap(m)
		return nil, fmt.Errorf("gguf: map %s: %w", name, err)
	}
	f, err := parse(name, m[:len(data):len(data)])
	if err == nil {
		var count int
		if count, err = GetOr(f, keySplitCount, 0); err == nil && count > 1 {
			err = fmt.Errorf("gguf: %s: is a part of a split model", name)
		}
	}
	if err != nil {
		unix.Munmap(m)
		return nil, err
	}
	f.parts = []part{{path: name, size: len(data), data: m}}
	return f, nil
}

// openPart maps and reads one file, as if it were the whole model.
func openPart(path string) (*File, error) {
	p, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	f, err := p.parse()
	if err != nil {
		unix.Munmap(p.data)
		return nil, err
	}
	f.parts = []part{p}
	return f, nil
}

// parse is the file's own parse, guarded: a failing disk, or a file cut while it is
// read, is an error.
func (p part) parse() (f *File, err error) {
	fault := Guard(func() error {
		f, err = parse(p.path, p.data[:p.size:p.size])
		return nil
	})
	if fault != nil {
		return nil, fmt.Errorf("gguf: %s: %w", p.path, fault)
	}
	return f, err
}

// mapFile maps the file at path, read-only.
func mapFile(path string) (part, error) {
	// Stat comes before Open, which would wait for the writer of a named pipe.
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return part{}, fmt.Errorf("gguf: open %s: %w", path, cause(err))
	case st.IsDir():
		return part{}, fmt.Errorf("gguf: %s: is a directory, not a model file", path)
	case !st.Mode().IsRegular():
		return part{}, fmt.Errorf("gguf: %s: is not a regular file", path)
	}
	h, err := os.Open(path)
	if err != nil {
		return part{}, fmt.Errorf("gguf: open %s: %w", path, cause(err))
	}
	defer h.Close() // the mapping outlives the descriptor
	if st, err = h.Stat(); err != nil {
		return part{}, fmt.Errorf("gguf: open %s: %w", path, cause(err))
	}
	size := int(st.Size())
	if size == 0 {
		return part{}, fmt.Errorf("gguf: %s: is empty", path)
	}
	m, err := unix.Mmap(int(h.Fd()), 0, pageRound(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return part{}, fmt.Errorf("gguf: map %s: %w", path, err)
	}
	preferHugePages(m)
	return part{path: path, size: size, data: m}, nil
}

func pageRound(n int) int {
	page := os.Getpagesize()
	return (n + page - 1) / page * page
}

// cause strips the operation and path that a file error repeats.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
