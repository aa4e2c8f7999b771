package gguf

import (
	"errors"
	"math"
	"reflect"
	"testing"
)

func TestGet(t *testing.T) {
	f, err := parse("m.gguf", mustEncode(t, []Pair{
		{"u8", uint8(200)}, {"i8", int8(-3)}, {"u32", uint32(math.MaxUint32)}, {"i64", int64(-5)}, {"u64", uint64(math.MaxUint64)},
		{"f32", float32(0.5)}, {"f64", 2.5}, {"bool", true}, {"string", "s"},
		{"strings", []string{"a", "b"}}, {"i32s", []int32{-1, 2}}, {"u8s", []uint8{1, 2}}, {"f32s", []float32{0.5}}, {"bools", []bool{true}}, {"i64s", []int64{1, 1 << 40}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	type got struct {
		v   any
		err error
	}
	g := func(v any, err error) got { return got{v, err} }
	for _, c := range []struct {
		name string
		got  got
		want any // the value, or the end of the error's message
	}{
		{"int of uint8", g(Get[int](f, "u8")), 200},
		{"int of int8", g(Get[int](f, "i8")), -3},
		{"int of uint32", g(Get[int](f, "u32")), math.MaxUint32},
		{"int32 of uint32", g(Get[int32](f, "u32")), errors.New(`key "u32": value 4294967295 does not fit int32`)},
		{"uint64 of uint64", g(Get[uint64](f, "u64")), uint64(math.MaxUint64)},
		{"int of uint64", g(Get[int](f, "u64")), errors.New(`key "u64": value 18446744073709551615 does not fit int`)},
		{"uint32 of int64", g(Get[uint32](f, "i64")), errors.New(`key "i64": value -5 does not fit uint32`)},
		{"uint64 of int64", g(Get[uint64](f, "i64")), errors.New(`key "i64": value -5 does not fit uint64`)},
		{"float64 of int8", g(Get[float64](f, "i8")), -3.0},
		{"float32 of float64", g(Get[float32](f, "f64")), float32(2.5)},
		{"int of float32", g(Get[int](f, "f32")), errors.New(`key "f32": has value 0.5, want a int`)},
		{"int of bool", g(Get[int](f, "bool")), errors.New(`key "bool": has type bool, want int`)},
		{"bool", g(Get[bool](f, "bool")), true},
		{"bool of uint8", g(Get[bool](f, "u8")), errors.New(`key "u8": has type uint8, want bool`)},
		{"string", g(Get[string](f, "string")), "s"},
		{"string of strings", g(Get[string](f, "strings")), errors.New(`key "strings": has type []string, want string`)},
		{"strings", g(Get[[]string](f, "strings")), []string{"a", "b"}},
		{"strings of string", g(Get[[]string](f, "string")), errors.New(`key "string": has type string, want []string`)},
		{"ints of int32s", g(Get[[]int](f, "i32s")), []int{-1, 2}},
		{"int32s", g(Get[[]int32](f, "i32s")), []int32{-1, 2}},
		{"uint32s of int32s", g(Get[[]uint32](f, "i32s")), errors.New(`key "i32s": element 0: value -1 does not fit uint32`)},
		{"int32s of int64s", g(Get[[]int32](f, "i64s")), errors.New(`key "i64s": element 1: value 1099511627776 does not fit int32`)},
		{"float32s of uint8s", g(Get[[]float32](f, "u8s")), []float32{1, 2}},
		{"ints of a number", g(Get[[]int](f, "u8")), errors.New(`key "u8": has type uint8, want []int`)},
		{"bools", g(Get[[]bool](f, "bools")), []bool{true}},
		{"missing", g(Get[int](f, "none")), errors.New(`key "none": no such key`)},
		{"default", g(GetOr(f, "none", 7)), 7},
		{"no default for a wrong type", g(GetOr(f, "string", 7)), errors.New(`key "string": has type string, want int`)},
	} {
		if want, ok := c.want.(error); ok {
			if c.got.err == nil || c.got.err.Error() != "gguf: m.gguf: "+want.Error() {
				t.Errorf("%s: %v, %v; want error %v", c.name, c.got.v, c.got.err, want)
			}
		} else if c.got.err != nil || !reflect.DeepEqual(c.got.v, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, c.got.v, c.got.err, c.want)
		}
	}
	if _, err := Get[int](f, "none"); !errors.Is(err, ErrNoKey) {
		t.Errorf("error of a missing key %v is not ErrNoKey", err)
	}
}

func TestParseType(t *testing.T) {
	for i, l := range layouts {
		if l.name == "" {
			continue
		}
		if got, err := ParseType(l.name); got != Type(i) || err != nil {
			t.Errorf("ParseType(%s) = %v, %v", l.name, got, err)
		}
	}
	if got, err := ParseType("q4_k"); got != Q4_K || err != nil {
		t.Errorf("ParseType(q4_k) = %v, %v", got, err)
	}
	if _, err := ParseType("Q9_9"); err == nil || err.Error() != `gguf: unknown tensor type "Q9_9"` {
		t.Errorf("ParseType(Q9_9): %v", err)
	}
	if got := Type(99).String(); got != "type(99)" {
		t.Errorf("Type(99) is %q", got)
	}
}

// Numbers of every kind, alone and in arrays, convert to the types that hold them.
func TestGetConvertsEveryKind(t *testing.T) {
	f, err := parse("m.gguf", mustEncode(t, []Pair{
		{"uint8", uint8(7)}, {"int8", int8(7)}, {"uint16", uint16(7)}, {"int16", int16(7)}, {"uint32", uint32(7)}, {"int32", int32(7)},
		{"uint64", uint64(7)}, {"int64", int64(7)}, {"float32", float32(7)}, {"float64", 7.0},
		{"[]uint8", []uint8{7}}, {"[]int8", []int8{7}}, {"[]uint16", []uint16{7}}, {"[]int16", []int16{7}}, {"[]uint32", []uint32{7}}, {"[]int32", []int32{7}},
		{"[]uint64", []uint64{7}}, {"[]int64", []int64{7}}, {"[]float32", []float32{7}}, {"[]float64", []float64{7}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Pairs {
		if p.Key[0] != '[' {
			gets(t, f, p, 7.0, float32(7))
			if p.Key[0] != 'f' {
				gets(t, f, p, 7, int32(7))
			} else if _, err := Get[int](f, p.Key); err == nil {
				t.Errorf("%s converts to int", p.Key)
			}
			continue
		}
		gets(t, f, p, []float32{7}, []float32{7})
		if p.Key[2] != 'f' {
			gets(t, f, p, []int{7}, []uint8{7})
			gets(t, f, p, []int32{7}, []uint32{7})
		} else if _, err := Get[[]int](f, p.Key); err == nil {
			t.Errorf("%s converts to []int", p.Key)
		}
	}
}

func gets[A, B Wanted](t *testing.T, f *File, p Pair, a A, b B) {
	t.Helper()
	if got, err := Get[A](f, p.Key); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("%s as %T: %v, %v", p.Key, a, got, err)
	}
	if got, err := Get[B](f, p.Key); err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("%s as %T: %v, %v", p.Key, b, got, err)
	}
}

func TestKindString(t *testing.T) {
	if got := KindFloat64.String() + " " + Kind(13).String(); got != "float64 kind(13)" {
		t.Errorf("kinds are %s", got)
	}
}
