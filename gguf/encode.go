package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// KindOf returns the kind of a metadata value, and for an array the kind of its
// elements. It reports false for a type that no metadata value has.
func KindOf(value any) (kind, elem Kind, ok bool) {
	switch value.(type) {
	case uint8:
		return KindUint8, 0, true
	case int8:
		return KindInt8, 0, true
	case uint16:
		return KindUint16, 0, true
	case int16:
		return KindInt16, 0, true
	case uint32:
		return KindUint32, 0, true
	case int32:
		return KindInt32, 0, true
	case float32:
		return KindFloat32, 0, true
	case bool:
		return KindBool, 0, true
	case string:
		return KindString, 0, true
	case uint64:
		return KindUint64, 0, true
	case int64:
		return KindInt64, 0, true
	case float64:
		return KindFloat64, 0, true
	case []uint8:
		return KindArray, KindUint8, true
	case []int8:
		return KindArray, KindInt8, true
	case []uint16:
		return KindArray, KindUint16, true
	case []int16:
		return KindArray, KindInt16, true
	case []uint32:
		return KindArray, KindUint32, true
	case []int32:
		return KindArray, KindInt32, true
	case []float32:
		return KindArray, KindFloat32, true
	case []bool:
		return KindArray, KindBool, true
	case []string:
		return KindArray, KindString, true
	case []any:
		return KindArray, KindArray, true
	case []uint64:
		return KindArray, KindUint64, true
	case []int64:
		return KindArray, KindInt64, true
	case []float64:
		return KindArray, KindFloat64, true
	}
	return 0, 0, false
}

// checkValue checks that v, which is in depth arrays, is a metadata value.
func checkValue(v any, depth int) error {
	kind, elem, ok := KindOf(v)
	switch {
	case !ok:
		return fmt.Errorf("a %T is no metadata value", v)
	case depth > 0 && kind != KindArray:
		return fmt.Errorf("a %T in an array of arrays", v)
	case depth == maxDepth:
		return fmt.Errorf("arrays are nested deeper than %d", maxDepth)
	case elem == KindArray:
		for i, a := range v.([]any) {
			if err := checkValue(a, depth+1); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
	}
	return nil
}

// directory returns the bytes of the file up to the tensors' data.
func (e *encoder) directory() ([]byte, error) {
	b := append([]byte(nil), "GGUF\x03\x00\x00\x00"...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(e.tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(e.pairs)))
	for _, p := range e.pairs {
		b = appendString(b, p.Key)
		kind, _, _ := KindOf(p.Value)
		b = binary.LittleEndian.AppendUint32(b, uint32(kind))
		b = appendValue(b, p.Value)
	}
	offset := 0
	for _, t := range e.tensors {
		b = appendString(b, t.name)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t.dims)))
		for _, d := range t.dims {
			b = binary.LittleEndian.AppendUint64(b, uint64(d))
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(t.typ))
		b = binary.LittleEndian.AppendUint64(b, uint64(offset))
		if t.size > math.MaxInt-offset-e.alignment {
			return nil, fmt.Errorf("tensor %q: the tensors are together too large", t.name)
		}
		offset += t.size + padding(t.size, e.alignment)
	}
	return append(b, make([]byte, padding(len(b), e.alignment))...), nil
}

func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// appendValue appends a value that checkValue has passed: its bytes, for an array
// after the kind and number of its elements.
func appendValue(b []byte, v any) []byte {
	header := func(k Kind, n int) {
		b = binary.LittleEndian.AppendUint32(b, uint32(k))
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	switch v := v.(type) {
	case string:
		return appendString(b, v)
	case []string:
		header(KindString, len(v))
		for _, s := range v {
			b = appendString(b, s)
		}
		return b
	case []any:
		header(KindArray, len(v))
		for _, a := range v {
			b = appendValue(b, a)
		}
		return b
	}
	if kind, elem, _ := KindOf(v); kind == KindArray {
		header(elem, binary.Size(v)/kindSizes[elem])
	}
	b, err := binary.Append(b, binary.LittleEndian, v)
	if err != nil {
		panic(err) // v has another type than checkValue lets pass
	}
	return b
}
