package gguf

import (
	"errors"
	"fmt"
	"math"
)

// Kind is the type of a metadata value, numbered as in the file.
type Kind uint32

// The metadata kinds of the GGUF specification.
const (
	KindUint8 Kind = iota
	KindInt8
	KindUint16
	KindInt16
	KindUint32
	KindInt32
	KindFloat32
	KindBool
	KindString
	KindArray
	KindUint64
	KindInt64
	KindFloat64
)

var kindNames = [...]string{"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array", "uint64", "int64", "float64"}

// String returns the Go-like name of the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint32(k))
}

// Pair is one metadata entry in file order. Value holds, by kind, a uint8,
// int8, uint16, int16, uint32, int32, float32, bool, string, uint64, int64,
// float64, a slice of one of these, or for an array of arrays a []any of such
// slices. Strings are copies: they outlive the file.
type Pair struct {
	Key   string
	Value any
}

// ErrNoKey is wrapped by Get when the file has no such key.
var ErrNoKey = errors.New("no such key")

// Number is what Get converts metadata numbers to.
type Number interface {
	int | int32 | int64 | uint32 | uint64 | float32 | float64
}

// Wanted lists the types Get and GetOr can return.
type Wanted interface {
	Number | bool | string | []string | []int | []int32 | []uint32 | []float32 | []bool | []uint8
}

// Get returns the value of a metadata key as T. Integers of any width convert
// to any integer type that holds them, numbers to floats; arrays element by
// element. An array that needs no conversion is the File's own and not to be
// changed. A missing key is ErrNoKey; another type or a value that does not
// fit is an error naming file and key.
func Get[T Wanted](f *File, key string) (T, error) {
	var out T
	v, ok := f.Lookup(key)
	if !ok {
		return out, fmt.Errorf("gguf: %s: key %q: %w", f.Name(), key, ErrNoKey)
	}
	if err := convert(v, &out); err != nil {
		return out, fmt.Errorf("gguf: %s: key %q: %w", f.Name(), key, err)
	}
	return out, nil
}

// GetOr is Get with a default for a missing key. A key of the wrong type is
// still an error.
func GetOr[T Wanted](f *File, key string, def T) (T, error) {
	out, err := Get[T](f, key)
	if errors.Is(err, ErrNoKey) {
		return def, nil
	}
	return out, err
}

func convert(v any, out any) error {
	ok := false
	switch out := out.(type) {
	case *bool:
		*out, ok = v.(bool)
	case *string:
		*out, ok = v.(string)
	case *[]string:
		*out, ok = v.([]string)
	case *[]bool:
		*out, ok = v.([]bool)
	case *int:
		return number(v, out)
	case *int32:
		return number(v, out)
	case *int64:
		return number(v, out)
	case *uint32:
		return number(v, out)
	case *uint64:
		return number(v, out)
	case *float32:
		return number(v, out)
	case *float64:
		return number(v, out)
	case *[]int:
		return numbers(v, out)
	case *[]int32:
		return numbers(v, out)
	case *[]uint32:
		return numbers(v, out)
	case *[]float32:
		return numbers(v, out)
	case *[]uint8:
		return numbers(v, out)
	}
	if !ok {
		return fmt.Errorf("has type %T, want %T", v, deref(out))
	}
	return nil
}

func deref(p any) any {
	switch p := p.(type) {
	case *bool:
		return *p
	case *string:
		return *p
	case *[]string:
		return *p
	case *[]bool:
		return *p
	}
	return p
}

// anyNumber is every number a metadata value can hold.
type anyNumber interface {
	uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | int64 | int | float32 | float64
}

func number[T anyNumber](v any, out *T) error {
	switch v := v.(type) {
	case uint8:
		return fit(v, out)
	case int8:
		return fit(v, out)
	case uint16:
		return fit(v, out)
	case int16:
		return fit(v, out)
	case uint32:
		return fit(v, out)
	case int32:
		return fit(v, out)
	case uint64:
		return fit(v, out)
	case int64:
		return fit(v, out)
	case float32:
		return fit(v, out)
	case float64:
		return fit(v, out)
	}
	return fmt.Errorf("has type %T, want %T", v, *out)
}

// fit converts v where T can hold it: integers exactly, floats by rounding.
func fit[V, T anyNumber](v V, out *T) error {
	*out = T(v)
	switch any(*out).(type) {
	case float32, float64:
		return nil
	}
	if f := float64(v); f != math.Trunc(f) {
		return fmt.Errorf("has value %v, want a %T", v, *out)
	}
	switch any(v).(type) {
	case float32, float64:
		return fmt.Errorf("has type %T, want %T", v, *out)
	}
	if V(*out) != v || (v < 0) != (*out < 0) {
		return fmt.Errorf("value %v does not fit %T", v, *out)
	}
	return nil
}

func numbers[T anyNumber](v any, out *[]T) error {
	switch v := v.(type) {
	case []T:
		*out = v
		return nil
	case []uint8:
		return fitAll(v, out)
	case []int8:
		return fitAll(v, out)
	case []uint16:
		return fitAll(v, out)
	case []int16:
		return fitAll(v, out)
	case []uint32:
		return fitAll(v, out)
	case []int32:
		return fitAll(v, out)
	case []uint64:
		return fitAll(v, out)
	case []int64:
		return fitAll(v, out)
	case []float32:
		return fitAll(v, out)
	case []float64:
		return fitAll(v, out)
	}
	return fmt.Errorf("has type %T, want %T", v, *out)
}

func fitAll[V, T anyNumber](v []V, out *[]T) error {
	s := make([]T, len(v))
	for i := range v {
		if err := fit(v[i], &s[i]); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	*out = s
	return nil
}
