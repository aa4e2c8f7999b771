package tokenizer

import (
	"cmp"
	"slices"
)

// specialAttrs are the tokens to look for in raw text; those of codeAttrs only
// when special tokens are parsed.
const (
	specialAttrs = attrControl | attrUser | attrUnknown
	codeAttrs    = attrControl | attrUnknown
)

// found is a special token in a text: text[start:end] is what it takes, with
// the spaces it takes along.
type found struct {
	start, end int
	id         int32
}

// partition is the scratch memory of split.
type partition struct {
	matches []match
	found   []found
	taken   []uint64 // a bit for each byte
}

// match is a special token that could stand at pos.
type match struct {
	pos int
	n   int32
	id  int32
}

// before orders matches as they are tried: the longest token first wherever it
// stands, one token's places from left to right.
func (a match) before(b match) int {
	return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.id, b.id), cmp.Compare(a.pos, b.pos))
}

// listSpecials prepares split.
func (t *Tokenizer) listSpecials() {
	var list []trieEntry
	for id, a := range t.attrs {
		if s := t.text(int32(id)); a&specialAttrs != 0 && s != "" {
			list = append(list, trieEntry{s, int32(id)})
			b := s[0]
			t.first[b/64] |= 1 << (b % 64)
		}
	}
	t.specials = newTrie(list)
}

// split finds the special tokens in text, in order. A longer token has
// precedence over a shorter one that it overlaps, also where the shorter one
// begins before it.
func (t *Tokenizer) split(p *partition, text string, parse bool) []found {
	p.matches, p.found = p.matches[:0], p.found[:0]
	for i := range len(text) {
		if b := text[i]; t.first[b/64]>>(b%64)&1 != 0 {
			if id, n := t.specialAt(text[i:], parse); n > 0 {
				p.matches = append(p.matches, match{i, int32(n), id})
			}
		}
	}
	if len(p.matches) == 0 {
		return nil
	}

	p.taken = append(p.taken[:0], make([]uint64, (len(text)+63)/64)...)
	free := func(i int) bool { return p.taken[i/64]>>(i%64)&1 == 0 }
	slices.SortFunc(p.matches, match.before)
	// retry holds, as a heap, the matches that take the place of longer ones
	// that were in the way of another.
	var retry matchHeap
	for i := 0; i < len(p.matches) || len(retry) > 0; {
		var m match
		if len(retry) > 0 && (i == len(p.matches) || retry[0].before(p.matches[i]) < 0) {
			m = retry.pop()
		} else {
			m = p.matches[i]
			i++
		}
		room := 0
		for room < int(m.n) && free(m.pos+room) {
			room++
		}
		if room < int(m.n) {
			if id, n := t.specialAt(text[m.pos:m.pos+room], parse); n > 0 {
				retry.push(match{m.pos, int32(n), id})
			}
			continue
		}
		f := found{m.pos, m.pos + room, m.id}
		if t.attrs[m.id]&attrLStrip != 0 {
			for f.start > 0 && free(f.start-1) && isSpaceByte(text[f.start-1]) {
				f.start--
			}
		}
		if t.attrs[m.id]&attrRStrip != 0 {
			for f.end < len(text) && free(f.end) && isSpaceByte(text[f.end]) {
				f.end++
			}
		}
		for k := f.start; k < f.end; k++ {
			p.taken[k/64] |= 1 << (k % 64)
		}
		p.found = append(p.found, f)
	}
	slices.SortFunc(p.found, func(a, b found) int { return cmp.Compare(a.start, b.start) })
	return p.found
}

// specialAt returns the longest special token that s begins with.
func (t *Tokenizer) specialAt(s string, parse bool) (id int32, n int) {
	node := int32(0)
	for i := range len(s) {
		if node = t.specials.child(node, s[i]); node == 0 {
			break
		}
		if c := t.specials.nodes[node].id; c >= 0 && (parse || t.attrs[c]&codeAttrs == 0) {
			id, n = c, i+1
		}
	}
	return id, n
}

// isSpaceByte is C's isspace.
func isSpaceByte(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }

type matchHeap []match

func (h *matchHeap) push(m match) {
	*h = append(*h, m)
	s, i := *h, len(*h)-1
	for i > 0 && m.before(s[(i-1)/2]) < 0 {
		s[i] = s[(i-1)/2]
		i = (i - 1) / 2
	}
	s[i] = m
}

func (h *matchHeap) pop() match {
	s := *h
	top, m := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	for i := 0; len(s) > 0; {
		kid := 2*i + 1
		if kid+1 < len(s) && s[kid+1].before(s[kid]) < 0 {
			kid++
		}
		if kid >= len(s) || m.before(s[kid]) < 0 {
			s[i] = m
			break
		}
		s[i] = s[kid]
		i = kid
	}
	return top
}
