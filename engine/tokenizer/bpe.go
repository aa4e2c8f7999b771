package tokenizer

import (
	"fmt"
	"math/bits"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unsafe"

	"github.com/gollm/gollm/gguf"
)

// bpe is byte-pair encoding. Within a word the neighbouring symbols merge that
// stand first in the list of merges, the leftmost of equals. Symbols begin as
// bytes, spelt as GPT-2 spells them, or as characters in raw vocabularies.
//
// A symbol is numbered by its token. Merges may name strings that are no
// tokens; those have the numbers from the size of the vocabulary on.
type bpe struct {
	t      *Tokenizer
	pre    *preTokenizer
	merges mergeTable
	bytes  [256]int32       // symbols of single bytes, where not raw
	whole  map[string]int32 // tokens by the bytes they spell, where merges are ignored
	spare  [][]int32        // the tokens that stand for symbols that are no tokens
	chars  map[string]int32 // raw: symbols that are no tokens
	named  [256]int32       // raw: byte tokens
	seams  *seams           // raw

	segment   bool // whitespace vocabularies: drop the spaces first
	lowercase bool // and write small
	dna       *dna
}

func newBPE(f *gguf.File, t *Tokenizer, name string, pre *preTokenizer, norm normalizer) (model, error) {
	m := &bpe{t: t, pre: pre, segment: name == "whitespace", lowercase: norm.lowercase}
	merges, err := gguf.GetOr[[]string](f, keyMerges, nil)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if _, ok := f.Lookup(keyMerges); !ok && pre != preTokenizers["kimi-k2"] {
		return nil, fail(f, keyMerges, "a BPE vocabulary needs it")
	}
	if err := m.setMerges(f, merges); err != nil {
		return nil, err
	}
	if pre.raw {
		size := 0
		for _, s := range merges {
			size += len(s) - 1
		}
		m.seams = newSeams(func(yield func(string) bool) {
			var b []byte
			for _, s := range merges {
				i := mergeSpace(s)
				b = append(append(b[:0], s[:i]...), s[i+1:]...)
				if !yield(unsafe.String(unsafe.SliceData(b), len(b))) {
					return
				}
			}
		}, size)
	}
	if pre.ignoreMerges {
		m.whole = make(map[string]int32, len(t.texts))
		var b []byte
		for id, s := range t.texts {
			if b, ok := appendSpelt(b[:0], s); ok {
				m.whole[string(b)] = int32(id)
			}
		}
	}
	if name == "hybriddna" {
		m.dna = newDNA(t)
	}
	return m, nil
}

// mergeSpace returns where the space between the halves of a merge is, or -1.
// The first half is not empty, so it may begin with a space itself.
func mergeSpace(s string) int {
	if len(s) < 2 {
		return -1
	}
	i := strings.IndexByte(s[1:], ' ')
	if i < 0 {
		return -1
	}
	return i + 1
}

// setMerges numbers the symbols and fills the table of merges.
func (m *bpe) setMerges(f *gguf.File, merges []string) error {
	spare := map[string]int32{}
	symbol := func(s []byte) int32 {
		if id, ok := m.t.ids[string(s)]; ok {
			return id
		}
		id, ok := spare[string(s)]
		if !ok {
			id = int32(len(m.t.texts) + len(m.spare))
			spare[string(s)] = id
			m.spare = append(m.spare, m.spell(nil, string(s)))
		}
		return id
	}
	if m.pre.raw {
		m.named = m.t.byteIDs()
	} else {
		for b, r := range byteSpelling() {
			m.bytes[b] = symbol([]byte(string(r)))
		}
	}
	triples, err := m.findSymbols(f, merges)
	if err != nil {
		return err
	}
	m.merges = newMergeTable(len(merges))
	var both []byte
	for rank, t := range triples {
		if min(t.left, t.right, t.both) < 0 {
			s := merges[rank]
			i := mergeSpace(s)
			both = append(append(both[:0], s[:i]...), s[i+1:]...)
			t = mergeSymbols{symbol(both[:i]), symbol(both[i:]), symbol(both)}
		}
		m.merges.add(t.left, t.right, uint32(rank), t.both)
	}
	if m.pre.raw {
		m.chars = spare
	}
	return nil
}

// mergeSymbols are the symbols of a merge, -1 for those that are no tokens.
type mergeSymbols struct{ left, right, both int32 }

