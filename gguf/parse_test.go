package gguf

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// one is a file with one tensor directory entry, its data section and more.
func one(name string, typ Type, offset uint64, size int, dims ...uint64) raw {
	return header(3, 1, 0).tensor(name, typ, offset, dims...).align().zeros(size)
}

// Every refusal, with the whole of its message: file, key or tensor, byte offset.
func TestParseRefuses(t *testing.T) {
	pair := func(key string, kind Kind) raw { return header(3, 0, 1).key(key, kind) }
	deep := pair("k", KindArray) // maxDepth+1 arrays in one another
	for range maxDepth {
		deep = deep.array(KindArray, 1)
	}
	deep = deep.array(KindUint8, 0)
	many := uint64(math.MaxUint64)
	for _, c := range []struct {
		name string
		file raw
		want string
	}{
		{"text", raw("Once upon a time, there was a file"), `header at byte 0: not a GGUF file: it begins with "Once upon a time, there "`},
		{"two bytes", raw("GG"), `header at byte 0: not a GGUF file: it begins with "GG"`},
		{"ggml", raw("tjgg\x01\x00\x00\x00"), `header at byte 0: not a GGUF file: it is in a ggml format from before GGUF`},
		{"lfs pointer", raw("version https://git-lfs.github.com/spec/v1\n"), `header at byte 0: not a GGUF file: it is a Git LFS pointer, which stands for the model that git lfs would fetch`},
		{"zip", raw("PK\x03\x04…"), `header at byte 0: not a GGUF file: it is a zip archive (a PyTorch checkpoint?)`},
		{"swapped magic", raw("FUGG"), `header at byte 0: not a GGUF file: its magic is byte-swapped`},
		{"short header", header(3, 0, 0)[:23], `header at byte 0: the file ends within the header: it has 23 bytes, the header 24`},
		{"version 0", header(0, 0, 0), `header at byte 4: GGUF version 0 is not supported; versions 2 and 3 are`},
		{"version 1", header(1, 0, 0), `header at byte 4: GGUF version 1 (of August 2023, with 32-bit lengths) is not supported; versions 2 and 3 are`},
		{"version 4", header(4, 0, 0), `header at byte 4: GGUF version 4 is not supported; versions 2 and 3 are`},
		{"big-endian", header(3<<24, 0, 0), `header at byte 4: the file is big-endian (version 3); only little-endian files are supported`},
		{"tensor count", header(3, 1, 0), `header at byte 8: a count of 1 tensors cannot be: only 0 bytes of the file are left`},
		{"tensor count overflows", header(3, many, 0).zeros(100), `header at byte 8: a count of 18446744073709551615 tensors cannot be: only 100 bytes of the file are left`},
		{"pair count", header(3, 0, 1<<63).zeros(100), `header at byte 16: a count of 9223372036854775808 metadata pairs cannot be: only 100 bytes of the file are left`},

		{"key empty", header(3, 0, 1).key("", KindUint32).zeros(4), `metadata pair 0 at byte 24: its key is empty`},
		{"key too long", pair(strings.Repeat("k", 1<<16), KindUint32).zeros(4), `metadata pair 0 at byte 24: its key has 65536 bytes, more than 65535`},
		{"key not UTF-8", pair("k\xff", KindUint32).zeros(4), `metadata pair 0 at byte 24: its key "k\xff" is not UTF-8`},
		{"key cut", header(3, 0, 1).u64(100).zeros(99), `metadata pair 0 at byte 24: its key of 100 bytes cannot be: only 99 bytes of the file are left`},
		{"key length overflows", header(3, 0, 1).u64(many).zeros(99), `metadata pair 0 at byte 24: its key of 18446744073709551615 bytes cannot be: only 99 bytes of the file are left`},
		{"key length cut", header(3, 0, 2).key("k12345", KindUint32).zeros(4 + 7), `metadata pair 1 at byte 46: the file ends within the length of its key`},
		{"key twice", header(3, 0, 2).key("k", KindUint8).u8(1).key("k", KindUint16).zeros(2), `key "k" at byte 38: the key is in the file twice`},
		{"kind unknown", pair("k", 13).zeros(8), `key "k" at byte 33: its kind 13 is unknown`},
		{"kind cut", pair("k5678", KindUint8)[:40], `key "k5678" at byte 37: the file ends within the kind of its value`},
		{"value cut", pair("k", KindUint64).zeros(7), `key "k" at byte 37: the file ends within its value`},
		{"bool 2", pair("k", KindBool).u8(2), `key "k" at byte 37: a bool is 2, want 0 or 1`},
		{"string cut", pair("k", KindString).u64(5).zeros(4), `key "k" at byte 37: its string of 5 bytes cannot be: only 4 bytes of the file are left`},
		{"string length overflows", pair("k", KindString).u64(many), `key "k" at byte 37: its string of 18446744073709551615 bytes cannot be: only 0 bytes of the file are left`},
		{"array kind unknown", pair("k", KindArray).array(99, 0), `key "k" at byte 37: its kind 99 is unknown`},
		{"array cut", pair("k", KindArray).array(KindUint32, 3).zeros(11), `key "k" at byte 41: an array of 3 uint32s cannot be: only 11 bytes of the file are left`},
		{"array count overflows", pair("k", KindArray).array(KindUint64, 1<<61).zeros(8), `key "k" at byte 41: an array of 2305843009213693952 uint64s cannot be: only 8 bytes of the file are left`},
		{"string array count", pair("k", KindArray).array(KindString, 1<<40).zeros(80), `key "k" at byte 41: an array of 1099511627776 strings cannot be: only 80 bytes of the file are left`},
		{"array of arrays count", pair("k", KindArray).array(KindArray, 7).zeros(80), `key "k" at byte 41: an array of 7 arrays cannot be: only 80 bytes of the file are left`},
		{"string array ends", pair("k", KindArray).array(KindString, 2).str("12345678"), `key "k" at byte 65: the file ends within the array, at string 1 of 2`},
		{"string in array", pair("k", KindArray).array(KindString, 2).str("a").u64(9).zeros(8), `key "k" at byte 58: string 1 of 9 bytes cannot be: only 8 bytes of the file are left`},
		{"bool array", pair("k", KindArray).array(KindBool, 3).u8(1).u8(0).u8(255), `key "k" at byte 51: a bool is 255, want 0 or 1`},
		{"arrays too deep", deep, `key "k" at byte 121: arrays are nested deeper than 8`},
		{"alignment 0", pair(keyAlignment, KindUint32).u32(0), `key "general.alignment" at byte 24: the alignment 0 is not a power of two from 8`},
		{"alignment 4", pair(keyAlignment, KindUint32).u32(4), `key "general.alignment" at byte 24: the alignment 4 is not a power of two from 8`},
		{"alignment 48", pair(keyAlignment, KindUint32).u32(48), `key "general.alignment" at byte 24: the alignment 48 is not a power of two from 8`},
		{"alignment of another kind", pair(keyAlignment, KindUint64).u64(32), `key "general.alignment" at byte 24: the alignment is a uint64, want a uint32`},

		{"name empty", one("", F32, 0, 32, 1), `tensor 0 at byte 24: its name is empty`},
		{"name too long", one(strings.Repeat("n", 65), F32, 0, 32, 1), `tensor 0 at byte 24: its name has 65 bytes, more than 64`},
		{"name not UTF-8", one("a\x80", F32, 0, 32, 1), `tensor 0 at byte 24: its name "a\x80" is not UTF-8`},
		{"tensor twice", header(3, 2, 0).tensor("a", F32, 0, 1).tensor("a", F32, 32, 1).align().zeros(64), `tensor "a" at byte 57: the tensor is in the file twice`},
		{"directory cut", header(3, 1, 0).tensor("12345", F32, 0, 1)[:60], `tensor "12345" at byte 53: the file ends within its offset`},
		{"dimensions cut", header(3, 1, 0).tensor("a", F32, 0, 1, 1)[:49], `tensor "a" at byte 45: the file ends within its dimensions`},
		{"five dimensions", one("a", F32, 0, 32, 1, 1, 1, 1, 1), `tensor "a" at byte 33: it has 5 dimensions, more than 4`},
		{"dimension 0", one("a", F32, 0, 32, 1, 0), `tensor "a" at byte 45: dimension 1 is 0`},
		{"dimension of 64 bits", one("a", F32, 0, 32, 1<<63), `tensor "a" at byte 37: dimension 0 is 9223372036854775808`},
		{"values overflow", one("a", F32, 0, 32, 1<<32, 1<<32), `tensor "a" at byte 33: dimensions [4294967296 4294967296] are too large: the number of values overflows`},
		{"values wrap to 0", one("a", F32, 0, 32, 1<<32, 1<<16, 1<<16), `tensor "a" at byte 33: dimensions [4294967296 65536 65536] are too large: the number of values overflows`},
		{"bytes overflow", one("a", F32, 0, 32, 1<<62), `tensor "a" at byte 33: dimensions [4611686018427387904] are too large: the number of bytes overflows`},
		{"part of a block", one("a", Q4_K, 0, 1024, 128, 2), `tensor "a" at byte 33: rows of 128 values are no whole number of Q4_K blocks of 256`},
		{"type unknown", one("a", 99, 0, 32, 1), `tensor "a" at byte 45: its type 99 is unknown`},
		{"type removed", one("a", 31, 0, 32, 1), `tensor "a" at byte 45: its type 31 (Q4_0_4_4) was removed from the format`},
		{"misaligned", one("a", F32, 4, 36, 1), `tensor "a" at byte 49: its offset 4 is not a multiple of the alignment 32`},
		{"data cut", one("a", F32, 0, 39, 10), `tensor "a" at byte 49: its 40 bytes at 0 of the data section, which begins at byte 64, are not in the file of 103 bytes`},
		{"data missing", one("a", F32, 0, 0, 10)[:57], `tensor "a" at byte 49: its 40 bytes at 0 of the data section, which begins at byte 64, are not in the file of 57 bytes`},
		{"offset past the end", one("a", F32, 64, 40, 1), `tensor "a" at byte 49: its 4 bytes at 64 of the data section, which begins at byte 64, are not in the file of 104 bytes`},
		{"offset overflows", one("a", F32, many-31, 40, 1), `tensor "a" at byte 49: its 4 bytes at 18446744073709551584 of the data section, which begins at byte 64, are not in the file of 104 bytes`},
		{"overlap", header(3, 2, 0).tensor("a", F32, 0, 9).tensor("b", F32, 32, 1).align().zeros(64), `tensor "b" at byte 82: its 4 bytes at 32 of the data section overlap the 36 bytes at 0 of tensor "a"`},
		{"overlap out of order", header(3, 2, 0).tensor("a", F32, 32, 1).tensor("b", F32, 0, 9).align().zeros(64), `tensor "a" at byte 49: its 4 bytes at 32 of the data section overlap the 36 bytes at 0 of tensor "b"`},
		{"same place", header(3, 2, 0).tensor("a", F32, 0, 1).tensor("b", F32, 0, 1).align().zeros(64), `tensor "b" at byte 82: its 4 bytes at 0 of the data section overlap the 4 bytes at 0 of tensor "a"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parse("m.gguf", c.file)
			if err == nil {
				t.Fatalf("opened: %+v", f)
			}
			if want := "gguf: m.gguf: " + c.want; err.Error() != want {
				t.Errorf("error\n\t%s\nwant\n\t%s", err, want)
			}
		})
	}
}

// Each prefix of a model, which a download that stopped leaves, is refused.
func TestParseRefusesEveryTruncation(t *testing.T) {
	b := tiny(t)
	whole, err := parse("m.gguf", b)
	if err != nil {
		t.Fatal(err)
	}
	last := whole.Tensors[len(whole.Tensors)-1]
	end := int(last.Offset) + len(last.Data) // the padding after it may be missing
	for n := range end {
		if _, err := parse("m.gguf", b[:n]); err == nil || !strings.HasPrefix(err.Error(), "gguf: m.gguf: ") {
			t.Fatalf("cut to %d of %d bytes: error %v", n, end, err)
		}
	}
	if _, err := parse("m.gguf", b[:end]); err != nil {
		t.Error(err)
	}
}

// What the format allows and writers seldom do.
func TestParseAccepts(t *testing.T) {
	for _, c := range []struct {
		name string
		file raw
		want string // the tensors
	}{
		{"nothing in it", header(3, 0, 0), ""},
		{"version 2", header(2, 1, 0).tensor("a", F32, 0, 1).align().zeros(4), "a F32 [1] at 64"},
		{"scalar", header(3, 1, 0).tensor("a", F32, 0).align().zeros(4), "a F32 [1] at 64"},
		{"out of order, with a gap", header(3, 2, 0).tensor("a", F32, 64, 1).tensor("b", F16, 0, 2).align().zeros(68), "a F32 [1] at 160, b F16 [2] at 96"},
		{"name of 64 bytes", one(strings.Repeat("n", 64), I8, 0, 1, 1), strings.Repeat("n", 64) + " I8 [1] at 128"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parse("m.gguf", c.file)
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, s := range f.Tensors {
				list = append(list, fmt.Sprintf("%s %v %v at %d", s.Name, s.Type, s.Dims, s.Offset))
			}
			if got := strings.Join(list, ", "); got != c.want {
				t.Errorf("tensors %s, want %s", got, c.want)
			}
		})
	}
}

func TestStringsOfAnArrayShareOneAllocation(t *testing.T) {
	list := make([]string, 10000)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	b, err := encode([]Pair{{"k", list}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(5, func() {
		if _, err := parse("m.gguf", b); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 50 {
		t.Errorf("%v allocations for a file with one array", allocs)
	}
}
