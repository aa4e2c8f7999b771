package program

import (
	"fmt"
	"io"

	"github.com/gollm/gollm/gguf"
)

// A KVAllocator is an Executor that cannot run over just any memory: its
// programs' KV memory must be its own.
type KVAllocator interface {
	// AllocateKV returns n bytes, and a function that gives them back, to be
	// called once, when no Runner uses them any more. Close of the executor gives
	// back what is left. The contents are undefined.
	AllocateKV(n int) (mem []byte, free func(), err error)
}

// CheckKV reports whether the programs' keys and values can be kept as type t: F32,
// F16, or Q8_0, whose blocks of 32 values no head may share with another.
func (p *Program) CheckKV(t gguf.Type) error {
	if t != gguf.F32 && t != gguf.F16 && t != gguf.Q8_0 {
		return fmt.Errorf("KV cache type %s: only F32, F16 and Q8_0 are supported", t)
	}
	for _, op := range p.Ops {
		a, ok := op.(*Attention)
		if !ok {
			continue
		}
		kv := p.KV[a.Layer]
		for _, w := range []struct {
			of    string
			width int
		}{{"keys", kv.KeyWidth / a.KVHeads}, {"values", kv.ValueWidth / a.KVHeads}} {
			if w.width%t.BlockSize() != 0 {
				return fmt.Errorf("KV cache type %s: heads of layer %d have %s of %d values, not whole blocks of %d", t, a.Layer, w.of, w.width, t.BlockSize())
			}
		}
	}
	return nil
}

// Bytes is what an allocator is asked for to keep rows positions of a layer as typ:
// the keys, and from the offset values on, which begin on a cache line, the values.
func (s KVShape) Bytes(typ gguf.Type, rows int) (values, size int) {
	values = (rows*typ.RowBytes(s.KeyWidth) + 255) &^ 255
	return values, values + rows*typ.RowBytes(s.ValueWidth)
}

// A KVDivider is an Executor that has others run layers, over memory of theirs.
type KVDivider interface {
	// LayerExecutor returns the one that runs a layer, numbered from 0.
	LayerExecutor(layer int) Executor
}

// NewKVMemory allocates storage of the given number of blocks of blockSize
// positions for programs with these shapes, that e can run over. e may be nil,
// for an executor that takes any memory. Rows must be whole blocks of typ: see
// Program.CheckKV. Close it after use.
func NewKVMemory(e Executor, shapes []KVShape, typ gguf.Type, blockSize, blocks int) (*KVMemory, error) {
	m := &KVMemory{Type: typ, BlockSize: blockSize, Blocks: blocks}
	rows := blocks * blockSize
	for i, s := range shapes {
		for _, width := range []int{s.KeyWidth, s.ValueWidth} {
			if width%typ.BlockSize() != 0 {
				m.Close()
				return nil, fmt.Errorf("KV cache of layer %d: rows of %d values are not whole blocks of %d of %s", i, width, typ.BlockSize(), typ)
			}
		}
		at, size := s.Bytes(typ, rows)
		k, v := rows*typ.RowBytes(s.KeyWidth), rows*typ.RowBytes(s.ValueWidth)
		layer := KVLayer{Shape: s}
		runs := e
		if d, ok := e.(KVDivider); ok {
			runs = d.LayerExecutor(i)
		}
		if allocator, ok := runs.(KVAllocator); !ok {
			layer.K, layer.V = make([]byte, k), make([]byte, v)
		} else {
			mem, free, err := allocator.AllocateKV(size)
			if err != nil {
				m.Close()
				return nil, fmt.Errorf("KV cache of layer %d of %d, %d positions: %w", i, len(shapes), rows, err)
			}
			m.free = append(m.free, free)
			layer.K, layer.V = mem[:k:k], mem[at:size:size]
		}
		m.Layers = append(m.Layers, layer)
	}
	return m, nil
}

// Check reports whether p can run over the memory within the limits: what every
// executor relies on when it compiles.
func (m *KVMemory) Check(p *Program, l Limits) error {
	if len(m.Layers) != len(p.KV) {
		return fmt.Errorf("program keeps %d KV layers, memory has %d", len(p.KV), len(m.Layers))
	}
	if p.Hidden.None() {
		return nil
	}
	if i := p.Info(p.Hidden); len(m.Hidden) < i.MaxRows(l)*i.Width {
		return fmt.Errorf("hidden states of %d tokens of width %d do not fit %d values", l.Tokens, i.Width, len(m.Hidden))
	}
	return nil
}

// Close gives the memory back. It may be called twice.
func (m *KVMemory) Close() {
	for _, f := range m.free {
		f()
	}
	m.free, m.Layers = nil, nil
}

// CloseRunner gives back what a runner holds beside Go's memory, if it does. r
// may be nil.
func CloseRunner(r Runner) {
	if c, ok := r.(io.Closer); ok {
		c.Close()
	}
}
