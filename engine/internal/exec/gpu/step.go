package gpu

import (
	"fmt"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// turns is how many steps have a place in the step buffer: the one the GPU works
// on, and the one after it, which is written at the same time.
const turns = program.FeedAhead

// stepBuffer is what kernels read of steps: int32 values, a section for each field
// of each turn. Only the tables may outgrow their room.
type stepBuffer struct {
	device *metal.Device
	buffer *metal.Buffer
	stride int // values of a turn
	tokens, positions, slots, starts, outputs, tiles,
	tables section // of the first turn
	blocks []int32 // of each sequence: how many it needs, then where they are
}

// section is a range of a turn, in values.
type section struct{ at, n int }

const tableRoom = 1024 // block numbers there is room for at first

func newStepBuffer(d *metal.Device, l program.Limits) (*stepBuffer, error) {
	s := &stepBuffer{device: d}
	s.divide(l, tableRoom)
	var err error
	s.buffer, err = s.allocate()
	return s, err
}

// divide gives each section its place.
func (s *stepBuffer) divide(l program.Limits, tables int) {
	s.stride = 0
	for _, f := range []struct {
		*section
		n int
	}{{&s.tokens, l.Tokens}, {&s.positions, l.Tokens}, {&s.slots, l.Tokens}, {&s.starts, l.Tokens}, {&s.outputs, l.Outputs}, {&s.tiles, 2 * l.Tokens}, {&s.tables, tables}} {
		*f.section = section{s.stride, f.n}
		s.stride += (f.n + 15) &^ 15
	}
}

// bytes is the size of the buffer.
func (s *stepBuffer) bytes() int { return 4 * turns * s.stride }

// allocate makes a buffer of the size that divide has found. Metal tracks it: what
// a step picks is read by the next one, of another command buffer.
func (s *stepBuffer) allocate() (*metal.Buffer, error) {
	b, err := s.device.NewBuffer(s.bytes(), metal.Shared)
	if err != nil {
		return nil, fmt.Errorf("gpu: step buffer: %w", err)
	}
	b.SetLabel("step")
	return b, nil
}

// values is the memory of a section of a turn.
func (s *stepBuffer) values(turn int, f section) []int32 {
	mem := s.buffer.Bytes()
	return unsafe.Slice((*int32)(unsafe.Pointer(&mem[4*(turn*s.stride+f.at)])), f.n)
}

// count finds how many blocks of its table each sequence of the step needs, the
// most a row sees and all together.
func (s *stepBuffer) count(step *program.Step, kv *program.KVMemory) (most, sum int) {
	s.blocks = append(s.blocks[:0], make([]int32, len(step.Tables))...)
	for i, q := range step.Sequences {
		s.blocks[q] = max(s.blocks[q], step.Positions[i]/int32(kv.BlockSize)+1)
	}
	for _, n := range s.blocks {
		sum += int(n)
		most = max(most, int(n))
	}
	return most, sum
}

// grow makes room for tables of so many blocks. The GPU must be done with the
// steps that the buffer has; they are moved to the new one.
func (s *stepBuffer) grow(l program.Limits, blocks int) error {
	was := *s
	s.divide(l, 2*blocks)
	b, err := s.allocate()
	if err != nil {
		*s = was
		return err
	}
	s.buffer = b
	for turn := range turns {
		all := section{0, was.stride}
		copy(s.values(turn, all), was.values(turn, all))
	}
	was.buffer.Release()
	return nil
}

// write fills a turn for a step that has been checked and counted; tokens that
// another step picks are left. It returns how many tiles there are.
func (s *stepBuffer) write(turn int, step *program.Step, kv *program.KVMemory) (tiles int) {
	// The tables of the step's sequences lie one after another, each as far as its
	// rows need; starts tells each row where its own is.
	tables, at := s.values(turn, s.tables), int32(0)
	for q, n := range s.blocks {
		copy(tables[at:], step.Tables[q][:n])
		s.blocks[q] = at
		at += n
	}
	starts, slots := s.values(turn, s.starts), s.values(turn, s.slots)
	for i, q := range step.Sequences {
		starts[i] = s.blocks[q]
		p := int(step.Positions[i])
		slots[i] = step.Tables[q][p/kv.BlockSize]*int32(kv.BlockSize) + int32(p%kv.BlockSize)
	}
	copy(s.values(turn, s.tokens), step.Tokens)
	copy(s.values(turn, s.positions), step.Positions)
	copy(s.values(turn, s.outputs), step.Outputs)
	return s.tile(turn, step)
}

// tile cuts the step into tiles, runs of rows whose positions follow one another
// in a sequence, and returns how many there are; 0 if they are so short that
// each row is better taken by itself.
func (s *stepBuffer) tile(turn int, step *program.Step) (n int) {
	tiles := s.values(turn, s.tiles)
	rows := int32(0)
	for i, p := range step.Positions {
		if i == 0 || rows == shaders.AttentionTile || step.Sequences[i-1] != step.Sequences[i] || step.Positions[i-1]+1 != p {
			tiles[2*n], rows = int32(i), 0
			n++
		}
		rows++
		tiles[2*n-1] = rows
	}
	return worthTiling(n, len(step.Positions))
}

// worthTiling returns tiles, the number that rows make, or 0 if those are better taken
// one by one.
func worthTiling(tiles, rows int) int {
	if 2*tiles > rows {
		return 0
	}
	return tiles
}
