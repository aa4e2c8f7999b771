package tokenizer

import (
	"cmp"
	"slices"
)

// trie maps byte strings to ids. The children of a node lie side by side,
// sorted by their byte.
type trie struct {
	nodes []trieNode
	root  [256]int32 // the root's children, 0 where there is none
}

type trieNode struct {
	label byte
	kids  uint16
	first int32 // index of the first child
	id    int32 // -1 where no string ends
}

type trieEntry struct {
	text string
	id   int32
}

// newTrie builds a trie. Of equal strings the last one counts; empty ones are
// left out.
func newTrie(entries []trieEntry) *trie {
	slices.SortStableFunc(entries, func(a, b trieEntry) int { return cmp.Compare(a.text, b.text) })
	t := &trie{nodes: make([]trieNode, 1, len(entries)+1)}
	t.nodes[0].id = -1
	// Breadth first: each span of sorted entries shares its first depth bytes.
	type span struct {
		node           int32
		from, to, deep int
	}
	queue := []span{{0, 0, len(entries), 0}}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		for s.from < s.to && len(entries[s.from].text) == s.deep {
			if s.deep > 0 {
				t.nodes[s.node].id = entries[s.from].id
			}
			s.from++
		}
		t.nodes[s.node].first = int32(len(t.nodes))
		for s.from < s.to {
			b := entries[s.from].text[s.deep]
			to := s.from + 1
			for to < s.to && entries[to].text[s.deep] == b {
				to++
			}
			queue = append(queue, span{int32(len(t.nodes)), s.from, to, s.deep + 1})
			if s.node == 0 {
				t.root[b] = int32(len(t.nodes))
			}
			t.nodes = append(t.nodes, trieNode{label: b, id: -1})
			t.nodes[s.node].kids++
			s.from = to
		}
	}
	return t
}

// child returns the child of node (0: the root) for b, or 0.
func (t *trie) child(node int32, b byte) int32 {
	if node == 0 {
		return t.root[b]
	}
	n := t.nodes[node]
	lo, hi := n.first, n.first+int32(n.kids)
	for hi-lo > 8 {
		m := (lo + hi) / 2
		if t.nodes[m].label > b {
			hi = m
		} else {
			lo = m
		}
	}
	for ; lo < hi; lo++ {
		if t.nodes[lo].label == b {
			return lo
		}
	}
	return 0
}

// longest returns the id and length of the longest string that s begins with;
// the length is 0 where there is none.
func (t *trie) longest(s string) (id int32, n int) {
	id = -1
	node := int32(0)
	for i := range len(s) {
		if node = t.child(node, s[i]); node == 0 {
			break
		}
		if t.nodes[node].id >= 0 {
			id, n = t.nodes[node].id, i+1
		}
	}
	return id, n
}
