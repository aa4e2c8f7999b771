package gpu

import (
	"fmt"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// stepBuffer is what kernels read of a step: int32 values, a section for each
// field. Only the tables may outgrow their room.
type stepBuffer struct {
	device *metal.Device
	buffer *metal.Buffer
	tokens, positions, slots, starts, outputs, tiles,
	tables section
	blocks []int32 // of each sequence: how many it needs, then where they are
}

// section is a range of a step buffer, in values.
type section struct{ at, n int }

const tableRoom = 1024 // block numbers there is room for at first

func newStepBuffer(d *metal.Device, l program.Limits) (*stepBuffer, error) {
	s := &stepBuffer{device: d}
	at := s.divide(l)
	var err error
	s.buffer, err = newStep(d, at)
	return s, err
}

// divide gives each section its place, and returns how many values there are.
func (s *stepBuffer) divide(l program.Limits) (at int) {
	for _, f := range []struct {
		*section
		n int
	}{{&s.tokens, l.Tokens}, {&s.positions, l.Tokens}, {&s.slots, l.Tokens}, {&s.starts, l.Tokens}, {&s.outputs, l.Outputs}, {&s.tiles, 2 * l.Tokens}, {&s.tables, tableRoom}} {
		*f.section = section{at, f.n}
		at += (f.n + 15) &^ 15
	}
	return at
}

func newStep(d *metal.Device, n int) (*metal.Buffer, error) {
	b, err := d.NewBuffer(4*n, metal.Shared|metal.Untracked)
	if err != nil {
		return nil, fmt.Errorf("gpu: step buffer: %w", err)
	}
	b.SetLabel("step")
	return b, nil
}

// values is a section's memory.
func (s *stepBuffer) values(f section) []int32 {
	mem := s.buffer.Bytes()
	return unsafe.Slice((*int32)(unsafe.Pointer(&mem[4*f.at])), f.n)
}

// write fills the buffer for a step, which has been checked. moved is true if
// the buffer is another now. It returns the most pages a row sees.
func (s *stepBuffer) write(step *program.Step, kv *program.KVMemory) (pages, tiles int, moved bool, err error) {
	// The tables of the step's sequences lie one after another, each as far as its
	// rows need; starts tells each row where its own is.
	s.blocks = append(s.blocks[:0], make([]int32, len(step.Tables))...)
	for i, q := range step.Sequences {
		s.blocks[q] = max(s.blocks[q], step.Positions[i]/int32(kv.BlockSize)+1)
	}
	need := 0
	for _, n := range s.blocks {
		need += int(n)
		pages = max(pages, int(n))
	}
	if need > s.tables.n {
		b, err := newStep(s.device, s.tables.at+2*need)
		if err != nil {
			return 0, 0, false, err
		}
		s.buffer.Release()
		s.buffer, s.tables.n, moved = b, 2*need, true
	}
	tables, at := s.values(s.tables), int32(0)
	for q, n := range s.blocks {
		copy(tables[at:], step.Tables[q][:n])
		s.blocks[q] = at
		at += n
	}
	starts := s.values(s.starts)
	for i, q := range step.Sequences {
		starts[i] = s.blocks[q]
	}
	slots := s.values(s.slots)
	for i, p := range step.Positions {
		block := step.Tables[step.Sequences[i]][int(p)/kv.BlockSize]
		slots[i] = block*int32(kv.BlockSize) + p%int32(kv.BlockSize)
	}
	copy(s.values(s.tokens), step.Tokens)
	copy(s.values(s.positions), step.Positions)
	copy(s.values(s.outputs), step.Outputs)
	return pages, s.tile(step), moved, nil
}

// tile cuts the step into tiles, runs of rows whose positions follow one another
// in a sequence, and returns how many there are; 0 if they are so short that
// each row is better taken by itself.
func (s *stepBuffer) tile(step *program.Step) (n int) {
	tiles := s.values(s.tiles)
	rows := int32(0)
	for i, p := range step.Positions {
		if i == 0 || rows == shaders.AttentionTile || step.Sequences[i-1] != step.Sequences[i] || step.Positions[i-1]+1 != p {
			tiles[2*n], rows = int32(i), 0
			n++
		}
		rows++
		tiles[2*n-1] = rows
	}
	if 2*n > len(step.Positions) {
		return 0
	}
	return n
}
