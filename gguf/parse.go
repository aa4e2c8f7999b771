package gguf

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of the format. A file that exceeds one is refused.
const (
	maxKeyLen  = 1<<16 - 1 // bytes of a metadata key
	maxNameLen = 64        // bytes of a tensor name
	maxDims    = 4
	maxDepth   = 8 // arrays inside arrays; nobody is known to use more than 2

	headerSize   = 24
	minPairSize  = 8 + 1 + 4 + 1     // key of one byte, kind, value of one byte
	minInfoSize  = 8 + 1 + 4 + 4 + 8 // name of one byte, no dimensions, type, offset
	minArraySize = 4 + 8             // kind and count of an array inside an array

	defaultAlignment = 32
	minAlignment     = 8 // the specification's "multiple of 8"

	keyAlignment = "general.alignment"
)

// parse reads metadata and tensor directory of the file whose bytes are b. The
// tensors' Data are slices of b; nothing else is.
func parse(path string, b []byte) (*File, error) {
	r := &reader{path: path, b: b}
	f := &File{name: path, Alignment: defaultAlignment, keys: map[string]int{}, tensors: map[string]*Tensor{}}
	tensors, pairs := r.header(f)
	r.pairs(f, pairs)
	offsets := r.tensors(f, tensors)
	r.place(f, offsets)
	if r.err != nil {
		return nil, r.err
	}
	return f, nil
}

// reader walks through a file. Its first failure sticks: it is kept in err, and
// from then on every read gives zero without moving. So only loops need look at err.
type reader struct {
	path string
	b    []byte
	off  int
	item string // what is being read, for errors
	err  error
}

// fail records that what stands at off is wrong.
func (r *reader) fail(off int, format string, args ...any) {
	if r.err == nil {
		r.err = &FormatError{Path: r.path, Item: r.item, Offset: int64(off), Reason: fmt.Sprintf(format, args...)}
	}
}

func (r *reader) left() int { return len(r.b) - r.off }

// have reports whether n more things of size bytes each, or of no less than
// that, can be in the file; if not it fails at off, where the count stands.
func (r *reader) have(off int, n uint64, size int, what string) bool {
	if r.err == nil && n > uint64(r.left()/size) {
		r.fail(off, "%s cannot be: only %d bytes of the file are left", what, r.left())
	}
	return r.err == nil
}

// take returns the next n bytes, or nil.
func (r *reader) take(n int, what string) []byte {
	if r.err != nil {
		return nil
	}
	if n > r.left() {
		r.fail(r.off, "the file ends within %s", what)
		return nil
	}
	b := r.b[r.off : r.off+n]
	r.off += n
	return b
}

func (r *reader) u32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64(what string) uint64 {
	if b := r.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// text returns the next string without a copy.
func (r *reader) text(what string) []byte {
	off := r.off
	n := r.u64("the length of " + what)
	if n > uint64(r.left()) {
		r.fail(off, "%s of %d bytes cannot be: only %d bytes of the file are left", what, n, r.left())
		return nil
	}
	return r.take(int(n), what)
}

// ident returns the next string as the name of something: not empty, of valid
// UTF-8 and at most limit bytes.
func (r *reader) ident(limit int, what string) string {
	off := r.off
	b := r.text(what)
	switch {
	case r.err != nil:
	case len(b) == 0:
		r.fail(off, "%s is empty", what)
	case len(b) > limit:
		r.fail(off, "%s has %d bytes, more than %d", what, len(b), limit)
	case !utf8.Valid(b):
		r.fail(off, "%s %s is not UTF-8", what, quote(string(b)))
	default:
		return string(b)
	}
	return ""
}

// quote returns s in quotes, shortened when it is long.
func quote(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%q… (%d bytes)", s[:80], len(s))
	}
	return strconv.Quote(s)
}

