package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"sync"
)

// class is a set of properties of a code point, as the pre-tokenizers' regular
// expressions name them. A code point has exactly one of the general
// categories; the other bits come on top.
type class uint16

const (
	number  class = 1 << iota // \p{N}
	letter                    // \p{L}
	mark                      // \p{M}
	punct                     // \p{P}
	symb                      // \p{S}
	control                   // \p{C} without unassigned code points
	space                     // \s: Unicode White_Space
	han                       // Han ideographs, in the blocks llama.cpp counts
	anyChar                   // every code point; 0 is the class of "no text here"
)

// classes holds the class of every code point in two stages: page[r>>8]
// selects 256 entries of leaf. The data is pinned to Unicode 15.1, which is
// what llama.cpp's tables (and so the reference ids) are made of, whatever
// version the Go toolchain's own tables have.
type classTable struct {
	page [0x1100]uint8
	leaf [][256]class
}

var classes = sync.OnceValue(func() *classTable {
	all := make([]class, 0x110000)
	data, err := base64.StdEncoding.DecodeString(classRuns)
	if err != nil {
		panic("tokenizer: " + err.Error()) // a constant of this package
	}
	for r := 0; r < len(all); {
		n, w := binary.Uvarint(data)
		c := anyChar | class(data[w])
		for range n {
			all[r] = c
			r++
		}
		data = data[w+1:]
	}
	for _, b := range hanBlocks {
		for r := b[0]; r <= b[1]; r++ {
			all[r] |= han
		}
	}
	t := &classTable{}
	seen := map[[256]class]uint8{}
	for p := range t.page {
		leaf := [256]class(all[p<<8:])
		i, ok := seen[leaf]
		if !ok {
			i = uint8(len(t.leaf))
			seen[leaf] = i
			t.leaf = append(t.leaf, leaf)
		}
		t.page[p] = i
	}
	return t
})

func (t *classTable) of(r rune) class {
	if uint32(r) >= 0x110000 {
		return anyChar
	}
	return t.leaf[t.page[r>>8]][r&0xff]
}

// hanBlocks are the blocks that count as Han for kimi-k2.
var hanBlocks = [][2]rune{
	{0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xF900, 0xFAFF},
	{0x20000, 0x2A6DF}, {0x2A700, 0x2EBEF}, {0x2F800, 0x2FA1F},
}

// runeAt decodes the character at s[i:end]. It takes the generalised UTF-8
// that canonical makes (surrogates allowed) and is not meant for other bytes.
func runeAt(s string, i, end int) (rune, int) {
	b := s[i]
	switch {
	case b < 0x80:
		return rune(b), 1
	case b < 0xE0 && i+1 < end:
		return rune(b&0x1f)<<6 | rune(s[i+1]&0x3f), 2
	case b < 0xF0 && i+2 < end:
		return rune(b&0xf)<<12 | rune(s[i+1]&0x3f)<<6 | rune(s[i+2]&0x3f), 3
	case b >= 0xF0 && i+3 < end:
		return rune(b&7)<<18 | rune(s[i+1]&0x3f)<<12 | rune(s[i+2]&0x3f)<<6 | rune(s[i+3]&0x3f), 4
	}
	return 0xFFFD, 1
}

// scanText is a text with the class table at hand.
type scanText struct {
	s     string
	table *classTable
	ascii *[256]class
}

func newScanText(s string) scanText {
	t := classes()
	return scanText{s, t, &t.leaf[t.page[0]]}
}

// at returns the class and the length in bytes of the character at i, 0 and 0
// at end.
func (t *scanText) at(i, end int) (class, int) {
	if i >= end {
		return 0, 0
	}
	if b := t.s[i]; b < 0x80 {
		return t.ascii[b], 1
	}
	r, n := runeAt(t.s, i, end)
	return t.table.of(r), n
}

// run returns the end of the longest run from i of characters in set.
func (t *scanText) run(i, end int, set class) int {
	for {
		c, n := t.at(i, end)
		if c&set == 0 {
			return i
		}
		i += n
	}
}

// runNot is run for characters outside set.
func (t *scanText) runNot(i, end int, set class) int {
	for {
		c, n := t.at(i, end)
		if c == 0 || c&set != 0 {
			return i
		}
		i += n
	}
}
