package tokenizer

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"unsafe"
)

// stringTable is a list of different strings that finds them. Its memory has no
// pointers but its own few: to the garbage collector a vocabulary of 250,000 tokens as
// strings, and as keys of a map, is 20 MB to go through in every cycle.
type stringTable struct {
	all   []byte   // the strings, one after another
	ends  []uint32 // of each, in all
	slots []uint64 // a hash table, open addressing: the upper half of a string's hash, and its number + 1
	mask  uint64
	seed  maphash.Seed
}

// newStringTable returns a table for at most n strings of together some size bytes, both
// below 2³¹.
func newStringTable(n, size int) stringTable {
	slots := 1 << bits.Len(uint(2*n))
	return stringTable{
		all: make([]byte, 0, size), ends: make([]uint32, 0, n),
		slots: make([]uint64, slots), mask: uint64(slots - 1), seed: maphash.MakeSeed(),
	}
}

// add appends s and returns its number, or that of the one there already and false.
func (t *stringTable) add(s string) (int32, bool) {
	slot, hash := t.slot(s)
	if i := numberIn(*slot); i >= 0 {
		return i, false
	}
	t.all = append(t.all, s...)
	t.ends = append(t.ends, uint32(len(t.all)))
	*slot = hash | uint64(len(t.ends))
	return numberIn(*slot), true
}

// find returns the number of s.
func (t *stringTable) find(s string) (int32, bool) {
	if len(t.ends) == 0 {
		return -1, false
	}
	slot, _ := t.slot(s)
	i := numberIn(*slot)
	return i, i >= 0
}

// slot is where s is, or belongs, and what of its hash is kept there.
func (t *stringTable) slot(s string) (*uint64, uint64) {
	const upper = 1<<64 - 1<<32
	h := maphash.String(t.seed, s)
	for i := h; ; i++ {
		slot := &t.slots[i&t.mask]
		if *slot == 0 || (*slot^h)&upper == 0 && t.at(numberIn(*slot)) == s {
			return slot, h & upper
		}
	}
}

// numberIn is the number of a slot's string, -1 if it is empty.
func numberIn(slot uint64) int32 { return int32(uint32(slot)) - 1 }

func (t *stringTable) len() int { return len(t.ends) }

// at returns string i, which shares the table's memory.
func (t *stringTable) at(i int32) string {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	b := t.all[from:t.ends[i]]
	return unsafe.String(unsafe.SliceData(b), len(b)) // what is in the table does not change
}

// each yields all strings in order.
func (t *stringTable) each() iter.Seq2[int32, string] {
	return func(yield func(int32, string) bool) {
		for i := range int32(len(t.ends)) {
			if !yield(i, t.at(i)) {
				return
			}
		}
	}
}
