package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Tensor is an entry of the tensor directory.
type Tensor struct {
	Name string
	Type Type
	// Dims are the extents, fastest varying first, as in the file: a weight
	// matrix of r rows and c columns has Dims {c, r}.
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
// that holds the tensors' bytes.
type File struct {
	Version int
	Pairs   []Pair    // metadata in file order
	Tensors []*Tensor // all parts' tensors in file order

	name    string
	keys    map[string]int
	tensors map[string]*Tensor
	maps    [][]byte
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

// Mappings returns the page-rounded memory mappings, one for each part. A GPU
// buffer may wrap them without a copy as long as the File stays open.
func (f *File) Mappings() [][]byte { return f.maps }

// Close unmaps the file. Tensor data must not be used afterwards.
func (f *File) Close() error {
	var err error
	for _, m := range f.maps {
		if e := unix.Munmap(m); err == nil {
			err = e
		}
	}
	f.maps = nil
	return err
}

// Open maps the GGUF file at path and reads its directory.
func Open(path string) (*File, error) {
	f := &File{name: path, keys: map[string]int{}, tensors: map[string]*Tensor{}}
	h, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	defer h.Close()
	st, err := h.Stat()
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	m, err := unix.Mmap(int(h.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("gguf: map %s: %w", path, err)
	}
	f.maps = [][]byte{m}
	r := reader{b: m}
	if string(r.take(4)) != "GGUF" {
		f.Close()
		return nil, fmt.Errorf("gguf: %s: not a GGUF file", path)
	}
	f.Version = int(r.u32())
	nt, nk := int(r.u64()), int(r.u64())
	for range nk {
		k := r.str()
		f.keys[k] = len(f.Pairs)
		f.Pairs = append(f.Pairs, Pair{k, r.value(Kind(r.u32()))})
	}
	offs := make([]uint64, nt)
	for i := range nt {
		t := &Tensor{Name: r.str()}
		t.Dims = make([]int, r.u32())
		for j := range t.Dims {
			t.Dims[j] = int(r.u64())
		}
		t.Type = Type(r.u32())
		offs[i] = r.u64()
		f.Tensors = append(f.Tensors, t)
		f.tensors[t.Name] = t
	}
	align, err := GetOr(f, "general.alignment", 32)
	if err != nil {
		f.Close()
		return nil, err
	}
	base := (r.off + align - 1) / align * align
	for i, t := range f.Tensors {
		t.Offset = int64(base) + int64(offs[i])
		t.Data = m[t.Offset : int(t.Offset)+t.RowBytes()*t.Rows()]
	}
	return f, nil
}

type reader struct {
	b   []byte
	off int
}

func (r *reader) take(n int) []byte {
	b := r.b[r.off : r.off+n]
	r.off += n
	return b
}
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *reader) str() string { return string(r.take(int(r.u64()))) }

func (r *reader) value(k Kind) any {
	switch k {
	case KindUint8:
		return r.take(1)[0]
	case KindInt8:
		return int8(r.take(1)[0])
	case KindUint16:
		return binary.LittleEndian.Uint16(r.take(2))
	case KindInt16:
		return int16(binary.LittleEndian.Uint16(r.take(2)))
	case KindUint32:
		return r.u32()
	case KindInt32:
		return int32(r.u32())
	case KindFloat32:
		return math.Float32frombits(r.u32())
	case KindBool:
		return r.take(1)[0] != 0
	case KindString:
		return r.str()
	case KindUint64:
		return r.u64()
	case KindInt64:
		return int64(r.u64())
	case KindFloat64:
		return math.Float64frombits(r.u64())
	}
	k = Kind(r.u32())
	n := int(r.u64())
	switch k {
	case KindString:
		s := make([]string, n)
		for i := range s {
			s[i] = r.str()
		}
		return s
	case KindUint8:
		return copyOf[uint8](r, n)
	case KindInt8:
		return copyOf[int8](r, n)
	case KindUint16:
		return copyOf[uint16](r, n)
	case KindInt16:
		return copyOf[int16](r, n)
	case KindUint32:
		return copyOf[uint32](r, n)
	case KindInt32:
		return copyOf[int32](r, n)
	case KindFloat32:
		return copyOf[float32](r, n)
	case KindBool:
		return copyOf[bool](r, n)
	case KindUint64:
		return copyOf[uint64](r, n)
	case KindInt64:
		return copyOf[int64](r, n)
	case KindFloat64:
		return copyOf[float64](r, n)
	}
	s := make([]any, n)
	for i := range s {
		s[i] = r.value(KindArray)
	}
	return s
}

func copyOf[T any](r *reader, n int) []T {
	s := make([]T, n)
	if n > 0 {
		b := unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), n*int(unsafe.Sizeof(s[0])))
		copy(b, r.take(len(b)))
	}
	return s
}
