package kerneltest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/pipelines"
)

// A trial is one case being run: its random numbers, its buffers, its result. Its methods end the case when
// something fails, so that a tester reads as the list of what it does.
type trial struct {
	*Rig
	rng     *rand.Rand
	buffers []*metal.Buffer
	result  Result
}

func (t *trial) fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

func (t *trial) must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// front is what lies before every bound offset: arguments that start where their buffer does would hide
// a kernel that forgets its offset. behind is what lies behind, on hardware.
const (
	front  = 64
	behind = 64
)

// A memory is a buffer bound from offset front.
type memory struct {
	*metal.Buffer
	n int
}

func (m memory) data() []byte { return m.Bytes()[front : front+m.n] }

// around are the bytes before and behind the argument, beyond the padding a file's tensors have.
func (m memory) around() (before, after []byte) {
	return m.Bytes()[:front], m.Bytes()[front+(m.n+3)&^3:]
}

func (m memory) floats() []float32 {
	f := make([]float32, m.n/4)
	for i := range f {
		f[i] = math.Float32frombits(binary.LittleEndian.Uint32(m.data()[4*i:]))
	}
	return f
}

func (m memory) ints() []int32 {
	v := make([]int32, m.n/4)
	for i := range v {
		v[i] = int32(binary.LittleEndian.Uint32(m.data()[4*i:]))
	}
	return v
}

// poison is what a byte holds before a kernel writes it: NaN as floats of 32 and 16 bits, and as an int32 neither a
// number of anything nor −1.
func poison(at int) byte { return 0xfe | byte(at&1) }

// alloc gives n bytes of poison. Its length is a multiple of 4, as a file's tensors are padded.
func (t *trial) alloc(n int) memory {
	size := front + (n+3)&^3
	if t.opt.Hardware {
		size += behind
	}
	b, err := t.device.NewBuffer(size, metal.Shared)
	t.must(err)
	t.buffers = append(t.buffers, b)
	for i := range b.Bytes() {
		b.Bytes()[i] = poison(i)
	}
	return memory{b, n}
}

func (t *trial) bytes(v []byte) memory {
	m := t.alloc(len(v))
	copy(m.data(), v)
	return m
}

func (t *trial) floats(v []float32) memory {
	m := t.alloc(4 * len(v))
	for i, f := range v {
		binary.LittleEndian.PutUint32(m.data()[4*i:], math.Float32bits(f))
	}
	return m
}

func (t *trial) ints(v []int32) memory {
	m := t.alloc(4 * len(v))
	for i, f := range v {
		binary.LittleEndian.PutUint32(m.data()[4*i:], uint32(f))
	}
	return m
}

// normal gives n normal random numbers.
func (t *trial) normal(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(t.rng.NormFloat64())
	}
	return v
}

// coin is true every other time.
func (t *trial) coin() bool { return t.rng.IntN(2) == 0 }

// A step is a launch with its buffers, by index.
type step struct {
	launch  shaders.Launch
	buffers map[int]memory
}

// launch runs the steps in order. The case fails if a kernel faults or writes outside its arguments.
func (t *trial) launch(steps ...step) {
	type place struct{ before, after []byte }
	was := map[*metal.Buffer]place{}
	compiled := make([]*metal.Pipeline, len(steps))
	spoilt := t.opt.Spoil
	if spoilt == nil {
		spoilt = func(*shaders.Launch) bool { return true }
	}
	for i, s := range steps {
		var err error
		compiled[i], err = t.kernels.Pipeline(pipelines.Key{Kernel: s.launch.Kernel})
		t.must(err)
		for _, m := range s.buffers {
			before, after := m.around()
			was[m.Buffer] = place{slices.Clone(before), slices.Clone(after)}
		}
	}
	cb, err := t.queue.CommandBuffer()
	t.must(err)
	defer cb.Release()
	err = cb.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
		for i, s := range steps {
			l := s.launch
			if !spoilt(&l) {
				continue
			}
			e.SetPipeline(compiled[i])
			e.SetBytes(0, l.Params)
			for index, m := range s.buffers {
				e.SetBuffer(index, m.Buffer, front)
			}
			if l.Shared > 0 {
				e.SetThreadgroupMemory(0, l.Shared)
			}
			e.DispatchThreadgroups(size(l.Groups), size(l.Threads))
			e.Barrier()
		}
		return nil
	})
	t.must(err)
	t.must(cb.Commit())
	if err := cb.Wait(); err != nil {
		t.fail("kernel %s: %w", steps[0].launch.Kernel.Name, err)
	}
	for _, s := range steps {
		for index, m := range s.buffers {
			before, after := m.around()
			if w := was[m.Buffer]; !bytes.Equal(before, w.before) || !bytes.Equal(after, w.after) {
				t.fail("kernel %s: memory outside argument %d was written", s.launch.Kernel.Name, index)
			}
		}
	}
}

func size(s shaders.Size) metal.Size { return metal.Size{Width: s[0], Height: s[1], Depth: s[2]} }

// slack is by how much more than the emulator a real GPU's arithmetic may be off: it adds in other orders, and its
// functions are not rounded to the last bit.
const slack = 4

// record keeps the error nearest to its bound, and fails if it is beyond.
func (t *trial) record(worst, bound float64, values int, what func() string) {
	t.result.Values += values
	if t.result.Bound == 0 || !(worst*t.result.Bound <= t.result.Error*bound) {
		t.result.Error, t.result.Bound = worst, bound
	}
	if !(worst <= bound) {
		t.fail("%s: error %.2g, bound %.2g", what(), worst, bound)
	}
}

// check holds got, rows of width values, against want: no error may exceed bound times the largest value of want, or
// times size if that is more: what the rounding of a sum whose terms cancel is relative to. NaN fails.
func (t *trial) check(got []float32, want []float64, width int, size, bound float64) {
	largest := max(size, 1e-30)
	for _, v := range want {
		largest = max(largest, math.Abs(v))
	}
	t.compare(got, want, width, bound, func(float64) float64 { return largest })
}

// checkEach holds each value of got against want: no error may exceed bound times the value, or times least if that
// is more. NaN fails.
func (t *trial) checkEach(got []float32, want []float64, width int, least, bound float64) {
	t.compare(got, want, width, bound, func(v float64) float64 { return max(least, math.Abs(v)) })
}

func (t *trial) compare(got []float32, want []float64, width int, bound float64, scale func(want float64) float64) {
	if len(got) != len(want) {
		t.fail("%d values, want %d", len(got), len(want))
	}
	if t.opt.Hardware {
		bound *= slack
	}
	worst, at := 0.0, 0
	for i, v := range want {
		if e := math.Abs(float64(got[i])-v) / scale(v); !(e <= worst) { // NaN too
			worst, at = e, i
			if math.IsNaN(e) {
				break
			}
		}
	}
	t.record(worst, bound, len(got), func() string {
		return fmt.Sprintf("column %d of row %d is %g, want %g", at%width, at/width, got[at], want[at])
	})
}

// same wants equal values.
func same[T int32 | float32](t *trial, what string, got, want []T) {
	if len(got) != len(want) {
		t.fail("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.fail("%s: value %d of %d is %v, want %v", what, i, len(want), got[i], want[i])
		}
	}
	t.result.Values += len(want)
}
