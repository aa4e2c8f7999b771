package tokenizer

import (
	"math/bits"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gollm/gollm/gguf"
)

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
		if id := m.t.idOf(s); id >= 0 {
			return id
		}
		id, ok := spare[string(s)]
		if !ok {
			id = int32(m.t.texts.len() + len(m.spare))
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
					list[rank] = mergeSymbols{m.t.id(s[:i]), m.t.id(s[i+1:]), m.t.idOf(both)}
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