// findSymbols looks up the tokens of all merges. There can be half a million of
// them, and it is most of the work of loading: all processors share it.
func (m *bpe) findSymbols(f *gguf.File, merges []string) ([]mergeSymbols, error) {
	list := make([]mergeSymbols, len(merges))
	const block = 1 << 13
	bad := make([]int, (len(merges)+block-1)/block) // by block: the first merge that is none
	var group sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(bad)) {
		group.Go(func() {
			var both []byte
			for {
				n := int(next.Add(1)) - 1
				if n >= len(bad) {
					return
				}
				bad[n] = -1
				for rank := n * block; rank < min((n+1)*block, len(merges)); rank++ {
					s := merges[rank]
					i := mergeSpace(s)
					if i < 0 {
						bad[n] = rank
						break
					}
					both = append(append(both[:0], s[:i]...), s[i+1:]...)
					list[rank] = mergeSymbols{m.t.id(s[:i]), m.t.id(s[i+1:]), m.t.id(unsafe.String(unsafe.SliceData(both), len(both)))}
				}
			}
		})
	}
	group.Wait()
	for _, rank := range bad {
		if rank >= 0 {
			return nil, fail(f, keyMerges, "merge %d, %q, is no pair", rank, merges[rank])
		}
	}
	return list, nil
}

// spell appends the tokens for a symbol that is no token: those of its bytes.
func (m *bpe) spell(dst []int32, s string) []int32 {
	for i := range len(s) {
		id := m.named[s[i]]
		if !m.pre.raw {
			id = m.t.id(s[i : i+1])
		}
		if id >= 0 {
			dst = append(dst, id)
		}
	}
	return dst
}

func (m *bpe) join(_ string, a, b *piece) (uint32, int32) {
	return m.merges.find(a.id, b.id)
}

func (m *bpe) encode(s *scratch, dst []int32, text string, _ bool) []int32 {
	switch {
	case m.dna != nil:
		return m.dna.encode(m, s, dst, text)
	case m.segment:
		return m.segments(s, dst, text)
	}
	return m.text(s, dst, text)
}

func (m *bpe) text(s *scratch, dst []int32, text string) []int32 {
	text = canonical(text)
	if m.pre.escape {
		s.text = appendMarked(s.text[:0], text)
		text = unsafe.String(unsafe.SliceData(s.text), len(s.text)) // does not change while in use
	}
	start := 0
	for _, end := range m.pre.words(text, &s.ends) {
		if m.pre.raw {
			dst = m.rawWord(s, dst, text[start:end])
		} else {
			dst = m.word(s, dst, text[start:end])
		}
		start = end
	}
	return dst
}

// segments encodes what is between the spaces, for a vocabulary that has none.
func (m *bpe) segments(s *scratch, dst []int32, text string) []int32 {
	text = canonical(text)
	t := newScanText(text)
	for i := 0; i < len(text); {
		end := t.runNot(i, len(text), space)
		if end > i {
			segment := text[i:end]
			if m.lowercase {
				b := make([]byte, 0, len(segment))
				for j := 0; j < len(segment); {
					r, n := laxRune(segment[j:])
					b = appendRune(b, unicode.ToLower(r))
					j += n
				}
				segment = string(b)
			}
			dst = m.text(s, dst, segment)
		}
		i = t.run(end, len(text), space)
	}
	return dst
}

// word encodes a word of bytes.
func (m *bpe) word(s *scratch, dst []int32, word string) []int32 {
	if len(word) == 1 {
		return m.append(dst, m.bytes[word[0]], word)
	}
	dst, entry, ok := s.cache.find(m.t.seed, word, dst)
	if ok {
		return dst
	}
	start := len(dst)
	if id, ok := m.whole[word]; ok {
		dst = append(dst, id)
	} else {
		g := &s.merger
		g.pieces = g.pieces[:0]
		for i := range len(word) {
			g.add(1, m.bytes[word[i]])
		}
		dst = m.merged(g, dst, word)
	}
	entry.put(word, dst[start:])
	return dst
}

// rawWord encodes a word of characters, which is a line of text or more.
func (m *bpe) rawWord(s *scratch, dst []int32, word string) []int32 {
	if m.pre.newlineWords && word[0] == '\n' {
		if id, ok := m.t.ids[word]; ok {
			return append(dst, id)
		}
	}
	for i := 0; i < len(word); {
		end := m.seams.next(word, i)
		dst = m.rawPiece(s, dst, word[i:end])
		i = end
	}
	return dst
}

