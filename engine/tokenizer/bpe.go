package tokenizer

import (
	"fmt"
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
	whole  stringTable      // what tokens spell, where merges are ignored,
	wholes []int32          // and the tokens
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
		m.whole = newStringTable(t.texts.len(), len(t.texts.all))
		var b []byte
		for id, s := range t.texts.each() {
			spelt, ok := appendSpelt(b[:0], s)
			if b = spelt; !ok {
				continue
			}
			if at, fresh := m.whole.add(string(spelt)); fresh {
				m.wholes = append(m.wholes, id)
			} else {
				m.wholes[at] = id
			}
		}
	}
	if name == "hybriddna" {
		m.dna = newDNA(t)
	}
	return m, nil
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
	if at, ok := m.whole.find(word); ok {
		dst = append(dst, m.wholes[at])
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
		if id, ok := m.t.texts.find(word); ok {
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
	switch size := int32(m.t.texts.len()); {
	case symbol >= size:
		return append(dst, m.spare[symbol-size]...)
	case symbol >= 0:
		return append(dst, symbol)
	}
	return m.spell(dst, text)
}
