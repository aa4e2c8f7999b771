package tokenizer

import (
	"math"
	"slices"
	"strings"

	"github.com/gollm/gollm/gguf"
)

// plamo2 is PLaMo-2's: the cheapest way to write the text in tokens, found from
// its end, where a token costs its negated score in units of 1e-4 and a
// character in byte tokens a fixed price. Of equally cheap ways the one with
// the longest token wins.
type plamo2 struct {
	t     *Tokenizer
	trie  *trie
	costs []int64
	bytes [256]int32
}

const plamoUnknown = 10_000_000

func newPLaMo2(f *gguf.File, t *Tokenizer) (model, error) {
	m := &plamo2{t: t, costs: make([]int64, t.texts.len())}
	for b := range m.bytes {
		m.bytes[b] = -1
	}
	var list []trieEntry
	for id, s := range t.texts.each() {
		if t.attrs[id]&attrByte != 0 {
			if b, ok := namedByte(s); ok {
				m.bytes[b] = int32(id)
			}
			continue
		}
		score := float64(t.score(int32(id)))
		if math.IsInf(score, 0) {
			continue
		}
		cost := -math.Round(score * 1e4)
		if cost >= 2*plamoUnknown {
			continue
		}
		if cost < -1<<31 {
			return nil, fail(f, keyScores, "score %d, %g, is too large", id, score)
		}
		m.costs[id] = int64(cost)
		list = append(list, trieEntry{s, int32(id)})
	}
	if b := slices.Index(m.bytes[:], -1); b >= 0 {
		return nil, fail(f, keyTokens, "has no token %s", byteName(byte(b)))
	}
	m.trie = newTrie(list)
	return m, nil
}

func (m *plamo2) encode(s *scratch, dst []int32, text string, _ bool) []int32 {
	text = strings.TrimPrefix(canonical(text), "\uFEFF")
	// best[i] is the way from i to the end: start is where its first token ends.
	best := s.best[:0]
	for range len(text) + 1 {
		best = append(best, bestPath{})
	}
	s.best = best
	for i := len(text) - 1; i >= 0; i-- {
		if text[i]&0xC0 == 0x80 {
			continue
		}
		b := bestPath{math.Inf(1), -1, 0}
		node := int32(0)
		for k := i; k < len(text); k++ {
			if node = m.trie.child(node, text[k]); node == 0 {
				break
			}
			id := m.trie.nodes[node].id
			if id < 0 {
				continue
			}
			if cost := best[k+1].score + float64(m.costs[id]); cost <= b.score {
				b = bestPath{cost, id, int32(k + 1)}
			}
		}
		n := charLen(text[i])
		if cost := best[i+n].score + plamoUnknown; cost < b.score {
			b = bestPath{cost, -1, int32(i + n)}
		}
		best[i] = b
	}
	for i := 0; i < len(text); i = int(best[i].start) {
		if id := best[i].id; id >= 0 {
			dst = append(dst, id)
			continue
		}
		for _, c := range []byte(text[i:best[i].start]) {
			dst = append(dst, m.bytes[c])
		}
	}
	return dst
}
