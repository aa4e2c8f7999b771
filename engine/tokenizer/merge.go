package tokenizer

// piece is a run of text in the course of merging. Pieces form a list in text
// order; a piece that was merged into its left neighbour has n 0.
type piece struct {
	prev, next int32
	start, n   int32 // where it lies in the word, in bytes
	id         int32 // its symbol
}

// joiner says what two neighbouring pieces become. A lower rank merges first.
// noRank means that they do not merge.
type joiner interface {
	join(word string, a, b *piece) (rank uint32, id int32)
}

const noRank = ^uint32(0)

// candidate is a possible merge, ordered by rank and then by place.
type candidate struct {
	key   uint64 // rank<<32 | index of the left piece
	right int32
	n     int32 // bytes of both; another value in the list tells that the candidate is out of date
	id    int32
}

// merger merges the pieces of a word, best pair first, until none is left. It
// is scratch memory: one user at a time.
type merger struct {
	pieces []piece
	heap   []candidate
	ranks  []uint32 // short words: rank and symbol of piece i with its right neighbour
	ids    []int32
}

// add appends a piece of n bytes to the word.
func (m *merger) add(n int, id int32) {
	p := piece{next: -1, n: int32(n), id: id, prev: int32(len(m.pieces)) - 1}
	if p.prev >= 0 {
		q := &m.pieces[p.prev]
		q.next = p.prev + 1
		p.start = q.start + q.n
	}
	m.pieces = append(m.pieces, p)
}

// merge merges what add has collected. What remains are the pieces with n > 0.
func (m *merger) merge(word string, j joiner) {
	if len(m.pieces) <= 32 {
		m.mergeShort(word, j)
		return
	}
	m.heap = m.heap[:0]
	for i := range len(m.pieces) - 1 {
		m.propose(word, j, int32(i), int32(i+1))
	}
	for len(m.heap) > 0 {
		c := m.pop()
		left, right := int32(uint32(c.key)), c.right
		l, r := &m.pieces[left], &m.pieces[right]
		if l.n == 0 || r.n == 0 || l.n+r.n != c.n {
			continue
		}
		l.n, r.n = c.n, 0
		l.id = c.id
		l.next = r.next
		if l.next >= 0 {
			m.pieces[l.next].prev = left
			m.propose(word, j, left, l.next)
		}
		if l.prev >= 0 {
			m.propose(word, j, l.prev, left)
		}
	}
}

func (m *merger) propose(word string, j joiner, left, right int32) {
	l, r := &m.pieces[left], &m.pieces[right]
	if rank, id := j.join(word, l, r); rank != noRank {
		m.push(candidate{uint64(rank)<<32 | uint64(left), right, l.n + r.n, id})
	}
}

func (m *merger) push(c candidate) {
	m.heap = append(m.heap, c)
	h, i := m.heap, len(m.heap)-1
	for i > 0 {
		p := (i - 1) / 4
		if h[p].key <= c.key {
			break
		}
		h[i] = h[p]
		i = p
	}
	h[i] = c
}

func (m *merger) pop() candidate {
	h := m.heap
	top, c := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	m.heap = h
	if len(h) == 0 {
		return top
	}
	for i := 0; ; {
		kid := 4*i + 1
		if kid >= len(h) {
			h[i] = c
			return top
		}
		best := kid
		for k := kid + 1; k < min(kid+4, len(h)); k++ {
			if h[k].key < h[best].key {
				best = k
			}
		}
		if h[best].key >= c.key {
			h[i] = c
			return top
		}
		h[i] = h[best]
		i = best
	}
}

// mergeShort is merge for few pieces, where looking through all pairs is faster
// than a heap. It leaves no merged pieces in the list and does not keep links.
func (m *merger) mergeShort(word string, j joiner) {
	ps := m.pieces
	m.ranks, m.ids = m.ranks[:0], m.ids[:0]
	for i := range len(ps) - 1 {
		rank, id := j.join(word, &ps[i], &ps[i+1])
		m.ranks, m.ids = append(m.ranks, rank), append(m.ids, id)
	}
	ranks, ids := m.ranks, m.ids
	for len(ranks) > 0 {
		best, at := noRank, 0
		for i, r := range ranks {
			if r < best {
				best, at = r, i
			}
		}
		if best == noRank {
			break
		}
		ps[at].n += ps[at+1].n
		ps[at].id = ids[at]
		ps = append(ps[:at+1], ps[at+2:]...)
		ranks = append(ranks[:at], ranks[at+1:]...)
		ids = append(ids[:at], ids[at+1:]...)
		if at < len(ranks) {
			ranks[at], ids[at] = j.join(word, &ps[at], &ps[at+1])
		}
		if at > 0 {
			ranks[at-1], ids[at-1] = j.join(word, &ps[at-1], &ps[at])
		}
	}
	m.pieces = ps
}
