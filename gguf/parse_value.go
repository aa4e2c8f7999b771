package gguf

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// kindSizes are the bytes of a value, 0 for strings and arrays.
var kindSizes = [...]int{
	KindUint8: 1, KindInt8: 1, KindBool: 1,
	KindUint16: 2, KindInt16: 2,
	KindUint32: 4, KindInt32: 4, KindFloat32: 4,
	KindUint64: 8, KindInt64: 8, KindFloat64: 8,
	KindString: 0, KindArray: 0,
}

// known reports whether k, read 4 bytes back, is a kind.
func (r *reader) known(k Kind) bool {
	if r.err == nil && int(k) >= len(kindSizes) {
		r.fail(r.off-4, "its kind %d is unknown", uint32(k))
	}
	return r.err == nil
}

// value reads a value of kind k: see Pair for what comes out.
func (r *reader) value(k Kind) any {
	if !r.known(k) {
		return nil
	}
	switch k {
	case KindUint8:
		return scalar[uint8](r, k)
	case KindInt8:
		return scalar[int8](r, k)
	case KindUint16:
		return scalar[uint16](r, k)
	case KindInt16:
		return scalar[int16](r, k)
	case KindUint32:
		return scalar[uint32](r, k)
	case KindInt32:
		return scalar[int32](r, k)
	case KindFloat32:
		return scalar[float32](r, k)
	case KindBool:
		if s := r.bools(1); len(s) == 1 {
			return s[0]
		}
		return nil
	case KindString:
		return string(r.text("its string"))
	case KindUint64:
		return scalar[uint64](r, k)
	case KindInt64:
		return scalar[int64](r, k)
	case KindFloat64:
		return scalar[float64](r, k)
	}
	return r.array(1)
}

// array reads an array that is in depth-1 others.
func (r *reader) array(depth int) any {
	k := Kind(r.u32("the kind of its elements"))
	if !r.known(k) {
		return nil
	}
	off := r.off
	n := r.u64("its number of elements")
	// A string takes 8 bytes for its length, an array 12 for kind and count: the
	// least that n of them can take is checked here, the rest as they are read.
	size := max(kindSizes[k], 1)
	switch k {
	case KindString:
		size = 8
	case KindArray:
		size = minArraySize
	}
	if !r.have(off, n, size, fmt.Sprintf("an array of %d %ss", n, k)) {
		return nil
	}
	switch k {
	case KindUint8:
		return vector[uint8](r, int(n))
	case KindInt8:
		return vector[int8](r, int(n))
	case KindUint16:
		return vector[uint16](r, int(n))
	case KindInt16:
		return vector[int16](r, int(n))
	case KindUint32:
		return vector[uint32](r, int(n))
	case KindInt32:
		return vector[int32](r, int(n))
	case KindFloat32:
		return vector[float32](r, int(n))
	case KindBool:
		return r.bools(int(n))
	case KindString:
		return r.strings(int(n))
	case KindUint64:
		return vector[uint64](r, int(n))
	case KindInt64:
		return vector[int64](r, int(n))
	case KindFloat64:
		return vector[float64](r, int(n))
	}
	if depth == maxDepth {
		r.fail(off-4, "arrays are nested deeper than %d", maxDepth)
		return nil
	}
	arrays := []any{}
	for i := 0; i < int(n) && r.err == nil; i++ {
		arrays = append(arrays, r.array(depth+1))
	}
	return arrays
}

// plain is the numbers of a file.
type plain interface {
	uint8 | int8 | uint16 | int16 | uint32 | int32 | float32 | uint64 | int64 | float64
}

func scalar[T plain](r *reader, k Kind) T {
	var v T
	if b := r.take(kindSizes[k], "its value"); b != nil {
		binary.Decode(b, binary.LittleEndian, &v)
	}
	return v
}

// vector reads n numbers, which the caller knows to be in the file.
func vector[T plain](r *reader, n int) []T {
	v := make([]T, n)
	if b := r.take(binary.Size(v), "its elements"); b != nil {
		binary.Decode(b, binary.LittleEndian, v)
	}
	return v
}

func (r *reader) bools(n int) []bool {
	b := r.take(n, "its value")
	v := make([]bool, len(b))
	for i, x := range b {
		if x > 1 {
			r.fail(r.off-n+i, "a bool is %d, want 0 or 1", x)
			return nil
		}
		v[i] = x == 1
	}
	return v
}

// strings reads n strings, whose lengths the caller knows to be in the file. They
// share one allocation, as a vocabulary has hundreds of thousands of them.
func (r *reader) strings(n int) []string {
	start, total := r.off, 0
	for i := range n {
		if r.left() < 8 {
			r.fail(r.off, "the file ends within the array, at string %d of %d", i, n)
			return nil
		}
		size := binary.LittleEndian.Uint64(r.b[r.off:])
		if size > uint64(r.left()-8) {
			r.fail(r.off, "string %d of %d bytes cannot be: only %d bytes of the file are left", i, size, r.left()-8)
			return nil
		}
		r.off += 8 + int(size)
		total += int(size)
	}
	var all strings.Builder
	all.Grow(total)
	list := make([]string, n)
	for i, b := 0, r.b[start:r.off]; i < n; i++ {
		size := int(binary.LittleEndian.Uint64(b))
		all.Write(b[8 : 8+size])
		list[i] = all.String()[all.Len()-size:]
		b = b[8+size:]
	}
	return list
}