// header reads magic, version and the counts of tensors and pairs.
func (r *reader) header(f *File) (tensors, pairs uint64) {
	r.item = "header"
	if !bytes.HasPrefix(r.b, []byte("GGUF")) {
		r.fail(0, "not a GGUF file: %s", foreign(r.b))
		return 0, 0
	}
	if len(r.b) < headerSize {
		r.fail(0, "the file ends within the header: it has %d bytes, the header %d", len(r.b), headerSize)
		return 0, 0
	}
	r.off = 4
	version := r.u32("the version")
	switch {
	case version == 1:
		r.fail(4, "GGUF version 1 (of August 2023, with 32-bit lengths) is not supported; versions 2 and 3 are")
	case version == 2 || version == 3:
	case bits.ReverseBytes32(version) <= 0xff && version != 0:
		r.fail(4, "the file is big-endian (version %d); only little-endian files are supported", bits.ReverseBytes32(version))
	default:
		r.fail(4, "GGUF version %d is not supported; versions 2 and 3 are", version)
	}
	f.Version = int(version)
	tensors, pairs = r.u64("the tensor count"), r.u64("the metadata count")
	r.have(8, tensors, minInfoSize, fmt.Sprintf("a count of %d tensors", tensors))
	r.have(16, pairs, minPairSize, fmt.Sprintf("a count of %d metadata pairs", pairs))
	return tensors, pairs
}

// foreign says what a file that is not GGUF looks like.
func foreign(b []byte) string {
	head := string(b[:min(len(b), 24)])
	switch {
	case strings.HasPrefix(head, "tjgg"), strings.HasPrefix(head, "lmgg"), strings.HasPrefix(head, "fmgg"):
		return "it is in a ggml format from before GGUF"
	case strings.HasPrefix(head, "FUGG"):
		return "its magic is byte-swapped"
	case strings.HasPrefix(head, "version https://git-lfs"):
		return "it is a Git LFS pointer, which stands for the model that git lfs would fetch"
	case strings.HasPrefix(head, "PK\x03\x04"):
		return "it is a zip archive (a PyTorch checkpoint?)"
	}
	return fmt.Sprintf("it begins with %q", head)
}

// pairs reads the n metadata pairs.
func (r *reader) pairs(f *File, n uint64) {
	for i := uint64(0); i < n && r.err == nil; i++ {
		r.item = fmt.Sprintf("metadata pair %d", i)
		off := r.off
		key := r.ident(maxKeyLen, "its key")
		if r.err != nil {
			return
		}
		r.item = "key " + quote(key)
		if _, twice := f.keys[key]; twice {
			r.fail(off, "the key is in the file twice")
			return
		}
		value := r.value(Kind(r.u32("the kind of its value")))
		if key == keyAlignment && r.err == nil {
			if err := checkAlignment(value); err != nil {
				r.fail(off, "%v", err)
				return
			}
			f.Alignment = int(value.(uint32))
		}
		f.keys[key] = len(f.Pairs)
		f.Pairs = append(f.Pairs, Pair{key, value})
	}
}

// checkAlignment checks a value of the key general.alignment.
func checkAlignment(v any) error {
	a, ok := v.(uint32)
	if !ok {
		return fmt.Errorf("the alignment is a %T, want a uint32", v)
	}
	if a < minAlignment || a&(a-1) != 0 {
		return fmt.Errorf("the alignment %d is not a power of two from %d", a, minAlignment)
	}
	return nil
}

// tensors reads the n entries of the directory, all but their Data. It returns
// their offsets in the data section.
func (r *reader) tensors(f *File, n uint64) []entry {
	var entries []entry
	for i := uint64(0); i < n && r.err == nil; i++ {
		r.item = fmt.Sprintf("tensor %d", i)
		at := r.off
		t := &Tensor{Name: r.ident(maxNameLen, "its name")}
		if r.err != nil {
			return nil
		}
		r.item = fmt.Sprintf("tensor %q", t.Name)
		if f.tensors[t.Name] != nil {
			r.fail(at, "the tensor is in the file twice")
			return nil
		}
		size := r.shape(t)
		at = r.off
		entries = append(entries, entry{t: t, at: at, size: size, offset: r.u64("its offset")})
		f.tensors[t.Name] = t
		f.Tensors = append(f.Tensors, t)
	}
	return entries
}

// entry is a directory entry whose tensor has no Data yet.
type entry struct {
	t      *Tensor
	at     int    // where the offset stands in the file
	offset uint64 // in the data section
	size   int
}

