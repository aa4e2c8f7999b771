package tokenizer

import (
	"unicode"
	"unsafe"

	"golang.org/x/text/unicode/norm"
)

// wordPiece is BERT's: the text is normalised and cut into words at spaces and
// punctuation, and of each word the longest token is taken again and again. A
// word that leaves a rest is unknown as a whole. Names of tokens that begin a
// word begin with U+2581.
type wordPiece struct {
	t    *Tokenizer
	norm normalizer
	trie *trie
}

func newWordPiece(t *Tokenizer, norm normalizer) *wordPiece {
	list := make([]trieEntry, t.texts.len())
	for id, s := range t.texts.each() {
		list[id] = trieEntry{s, id}
	}
	return &wordPiece{t, norm, newTrie(list)}
}

func (m *wordPiece) encode(s *scratch, dst []int32, text string, _ bool) []int32 {
	table := classes()
	word := append(s.text[:0], spaceMark...)
	flush := func() {
		if len(word) > len(spaceMark) {
			dst = m.word(dst, unsafe.String(unsafe.SliceData(word), len(word)))
			word = word[:len(spaceMark)]
		}
	}
	for i := 0; i < len(text); {
		r, n := laxRune(text[i:])
		i += n
		if m.norm.stripAccents {
			r = baseRune(r)
		}
		c := table.of(r)
		switch {
		case c&space != 0:
			flush()
			continue
		case r == 0, r == 0xFFFD, c&control != 0, c&mark != 0 && m.norm.stripAccents:
			continue
		}
		alone := c&punct != 0 || r < 0x7F && c&symb != 0 || isChinese(r)
		if m.norm.lowercase {
			r = unicode.ToLower(r)
		}
		if alone {
			flush()
		}
		word = appendRune(word, r)
		if alone {
			flush()
		}
	}
	flush()
	s.text = word
	return dst
}

func (m *wordPiece) word(dst []int32, word string) []int32 {
	start := len(dst)
	for i := 0; i < len(word); {
		id, n := m.trie.longest(word[i:])
		if n == 0 {
			dst = dst[:start]
			break
		}
		dst = append(dst, id)
		i += n
	}
	if unk := m.t.special.Unknown; len(dst) == start && unk >= 0 {
		dst = append(dst, unk)
	}
	return dst
}

// baseRune returns the first character of the canonical decomposition of r.
func baseRune(r rune) rune {
	switch {
	case r < 0xC0:
		return r
	case r >= 0xAC00 && r <= 0xD7A3: // a Hangul syllable: its leading consonant
		return 0x1100 + (r-0xAC00)/588
	}
	var b [4]byte
	p := norm.NFD.Properties(appendRune(b[:0], r))
	if d := p.Decomposition(); d != nil {
		r, _ = laxRune(string(d))
	}
	return r
}

// isChinese reports whether r is an ideograph in BERT's sense. The block from
// 2B820 begins at 2B920, as it does in the tokenizers library.
func isChinese(r rune) bool {
	switch {
	case r >= 0x4E00 && r <= 0x9FFF, r >= 0x3400 && r <= 0x4DBF,
		r >= 0x20000 && r <= 0x2A6DF, r >= 0x2A700 && r <= 0x2B73F, r >= 0x2B740 && r <= 0x2B81F,
		r >= 0x2B920 && r <= 0x2CEAF, r >= 0xF900 && r <= 0xFAFF, r >= 0x2F800 && r <= 0x2FA1F:
		return true
	}
	return false
}
