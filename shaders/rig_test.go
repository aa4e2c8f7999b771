package shaders_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
	"github.com/gollm/gollm/shaders"
)

var seedFlag = flag.Uint64("seed", 0, "seed of inputs and schedules; 0 for a new one")

// TestMain runs nothing where kernels cannot be compiled, and says so; with CI set that is a failure.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := emu.CanCompile(); err != nil {
		fmt.Printf("NOT TESTED: kernels: %v\n", err)
		if os.Getenv("CI") != "" {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A rig runs kernels: a device, a queue, and random inputs.
type rig struct {
	testing.TB
	dev       *metal.Device
	queue     *metal.Queue
	rng       *rand.Rand
	libraries map[string]*metal.Library
	pipelines map[shaders.Kernel]*metal.Pipeline
}

func newRig(t testing.TB) *rig {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with -run '^%s$' -seed %d", t.Name(), seed)
		}
	})
	r := &rig{TB: t, rng: rand.New(rand.NewPCG(seed, 0)), libraries: map[string]*metal.Library{}, pipelines: map[shaders.Kernel]*metal.Pipeline{}}
	r.dev = emu.Test(t, emu.Options{Seed: seed, Races: os.Getenv("GOLLM_RACES") != ""}).Device()
	var err error
	if r.queue, err = r.dev.NewQueue(metal.QueueOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range r.pipelines {
			p.Release()
		}
		for _, l := range r.libraries {
			l.Release()
		}
		r.queue.Release()
	})
	return r
}

func (r *rig) pipeline(k shaders.Kernel) *metal.Pipeline {
	r.Helper()
	if p := r.pipelines[k]; p != nil {
		return p
	}
	lib := r.libraries[k.Source]
	if lib == nil {
		source, err := shaders.Source(k.Source)
		if err != nil {
			r.Fatal(err)
		}
		if lib, err = r.dev.NewLibrary(source, metal.CompileOptions{Label: k.Source, Language: metal.MSL3_0, Math: metal.MathRelaxed}); err != nil {
			r.Fatal(err)
		}
		r.libraries[k.Source] = lib
	}
	f, err := lib.Function(k.Name, metal.Constants(k.ConstantValues()))
	if err != nil {
		r.Fatal(err)
	}
	defer f.Release()
	p, err := r.dev.NewPipeline(f, metal.PipelineOptions{Label: k.Name})
	if err != nil {
		r.Fatal(err)
	}
	r.pipelines[k] = p
	return p
}

// front is what lies before every bound offset: arguments that start where their buffer does would hide
// a kernel that forgets its offset.
const front = 64

// A memory is a buffer bound from offset front, with nothing behind its n bytes.
type memory struct {
	*metal.Buffer
	n int
}

func (m memory) data() []byte { return m.Bytes()[front : front+m.n] }

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

// alloc gives n bytes of NaN. Its length is a multiple of 4, as a file's tensors are padded.
func (r *rig) alloc(n int) memory {
	r.Helper()
	b, err := r.dev.NewBuffer(front+(n+3)&^3, metal.Shared)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(b.Release)
	return memory{b, n}
}

func (r *rig) bytes(v []byte) memory {
	m := r.alloc(len(v))
	copy(m.data(), v)
	return m
}

func (r *rig) floats(v []float32) memory {
	m := r.alloc(4 * len(v))
	for i, f := range v {
		binary.LittleEndian.PutUint32(m.data()[4*i:], math.Float32bits(f))
	}
	return m
}

func (r *rig) ints(v []int32) memory {
	m := r.alloc(4 * len(v))
	for i, f := range v {
		binary.LittleEndian.PutUint32(m.data()[4*i:], uint32(f))
	}
	return m
}

// normal gives n normal random numbers.
func (r *rig) normal(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.rng.NormFloat64())
	}
	return v
}

// A step is a launch with its buffers, by index.
type step struct {
	launch  shaders.Launch
	buffers map[int]memory
}

