package tokenizer

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/gollm/gollm/gguf"
)

// unigram is SentencePiece's Unigram: of all ways to write the text in tokens
// the one with the best sum of scores. Before that the text is normalised by
// the table that the vocabulary brings, a trie of replacements.
type unigram struct {
	t            *Tokenizer
	tokens       *trie
	user         *trie     // user-defined tokens are not normalised
	scores       []float64 // 0 for user-defined tokens
	unknownScore float64

	charsmap []uint32 // double array: see replace
	replaced []byte   // the replacements, each ended by 0

	prefixSpace bool
	mergeSpaces bool
}

// bestPath is the best way to write the text up to a place: the token that ends
// there and where it begins.
type bestPath struct {
	score float64
	id    int32
	start int32
}

func newUnigram(f *gguf.File, t *Tokenizer) (model, error) {
	m := &unigram{t: t, prefixSpace: t.prefixSpace}
	if err := readBools(f, boolKey{"tokenizer.ggml.remove_extra_whitespaces", &m.mergeSpaces}); err != nil {
		return nil, err
	}
	if err := m.readCharsmap(f); err != nil {
		return nil, err
	}
	var tokens, user []trieEntry
	low := math.MaxFloat32
	m.scores = make([]float64, t.texts.len())
	for id, s := range t.texts.each() {
		a := t.attrs[id]
		e := trieEntry{s, int32(id)}
		if a&(attrNormal|attrUser|attrUnused) != 0 {
			tokens = append(tokens, e)
		}
		if a&attrUser != 0 {
			user = append(user, e)
			continue
		}
		m.scores[id] = float64(t.score(int32(id)))
		if a&attrNormal != 0 {
			low = min(low, m.scores[id])
		}
	}
	m.tokens, m.user = newTrie(tokens), newTrie(user)
	m.unknownScore = float64(float32(low) - 10)
	return m, nil
}

func (m *unigram) readCharsmap(f *gguf.File) error {
	const key = "tokenizer.ggml.precompiled_charsmap"
	v, ok := f.Lookup(key)
	if !ok {
		return nil
	}
	var data []byte
	switch v := v.(type) {
	case []uint8:
		data = v
	case []int8:
		data = make([]byte, len(v))
		for i, b := range v {
			data[i] = byte(b)
		}
	default:
		return fail(f, key, "has type %T, want bytes", v)
	}
	if len(data) < 4 {
		return fail(f, key, "is %d bytes long, shorter than its head", len(data))
	}
	n := int64(binary.LittleEndian.Uint32(data))
	if n+4 >= int64(len(data)) || n%4 != 0 {
		return fail(f, key, "its table of %d bytes does not fit in %d bytes", n, len(data))
	}
	m.charsmap = make([]uint32, n/4)
	for i := range m.charsmap {
		m.charsmap[i] = binary.LittleEndian.Uint32(data[4+4*i:])
	}
	m.replaced = data[4+n:]
	if m.replaced[len(m.replaced)-1] != 0 {
		return fail(f, key, "the last replacement has no end")
	}
	return nil
}

// longestRule bounds what a rule of the table can match, so that a table that
// leads in circles costs no more than time in proportion. SentencePiece's own
// rules are of a few characters.
const longestRule = 1024

// replace returns what the longest beginning of s that the table knows becomes,
// and how long that beginning is.
//
// The table is a double array (Aoe 1989) in 32-bit units: a unit has the byte
// that leads to it in bits 0-7, a flag that a value follows in bit 8, and in
// bits 10-30 the offset of its children, in units of 256 where bit 9 is set.
// The child of unit i for byte c is at i's place XOR its offset XOR c. A value
// is the place of a replacement.
func (m *unigram) replace(s string) ([]byte, int) {
	at := func(i uint32) uint32 {
		if int64(i) >= int64(len(m.charsmap)) {
			return 1 << 31 // leads nowhere
		}
		return m.charsmap[i]
	}
	offset := func(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }
	if len(m.charsmap) == 0 {
		return nil, 0
	}
	n, value := 0, uint32(0)
	i := offset(at(0))
	for k := range min(len(s), longestRule) {
		c := s[k]
		i ^= uint32(c)
		u := at(i)
		if c == 0 || u&(1<<31|0xff) != uint32(c) {
			break
		}
		i ^= offset(u)
		if u>>8&1 != 0 {
			n, value = k+1, at(i)&(1<<31-1)
		}
	}
	if n == 0 || int64(value) >= int64(len(m.replaced)) {
		return nil, 0
	}
	r := m.replaced[value:]
	return r[:slices.Index(r, 0)], n
}

// normalize appends the normalised text to b.
func (m *unigram) normalize(b []byte, text string) []byte {
	prepended, word := false, false
	for i := 0; i < len(text); {
		var part []byte
		var n int
		if _, n = m.user.longest(text[i:]); n > 0 {
			part = []byte(text[i : i+n])
		} else if part, n = m.replace(text[i:]); n > 0 {
		} else if r, k := laxRune(text[i:]); r == 0xFFFD && k == 1 {
			part, n = []byte("\uFFFD"), 1
		} else {
			part, n = []byte(text[i:i+k]), k
		}
		i += n
		for _, c := range part {
			if c == ' ' {
				word = false
				if !m.mergeSpaces {
					b = append(b, spaceMark...)
				}
				continue
			}
			if !word {
				word = true
				if m.prefixSpace && !prepended || m.mergeSpaces {
					b = append(b, spaceMark...)
					prepended = true
				}
			}
			b = append(b, c)
		}
	}
	return b
}

func (m *unigram) encode(s *scratch, dst []int32, text string, _ bool) []int32 {
	s.text = m.normalize(s.text[:0], text)
	norm := s.text
	if len(norm) == 0 {
		return dst
	}
	unk := m.t.special.Unknown
	best := s.best[:0]
	for range len(norm) + 1 {
		best = append(best, bestPath{-math.MaxFloat64, unk, 0})
	}
	s.best = best
	best[0].score = 0
	for i := 0; i < len(norm); {
		char := min(charLen(norm[i]), len(norm)-i)
		score := best[i].score
		known := false
		node := int32(0)
		for k := i; k < len(norm); k++ {
			if node = m.tokens.child(node, norm[k]); node == 0 {
				break
			}
			id := m.tokens.nodes[node].id
			if id < 0 {
				continue
			}
			known = known || k+1-i == char
			if sum := score + m.scores[id]; sum > best[k+1].score {
				best[k+1] = bestPath{sum, id, int32(i)}
			}
		}
		if !known {
			if sum := score + m.unknownScore; sum > best[i+char].score {
				best[i+char] = bestPath{sum, unk, int32(i)}
			}
		}
		i += char
	}
	start := len(dst)
	wasUnknown := false
	for i := len(norm); ; {
		b := best[i]
		if b.id != unk || !wasUnknown {
			dst = append(dst, b.id)
		}
		if b.start == 0 {
			break
		}
		wasUnknown = b.id == unk
		i = int(b.start)
	}
	slices.Reverse(dst[start:])
	return dst
}
