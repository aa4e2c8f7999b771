package tokenizer

import (
	"slices"
	"unsafe"
)

// spm is SentencePiece's BPE: neighbouring pieces merge if together they are a
// token, those with the best score first, the leftmost of equals. Spaces are
// written as U+2581; characters that are in no token become byte tokens.
type spm struct {
	t     *Tokenizer
	ranks []uint32 // by token: place of its score among all scores, best first
	seams *seams
	bytes [256]int32
}

const spaceMark = "▁" // U+2581

func newSPM(t *Tokenizer) *spm {
	m := &spm{t: t, ranks: make([]uint32, t.texts.len()), bytes: t.byteIDs()}
	for b := range m.bytes {
		if m.bytes[b] < 0 {
			m.bytes[b] = t.id(string([]byte{byte(b)}))
		}
	}
	if t.scores != nil {
		sorted := slices.Clone(t.scores)
		slices.Sort(sorted)
		sorted = slices.Compact(sorted)
		for id, s := range t.scores {
			i, _ := slices.BinarySearch(sorted, s)
			m.ranks[id] = uint32(len(sorted) - i)
		}
	}
	m.seams = newSeams(func(yield func(string) bool) {
		for _, s := range t.texts.each() {
			if !yield(s) {
				return
			}
		}
	}, len(t.texts.all))
	return m
}

func (m *spm) join(word string, a, b *piece) (uint32, int32) {
	n := int(a.n + b.n)
	if n > m.t.maxLen {
		return noRank, 0
	}
	id, ok := m.t.texts.find(word[a.start : int(a.start)+n])
	if !ok {
		return noRank, 0
	}
	return m.ranks[id], id
}

func (m *spm) encode(s *scratch, dst []int32, text string, first bool) []int32 {
	b := s.text[:0]
	if first && m.t.prefixSpace {
		b = append(b, spaceMark...)
	}
	b = appendMarked(b, text)
	s.text = b
	text = unsafe.String(unsafe.SliceData(b), len(b)) // b does not change while text is in use
	for i := 0; i < len(text); {
		end := m.seams.next(text, i)
		dst = m.word(s, dst, text[i:end])
		i = end
	}
	return dst
}

// appendMarked appends text with its spaces written as U+2581.
func appendMarked(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c == ' ' {
			b = append(b, spaceMark...)
		} else {
			b = append(b, c)
		}
	}
	return b
}

func (m *spm) word(s *scratch, dst []int32, word string) []int32 {
	dst, entry, ok := s.cache.find(m.t.seed, word, dst)
	if ok {
		return dst
	}
	start := len(dst)
	g := &s.merger
	g.pieces = g.pieces[:0]
	for i := 0; i < len(word); {
		n := min(charLen(word[i]), len(word)-i)
		g.add(n, m.t.id(word[i:i+n]))
		i += n
	}
	g.merge(word, m)
	for _, p := range g.pieces {
		switch {
		case p.n == 0:
		case p.id >= 0:
			dst = append(dst, p.id)
		default:
			for _, b := range []byte(word[p.start : p.start+p.n]) {
				if id := m.bytes[b]; id >= 0 {
					dst = append(dst, id)
				} else if unk := m.t.special.Unknown; unk >= 0 {
					dst = append(dst, unk)
				}
			}
		}
	}
	entry.put(word, dst[start:])
	return dst
}
