package kv

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

var shapes = []program.KVShape{{KeyWidth: 8, ValueWidth: 4}, {KeyWidth: 2, ValueWidth: 6}}

func newPool(t *testing.T, positions int) *Pool {
	t.Helper()
	p, err := New(nil, shapes, gguf.F16, positions)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNew(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.F16, gguf.F32, gguf.Q8_0} {
		shapes := shapes
		if typ == gguf.Q8_0 {
			shapes = []program.KVShape{{KeyWidth: 64, ValueWidth: 32}, {KeyWidth: 32, ValueWidth: 96}}
		}
		p, err := New(nil, shapes, typ, 33) // two blocks
		if err != nil {
			t.Fatal(err)
		}
		m := p.Memory()
		if m.Type != typ || m.BlockSize != BlockSize || m.Blocks != 2 || len(m.Layers) != 2 {
			t.Errorf("%s: %d layers of %d blocks of %d, of %s", typ, len(m.Layers), m.Blocks, m.BlockSize, m.Type)
		}
		var bytes int64
		for i, l := range m.Layers {
			if l.Shape != shapes[i] || len(l.K) != 2*BlockSize*typ.RowBytes(shapes[i].KeyWidth) || len(l.V) != 2*BlockSize*typ.RowBytes(shapes[i].ValueWidth) {
				t.Errorf("%s: layer %d has shape %v, %d bytes of keys, %d of values", typ, i, l.Shape, len(l.K), len(l.V))
			}
			bytes += int64(len(l.K) + len(l.V))
		}
		if got := Size(shapes, typ, 33); got != bytes {
			t.Errorf("%s: Size is %d, New took %d", typ, got, bytes)
		}
		if total, free := p.Positions(); total != 2*BlockSize || free != total {
			t.Errorf("%s: %d positions, %d free", typ, total, free)
		}
	}
	for _, c := range []struct {
		typ       gguf.Type
		positions int
	}{{gguf.Q8_0, 32}, {gguf.F16, 0}, {gguf.F32, -1}} {
		if _, err := New(nil, shapes, c.typ, c.positions); err == nil {
			t.Errorf("made a pool of %d positions of %s", c.positions, c.typ)
		}
	}
}

func TestGrow(t *testing.T) {
	p := newPool(t, 4*BlockSize)
	s := p.NewSequence(0)
	if s.Len() != 0 || len(s.Table()) != 0 || s.Limit() != 4*BlockSize {
		t.Errorf("an empty sequence has %d positions in %d blocks of at most %d positions", s.Len(), len(s.Table()), s.Limit())
	}
	for _, c := range []struct{ grow, len, blocks int }{
		{1, 1, 1}, {BlockSize - 1, BlockSize, 1}, {1, BlockSize + 1, 2}, {0, BlockSize + 1, 2}, {2 * BlockSize, 3*BlockSize + 1, 4},
	} {
		if err := s.Grow(c.grow); err != nil {
			t.Fatal(err)
		}
		if s.Len() != c.len || len(s.Table()) != c.blocks {
			t.Errorf("grown by %d: %d positions in %d blocks, want %d in %d", c.grow, s.Len(), len(s.Table()), c.len, c.blocks)
		}
	}
}

func TestFull(t *testing.T) {
	p := newPool(t, 2*BlockSize)
	a, b := p.NewSequence(0), p.NewSequence(10)
	if err := a.Grow(BlockSize + 1); err != nil {
		t.Fatal(err)
	}
	unchanged := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrFull) {
			t.Errorf("%s: error %v, want ErrFull", what, err)
		}
		if b.Len() != 0 || len(b.Table()) != 0 || a.Len() != BlockSize+1 {
			t.Errorf("%s changed the sequences: %d and %d positions", what, a.Len(), b.Len())
		}
	}
	unchanged("growing when no block is free", b.Grow(1))
	unchanged("growing past the limit", b.Grow(11))
	a.Close()
	if err := b.Grow(10); err != nil {
		t.Errorf("after the other sequence closed: %v", err)
	}
	if err := b.Grow(1); !errors.Is(err, ErrFull) {
		t.Errorf("growing past the limit: %v", err)
	}
}

