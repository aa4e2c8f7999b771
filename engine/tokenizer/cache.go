package tokenizer

import "hash/maphash"

const (
	cacheWord = 22   // longest word that is kept, in bytes
	cacheIDs  = 8    // most ids of a word that is kept
	cacheSize = 4096 // entries: 256 KB
)

// wordCache remembers the ids of words. It holds a fixed number of entries, a
// new word taking the place of the one with its hash. The zero cache is ready.
type wordCache struct {
	entries []cacheEntry
}

// cacheEntry is one cache line.
type cacheEntry struct {
	hash uint64
	n, k uint8 // lengths of word and ids
	word [cacheWord]byte
	ids  [cacheIDs]int32
}

// find appends the ids of word to dst. Where it does not know them it returns
// the entry to fill, or nil for a word that cannot be kept.
func (c *wordCache) find(seed maphash.Seed, word string, dst []int32) ([]int32, *cacheEntry, bool) {
	if len(word) > cacheWord {
		return dst, nil, false
	}
	if c.entries == nil {
		c.entries = make([]cacheEntry, cacheSize)
	}
	h := maphash.String(seed, word)
	e := &c.entries[h%cacheSize]
	if e.hash == h && int(e.n) == len(word) && string(e.word[:e.n]) == word {
		return append(dst, e.ids[:e.k]...), nil, true
	}
	e.hash = h
	e.n = 0xff // matches no word until put
	return dst, e, false
}

// put fills the entry that find returned.
func (e *cacheEntry) put(word string, ids []int32) {
	if e == nil || len(ids) > cacheIDs {
		return
	}
	e.n, e.k = uint8(len(word)), uint8(len(ids))
	copy(e.word[:], word)
	copy(e.ids[:], ids)
}