// shape reads dimensions and type and returns the tensor's size in bytes.
func (r *reader) shape(t *Tensor) int {
	off := r.off
	n := r.u32("its number of dimensions")
	if n > maxDims {
		r.fail(off, "it has %d dimensions, more than %d", n, maxDims)
		return 0
	}
	t.Dims = make([]int, n, maxDims)
	for i := range t.Dims {
		at := r.off
		d := r.u64("its dimensions")
		if r.err == nil && (d == 0 || d > math.MaxInt) {
			r.fail(at, "dimension %d is %d", i, d)
		}
		t.Dims[i] = int(d)
	}
	if n == 0 {
		t.Dims = append(t.Dims, 1) // a scalar
	}
	at := r.off
	t.Type = Type(r.u32("its type"))
	if r.err != nil {
		return 0
	}
	size, err := checkShape(t.Type, t.Dims)
	if err != nil {
		if !t.Type.Known() {
			off = at
		}
		r.fail(off, "%v", err)
	}
	return size
}

// checkShape returns the bytes of a tensor, or an error if there can be no
// such tensor.
func checkShape(typ Type, dims []int) (int, error) {
	if !typ.Known() {
		if name := removedTypes[typ]; name != "" {
			return 0, fmt.Errorf("its type %d (%s) was removed from the format", uint32(typ), name)
		}
		return 0, fmt.Errorf("its type %d is unknown", uint32(typ))
	}
	if len(dims) < 1 || len(dims) > maxDims {
		return 0, fmt.Errorf("it has %d dimensions, not 1 to %d", len(dims), maxDims)
	}
	elements := 1
	for i, d := range dims {
		if d < 1 {
			return 0, fmt.Errorf("dimension %d is %d", i, d)
		}
		var ok bool
		if elements, ok = mul(elements, d); !ok {
			return 0, fmt.Errorf("dimensions %v are too large: the number of values overflows", dims)
		}
	}
	if dims[0]%typ.BlockSize() != 0 {
		return 0, fmt.Errorf("rows of %d values are no whole number of %s blocks of %d", dims[0], typ, typ.BlockSize())
	}
	size, ok := mul(elements/typ.BlockSize(), typ.BlockBytes())
	if !ok {
		return 0, fmt.Errorf("dimensions %v are too large: the number of bytes overflows", dims)
	}
	return size, nil
}

// mul returns a*b of numbers that are not negative, and whether it fits.
func mul(a, b int) (int, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int(lo), hi == 0 && lo <= math.MaxInt
}

// place gives each tensor its Data, after checking that it is aligned, in the
// file, and nobody else's.
func (r *reader) place(f *File, entries []entry) {
	if r.err != nil || len(entries) == 0 {
		return
	}
	base := uint64(r.off)
	base += -base & uint64(f.Alignment-1)
	for _, e := range entries {
		r.item = fmt.Sprintf("tensor %q", e.t.Name)
		start := base + e.offset
		switch {
		case e.offset%uint64(f.Alignment) != 0:
			r.fail(e.at, "its offset %d is not a multiple of the alignment %d", e.offset, f.Alignment)
		case start < base || start > uint64(len(r.b)) || uint64(e.size) > uint64(len(r.b))-start:
			r.fail(e.at, "its %d bytes at %d of the data section, which begins at byte %d, are not in the file of %d bytes", e.size, e.offset, base, len(r.b))
		}
		if r.err != nil {
			return
		}
		e.t.Offset = int64(start)
		e.t.Data = r.b[start : start+uint64(e.size) : start+uint64(e.size)]
	}
	byOffset := slices.SortedStableFunc(slices.Values(entries), func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	for i, e := range byOffset[1:] {
		if before := byOffset[i]; e.offset < before.offset+uint64(before.size) {
			r.item = fmt.Sprintf("tensor %q", e.t.Name)
			r.fail(e.at, "its %d bytes at %d of the data section overlap the %d bytes at %d of tensor %q", e.size, e.offset, before.size, before.offset, before.t.Name)
			return
		}
	}
}