func TestTruncate(t *testing.T) {
	p := newPool(t, 4*BlockSize)
	s := p.NewSequence(0)
	if err := s.Grow(3*BlockSize + 1); err != nil {
		t.Fatal(err)
	}
	table := slices.Clone(s.Table())
	for _, c := range []struct{ to, len, blocks int }{
		{4 * BlockSize, 3*BlockSize + 1, 4}, // longer than it is: nothing
		{-1, 3*BlockSize + 1, 4},            // no position: nothing
		{3 * BlockSize, 3 * BlockSize, 3},
		{2*BlockSize + 1, 2*BlockSize + 1, 3},
		{1, 1, 1},
		{0, 0, 0},
	} {
		s.Truncate(c.to)
		_, free := p.Positions()
		if s.Len() != c.len || !slices.Equal(s.Table(), table[:c.blocks]) || free != (4-c.blocks)*BlockSize {
			t.Errorf("truncated to %d: %d positions in %v, %d free", c.to, s.Len(), s.Table(), free)
		}
	}
	s.Close()
	s.Close() // again: nothing
	if _, free := p.Positions(); free != 4*BlockSize {
		t.Errorf("%d positions free after Close", free)
	}
}

// check checks that each block is free or in one table, once.
func check(t *testing.T, p *Pool, sequences []*Sequence) {
	t.Helper()
	owner := make([]int, p.mem.Blocks)
	for _, b := range p.free {
		owner[b]++
	}
	for _, s := range sequences {
		if want := (s.len + BlockSize - 1) / BlockSize; len(s.table) != want {
			t.Fatalf("%d positions in %d blocks", s.len, len(s.table))
		}
		for _, b := range s.table {
			owner[b]++
		}
	}
	for b, n := range owner {
		if n != 1 {
			t.Fatalf("block %d is in %d places", b, n)
		}
	}
}

// operate does something to a sequence, as a model of a session would, and
// checks it against a count.
func operate(t *testing.T, s *Sequence, random *rand.Rand) {
	before, table := s.Len(), slices.Clone(s.Table())
	switch random.IntN(8) {
	case 0:
		s.Close()
		if s.Len() != 0 {
			t.Errorf("%d positions after Close", s.Len())
		}
	case 1, 2:
		n := random.IntN(before + 2)
		s.Truncate(n)
		if s.Len() != min(n, before) {
			t.Errorf("%d positions truncated to %d are %d", before, n, s.Len())
		}
	default:
		n := random.IntN(3 * BlockSize)
		switch err := s.Grow(n); {
		case err == nil && s.Len() != before+n, err != nil && s.Len() != before:
			t.Errorf("%d positions grown by %d are %d: %v", before, n, s.Len(), err)
		case err != nil && !errors.Is(err, ErrFull):
			t.Error(err)
		case s.Len() > s.Limit():
			t.Errorf("%d positions, the limit is %d", s.Len(), s.Limit())
		}
	}
	// Positions that stay, stay where they are.
	if n := min(len(table), len(s.Table())); !slices.Equal(table[:n], s.Table()[:n]) {
		t.Errorf("blocks %v became %v", table, s.Table())
	}
}

func TestRandomOperations(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := newPool(t, 20*BlockSize)
	var sequences []*Sequence
	for range 6 {
		sequences = append(sequences, p.NewSequence(random.IntN(10*BlockSize)))
	}
	for range 20_000 {
		operate(t, sequences[random.IntN(len(sequences))], random)
		check(t, p, sequences)
		if t.Failed() {
			return
		}
	}
}

// Sequences of one pool are used at once, each by its own goroutine.
func TestConcurrent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := newPool(t, 20*BlockSize)
	sequences := make([]*Sequence, 8)
	var wait sync.WaitGroup
	for i := range sequences {
		s := p.NewSequence(0)
		sequences[i] = s
		wait.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 2000 {
				operate(t, s, random)
				// A block that two held at once would be a race here.
				for _, b := range s.Table() {
					p.mem.Layers[0].K[int(b)*BlockSize*16]++
				}
				p.Positions()
			}
		})
	}
	wait.Wait()
	check(t, p, sequences)
}

func TestGrowDoesNotAllocate(t *testing.T) {
	s := newPool(t, 64*BlockSize).NewSequence(0)
	if n := testing.AllocsPerRun(100, func() {
		if s.Grow(1) != nil {
			t.Fatal("full")
		}
	}); n != 0 {
		t.Errorf("growing by a token allocates %v times", n)
	}
}
