package gguf

import (
	"encoding/binary"
	"testing"
)

// raw puts a file together by hand, to say what Writer refuses to.
type raw []byte

func header(version uint32, tensors, pairs uint64) raw {
	return raw("GGUF").u32(version).u64(tensors).u64(pairs)
}

func (b raw) u8(v byte) raw    { return append(b, v) }
func (b raw) u32(v uint32) raw { return binary.LittleEndian.AppendUint32(b, v) }
func (b raw) u64(v uint64) raw { return binary.LittleEndian.AppendUint64(b, v) }
func (b raw) str(s string) raw { return append(b.u64(uint64(len(s))), s...) }
func (b raw) zeros(n int) raw  { return append(b, make([]byte, n)...) }

// key begins a metadata pair, tensor writes a directory entry.
func (b raw) key(k string, kind Kind) raw { return b.str(k).u32(uint32(kind)) }
func (b raw) tensor(name string, typ Type, offset uint64, dims ...uint64) raw {
	b = b.str(name).u32(uint32(len(dims)))
	for _, d := range dims {
		b = b.u64(d)
	}
	return b.u32(uint32(typ)).u64(offset)
}

// array begins an array.
func (b raw) array(elem Kind, n uint64) raw { return b.u32(uint32(elem)).u64(n) }

// align pads to a multiple of 32.
func (b raw) align() raw { return b.zeros(padding(len(b), 32)) }

// tiny is the smallest model that has everything: a pair of each kind, arrays of
// numbers, strings and arrays, tensors of plain and quantised types.
func tiny(t testing.TB) []byte {
	t.Helper()
	b, err := encode(everyKind, []declared{
		{name: "token_embd.weight", typ: F32, dims: []int{4, 3}},
		{name: "blk.0.attn_norm.weight", typ: F16, dims: []int{5}},
		{name: "blk.0.attn_q.weight", typ: Q4_0, dims: []int{64, 2, 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// everyKind has a pair of each kind of value, with the values at the ends of
// their ranges.
var everyKind = []Pair{
	{"general.architecture", "llama"},
	{"k.uint8", uint8(255)}, {"k.int8", int8(-128)},
	{"k.uint16", uint16(65535)}, {"k.int16", int16(-32768)},
	{"k.uint32", uint32(4294967295)}, {"k.int32", int32(-2147483648)},
	{"k.uint64", uint64(18446744073709551615)}, {"k.int64", int64(-9223372036854775808)},
	{"k.float32", float32(1e-5)}, {"k.float64", 1e300},
	{"k.true", true}, {"k.false", false},
	{"k.string", "grüß dich\x00\n"}, {"k.empty", ""},
	{"a.uint8", []uint8{0, 255}}, {"a.int8", []int8{-128, 127}},
	{"a.uint16", []uint16{0, 65535}}, {"a.int16", []int16{-32768, 32767}},
	{"a.uint32", []uint32{0, 4294967295}}, {"a.int32", []int32{-2147483648, 2147483647}},
	{"a.uint64", []uint64{0, 18446744073709551615}}, {"a.int64", []int64{-9223372036854775808, 9223372036854775807}},
	{"a.float32", []float32{1, -0.5}}, {"a.float64", []float64{1, -1e300}},
	{"a.bool", []bool{true, false, true}},
	{"a.string", []string{"", "a", "", "bc", "\xff not UTF-8"}},
	{"a.empty", []uint32{}}, {"a.emptystrings", []string{}}, {"a.emptyarrays", []any{}},
	{"a.array", []any{[]uint8{1}, []string{"x", "y"}, []any{[]float64{2}, []any{}}}},
}