// run runs the steps in order, and fails the test if a kernel faults or writes before its arguments.
func (r *rig) run(steps ...step) {
	r.Helper()
	before := map[*metal.Buffer][]byte{}
	cb, err := r.queue.CommandBuffer()
	if err != nil {
		r.Fatal(err)
	}
	defer cb.Release()
	pipelines := make([]*metal.Pipeline, len(steps))
	for i, s := range steps {
		pipelines[i] = r.pipeline(s.launch.Kernel)
		for _, m := range s.buffers {
			before[m.Buffer] = slices.Clone(m.Bytes()[:front])
		}
	}
	err = cb.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
		for i, s := range steps {
			e.SetPipeline(pipelines[i])
			e.SetBytes(0, s.launch.Params)
			for index, m := range s.buffers {
				e.SetBuffer(index, m.Buffer, front)
			}
			if s.launch.Shared > 0 {
				e.SetThreadgroupMemory(0, s.launch.Shared)
			}
			g, t := s.launch.Groups, s.launch.Threads
			e.DispatchThreadgroups(metal.Size{Width: g[0], Height: g[1], Depth: g[2]}, metal.Size{Width: t[0], Height: t[1], Depth: t[2]})
			e.Barrier()
		}
		return nil
	})
	if err == nil {
		err = cb.Commit()
	}
	if err == nil {
		err = cb.Wait()
	}
	if err != nil {
		r.Fatal(err)
	}
	for b, v := range before {
		if !slices.Equal(b.Bytes()[:front], v) {
			r.Errorf("%s: memory before an argument was written", steps[0].launch.Kernel.Name)
		}
	}
}

// check holds got against want: no error may exceed bound times the largest value of want, or times size if
// that is more: what the rounding of a sum whose terms cancel is relative to. NaN fails.
func (r *rig) check(name string, got []float32, want []float64, width int, size, bound float64) {
	r.Helper()
	if len(got) != len(want) {
		r.Fatalf("%s: %d values, want %d", name, len(got), len(want))
	}
	scale := max(size, 1e-30)
	for _, v := range want {
		scale = max(scale, math.Abs(v))
	}
	worst, at := 0.0, 0
	for i, v := range want {
		if e := math.Abs(float64(got[i])-v) / scale; !(e <= worst) { // NaN too
			worst, at = e, i
			if math.IsNaN(e) {
				break
			}
		}
	}
	if os.Getenv("GOLLM_ERRORS") != "" {
		r.Logf("%s: error %.2g, bound %.2g", name, worst, bound)
	}
	if !(worst <= bound) {
		r.Errorf("%s: value %d of row %d is %g, want %g: error %.2g of the largest, bound %.2g", name, at%width, at/width, got[at], want[at], worst, bound)
	}
}

// A matrix is random weights: the file's bytes, and their exact values.
type matrix struct {
	t           shaders.Type
	width, rows int
	data        []byte
	values      []float32
}

func fileType(t shaders.Type) gguf.Type {
	ft, err := gguf.ParseType(t.String())
	if err != nil {
		panic(err)
	}
	return ft
}

// halves are where a block has float16 scales.
var halves = map[shaders.Type][]int{
	shaders.Q4_0: {0}, shaders.Q4_1: {0, 2}, shaders.Q5_0: {0}, shaders.Q5_1: {0, 2}, shaders.Q8_0: {0}, shaders.Q2_K: {80, 82}, shaders.Q3_K: {108},
	shaders.Q4_K: {0, 2}, shaders.Q5_K: {0, 2}, shaders.Q6_K: {208}, shaders.IQ4_NL: {0}, shaders.IQ4_XS: {0},
}

// matrix makes blocks of random bits, so that every bit of the layout counts, with scales in a range
// that models have.
func (r *rig) matrix(t shaders.Type, width, rows int) matrix {
	r.Helper()
	ft := fileType(t)
	m := matrix{t: t, width: width, rows: rows, data: make([]byte, rows*ft.RowBytes(width)), values: make([]float32, rows*width)}
	for i := range m.data {
		m.data[i] = byte(r.rng.Uint32())
	}
	size := ft.BlockBytes()
	for b := 0; b < len(m.data); b += size {
		block := m.data[b : b+size]
		switch t {
		case shaders.F32:
			binary.LittleEndian.PutUint32(block, math.Float32bits(float32(r.rng.NormFloat64())))
		case shaders.F16:
			binary.LittleEndian.PutUint16(block, quant.F32ToF16(float32(r.rng.NormFloat64())))
		case shaders.BF16:
			binary.LittleEndian.PutUint16(block, quant.F32ToBF16(float32(r.rng.NormFloat64())))
		case shaders.MXFP4:
			block[0] = byte(118 + r.rng.IntN(6))
		}
		for _, at := range halves[t] {
			binary.LittleEndian.PutUint16(block[at:], quant.F32ToF16(float32(0.01*(r.rng.Float64()-0.3))))
		}
	}
	if err := quant.Decode(ft, m.values, m.data); err != nil {
		r.Fatal(err)
	}
	return m
}

func (m matrix) row(i int) []float32 { return m.values[i*m.width : (i+1)*m.width] }

// dot is Σ w·x in double precision.
func dot[X float32 | float64](w []float32, x []X) (sum float64) {
	for i, v := range w {
		sum += float64(v) * float64(x[i])
	}
	return sum
}
