// Package kv keeps the keys and values of the positions a sequence has seen,
// in pages: storage is a pool of blocks of a few positions, a sequence is a
// table of block numbers. Sequences grow without copying, give their blocks
// back when they end, and share the pool.
package kv

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// BlockSize is the number of positions in a block: large enough that tables stay
// short and kernels stream whole pages, small enough to waste little at a
// sequence's end.
const BlockSize = 32

// ErrFull is wrapped by errors of sequences that cannot grow.
var ErrFull = errors.New("KV cache is full")

// Pool is the storage of all sequences of a model. It is safe for concurrent
// use; the memory itself is written by executors, each sequence by one at a
// time.
type Pool struct {
	mem *program.KVMemory

	mu   sync.Mutex
	free []int32 // block numbers, the last is given first
}

// Size returns the bytes New would allocate.
func Size(shapes []program.KVShape, typ gguf.Type, positions int) int64 {
	blocks := int64((positions + BlockSize - 1) / BlockSize)
	var row int64
	for _, s := range shapes {
		row += int64(typ.RowBytes(s.KeyWidth) + typ.RowBytes(s.ValueWidth))
	}
	return row * BlockSize * blocks
}

// New allocates a pool of at least the given number of positions in total, over
// which e can run programs (nil: any executor that takes any memory). typ is one
// that program.Program.CheckKV allows. Close it after use.
func New(e program.Executor, shapes []program.KVShape, typ gguf.Type, positions int) (*Pool, error) {
	if positions <= 0 {
		return nil, fmt.Errorf("KV cache of %d positions", positions)
	}
	mem, err := program.NewKVMemory(e, shapes, typ, BlockSize, (positions+BlockSize-1)/BlockSize)
	if err != nil {
		return nil, err
	}
	p := &Pool{mem: mem}
	p.free = make([]int32, p.mem.Blocks)
	for i := range p.free {
		p.free[i] = int32(p.mem.Blocks - 1 - i)
	}
	return p, nil
}

// Memory returns the storage for executors.
func (p *Pool) Memory() *program.KVMemory { return p.mem }

// Close gives the storage back. No sequence or runner may use it afterwards.
func (p *Pool) Close() { p.mem.Close() }

// Positions returns how many positions the pool holds, and how many are in
// blocks that no sequence has.
func (p *Pool) Positions() (total, free int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mem.Blocks * BlockSize, len(p.free) * BlockSize
}

// Sequence is one text's place in a pool. It is used by one goroutine at a
// time.
type Sequence struct {
	pool  *Pool
	table []int32
	len   int
	limit int
}

// NewSequence returns an empty sequence that may grow to limit positions, or as
// far as the pool goes if limit is 0.
func (p *Pool) NewSequence(limit int) *Sequence {
	if limit <= 0 {
		limit = p.mem.Blocks * BlockSize
	}
	return &Sequence{pool: p, limit: limit, table: make([]int32, 0, (limit+BlockSize-1)/BlockSize)}
}

// Len returns the number of positions in use.
func (s *Sequence) Len() int { return s.len }

// Limit returns the most positions the sequence may have.
func (s *Sequence) Limit() int { return s.limit }

// Table returns the block numbers in order of position, for Step.Tables. It is
// valid until the next Grow or Truncate.
func (s *Sequence) Table() []int32 { return s.table }

// Grow makes room for n more positions. When there is none it changes nothing
// and returns an error that wraps ErrFull.
func (s *Sequence) Grow(n int) error {
	if s.len+n > s.limit {
		return fmt.Errorf("%w: %d positions in use, %d more do not fit the context of %d", ErrFull, s.len, n, s.limit)
	}
	need := (s.len+n+BlockSize-1)/BlockSize - len(s.table)
	if need > 0 {
		s.pool.mu.Lock()
		defer s.pool.mu.Unlock()
		at := len(s.pool.free) - need
		if at < 0 {
			return fmt.Errorf("%w: %d more blocks of %d positions wanted, %d free", ErrFull, need, BlockSize, len(s.pool.free))
		}
		taken := s.pool.free[at:]
		slices.Reverse(taken)
		s.table = append(s.table, taken...)
		s.pool.free = s.pool.free[:at]
	}
	s.len += n
	return nil
}

// Truncate forgets the positions from n on and gives their blocks back.
func (s *Sequence) Truncate(n int) {
	if n < 0 || n >= s.len {
		return
	}
	s.len = n
	keep := (n + BlockSize - 1) / BlockSize
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	for i := len(s.table) - 1; i >= keep; i-- {
		s.pool.free = append(s.pool.free, s.table[i])
	}
	s.table = s.table[:keep]
}

// Close gives all blocks back. The sequence is empty afterwards.
func (s *Sequence) Close() { s.Truncate(0) }