func (m *bpe) rawPiece(s *scratch, dst []int32, word string) []int32 {
	dst, entry, ok := s.cache.find(m.t.seed, word, dst)
	if ok {
		return dst
	}
	start := len(dst)
	g := &s.merger
	g.pieces = g.pieces[:0]
	for i := 0; i < len(word); {
		n := min(charLen(word[i]), len(word)-i)
		char := word[i : i+n]
		id := m.t.id(char)
		if id < 0 {
			if spare, ok := m.chars[char]; ok {
				id = spare
			}
		}
		g.add(n, id)
		i += n
	}
	dst = m.merged(g, dst, word)
	entry.put(word, dst[start:])
	return dst
}

// merged merges the pieces of word and appends their tokens.
func (m *bpe) merged(g *merger, dst []int32, word string) []int32 {
	g.merge(word, m)
	for _, p := range g.pieces {
		if p.n > 0 {
			dst = m.append(dst, p.id, word[p.start:p.start+p.n])
		}
	}
	return dst
}

// append appends the tokens of a symbol, which is -1 for a character text that
// is in neither the vocabulary nor the merges.
func (m *bpe) append(dst []int32, symbol int32, text string) []int32 {
	switch size := int32(len(m.t.texts)); {
	case symbol >= size:
		return append(dst, m.spare[symbol-size]...)
	case symbol >= 0:
		return append(dst, symbol)
	}
	return m.spell(dst, text)
}

// appendSpelt appends the bytes that s spells, as GPT-2 spells them, and reports
// whether it is such a spelling throughout.
func appendSpelt(b []byte, s string) ([]byte, bool) {
	t := unspelling()
	for i := 0; i < len(s); {
		r, n := laxRune(s[i:])
		if r >= rune(len(t)) || t[r] < 0 {
			return b, false
		}
		b = append(b, byte(t[r]))
		i += n
	}
	return b, true
}

// mergeTable is a hash table from pairs of symbols to merges, open addressing.
type mergeTable struct {
	slots []mergeSlot
	shift uint
}

type mergeSlot struct {
	pair uint64 // left<<32 | right, plus 1
	rank uint32
	id   int32
}

func newMergeTable(n int) mergeTable {
	size := bits.Len(uint(2*n + 1))
	return mergeTable{make([]mergeSlot, 1<<size), uint(64 - size)}
}

func (t *mergeTable) slot(pair uint64) *mergeSlot {
	mask := uint64(len(t.slots) - 1)
	for i := pair * 0x9E3779B97F4A7C15 >> t.shift; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.pair == pair || s.pair == 0 {
			return s
		}
	}
}

// add adds a merge unless the pair has one already.
func (t *mergeTable) add(left, right int32, rank uint32, id int32) {
	pair := uint64(left)<<32 | uint64(right) + 1
	if s := t.slot(pair); s.pair == 0 {
		*s = mergeSlot{pair, rank, id}
	}
}

func (t *mergeTable) find(left, right int32) (uint32, int32) {
	if left < 0 || right < 0 {
		return noRank, 0
	}
	if s := t.slot(uint64(left)<<32 | uint64(right) + 1); s.pair != 0 {
		return s.rank, s.id
	}
	return noRank, 0
}

// dna encodes what is between <dna> and </dna> in words of six bases.
type dna struct {
	begin, end, unknown int32
}

// dnaMark ends the names of the tokens of six bases, which could be common
// tokens otherwise.
const dnaMark = "\uE000"

// newDNA returns nil where the vocabulary has no such tokens.
func newDNA(t *Tokenizer) *dna {
	d := &dna{t.id("<dna>"), t.id("</dna>"), t.id("<oov>")}
	if d.unknown >= 0 {
		for id := int(d.unknown) + 1; id < len(t.texts); id++ {
			t.texts[id] = strings.TrimSuffix(t.texts[id], dnaMark)
		}
	}
	if d.begin < 0 || d.end < 0 || d.unknown < 0 {
		return nil
	}
	return d
}

func (d *dna) encode(m *bpe, s *scratch, dst []int32, text string) []int32 {
	for text != "" {
		before, rest, open := strings.Cut(text, "<dna>")
		if before != "" {
			dst = m.text(s, dst, before)
		}
		if !open {
			break
		}
		seq, after, closed := strings.Cut(rest, "</dna>")
		dst = append(dst, d.begin)
		for i := 0; i < len(seq); i += 6 {
			word := []byte("AAAAAA" + dnaMark)
			copy(word, seq[i:min(i+6, len(seq))])
			for j, b := range word[:6] {
				if b >= 'a' && b <= 'z' {
					word[j] = b - 'a' + 'A'
				}
			}
			id, ok := m.t.ids[string(word)]
			if !ok {
				id = d.unknown
			}
			dst = append(dst, id)
		}
		if !closed {
			break
		}
		dst = append(dst, d.end)
		text = after
	}
	return dst
}
