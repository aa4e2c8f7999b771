package doctor

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"unsafe"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// rig runs kernels one at a time.
type rig struct {
	device  *metal.Device
	queue   *metal.Queue
	buffers []*metal.Buffer
	rng     *rand.Rand
}

func newRig(d *metal.Device) (*rig, error) {
	q, err := d.NewQueue(metal.QueueOptions{Label: "doctor", EncoderStatus: true})
	if err != nil {
		return nil, err
	}
	// The same numbers every time: a bug report says what can be repeated.
	return &rig{device: d, queue: q, rng: rand.New(rand.NewPCG(1, 2))}, nil
}

func (b *rig) release() {
	b.free()
	b.queue.Release()
}

// free gives the buffers of a check back.
func (b *rig) free() {
	for _, m := range b.buffers {
		m.Release()
	}
	b.buffers = nil
}

func (b *rig) memory(n int) (*metal.Buffer, error) {
	m, err := b.device.NewBuffer((n+15)&^15, metal.Shared)
	if err == nil {
		b.buffers = append(b.buffers, m)
	}
	return m, err
}

func (b *rig) bytes(v []byte) (*metal.Buffer, error) {
	m, err := b.memory(len(v))
	if err == nil {
		copy(m.Bytes(), v)
	}
	return m, err
}

func (b *rig) floats(v []float32) (*metal.Buffer, error) {
	return b.bytes(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v)))
}

func (b *rig) normal(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(b.rng.NormFloat64())
	}
	return v
}

// launch compiles a kernel and runs it once, and returns the seconds the GPU took.
func (b *rig) launch(typ shaders.Type, l shaders.Launch, buffers map[int]*metal.Buffer) (float64, error) {
	text, err := shaders.Source(l.Kernel.Source)
	if err != nil {
		return 0, err
	}
	lib, err := newLibrary(b.device, l.Kernel.Source, text, shaders.Macros(typ))
	if err != nil {
		return 0, err
	}
	defer lib.Release()
	f, err := lib.Function(l.Kernel.Name, metal.Constants(l.Kernel.ConstantValues()))
	if err != nil {
		return 0, err
	}
	defer f.Release()
	p, err := b.device.NewPipeline(f, metal.PipelineOptions{Label: l.Kernel.Name})
	if err != nil {
		return 0, err
	}
	defer p.Release()
	cb, err := b.queue.CommandBuffer()
	if err != nil {
		return 0, err
	}
	defer cb.Release()
	err = cb.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
		e.SetPipeline(p)
		e.SetBytes(0, l.Params)
		for i, m := range buffers {
			e.SetBuffer(i, m, 0)
		}
		if l.Shared > 0 {
			e.SetThreadgroupMemory(0, l.Shared)
		}
		g, t := l.Groups, l.Threads
		e.DispatchThreadgroups(metal.Size{Width: g[0], Height: g[1], Depth: g[2]}, metal.Size{Width: t[0], Height: t[1], Depth: t[2]})
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := cb.Commit(); err != nil {
		return 0, err
	}
	if err := cb.Wait(); err != nil {
		return 0, err
	}
	start, end := cb.GPUTime()
	return end - start, nil
}

// kernelChecks are kernels with their references in double precision. run says
// how far off the kernel is.
var kernelChecks = []struct {
	name string
	run  func(*rig) (string, error)
}{
	{"norm", (*rig).norm},
	{"matvec", func(b *rig) (string, error) { return b.projections(1) }},
	{"matvec_n", func(b *rig) (string, error) { return b.projections(3) }},
	{"matmul", func(b *rig) (string, error) { return b.projections(33) }},
	{"top_k", (*rig).topK},
}

// tolerance bounds the error of a result as a part of the largest: what the
// kernels' own tests allow is 5e-6, on the emulator's arithmetic.
const tolerance = 2e-5

// differ returns the largest error as a part of the largest value wanted. NaN is
// an error without bound.
func differ(got []float32, want []float64) float64 {
	if len(got) < len(want) {
		return math.Inf(1)
	}
	worst, largest := 0.0, 0.0
	for i, w := range want {
		e := math.Abs(float64(got[i]) - w)
		if math.IsNaN(e) {
			return math.Inf(1)
		}
		worst, largest = max(worst, e), max(largest, math.Abs(w))
	}
	return worst / largest
}

// results are n floats of a buffer.
func results(m *metal.Buffer, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(m.Bytes()[4*i:]))
	}
	return v
}

// projections projects columns of activations with weights of every type.
func (b *rig) projections(columns int) (string, error) {
	worst, of := 0.0, ""
	for _, t := range shaders.Types {
		e, err := b.project(t, columns)
		if err != nil {
			return "", fmt.Errorf("%s: %w", t, err)
		}
		if !(e <= tolerance) {
			return "", fmt.Errorf("%s: error %.2g, more than %.2g", t, e, tolerance)
		}
		if e >= worst {
			worst, of = e, t.String()
		}
	}
	return fmt.Sprintf("%d tensor types, %d columns: error at most %.1e (%s)", len(shaders.Types), columns, worst, of), nil
}

func (b *rig) project(t shaders.Type, columns int) (float64, error) {
	defer b.free()
	const width, rows = 512, 67
	typ, err := gguf.ParseType(t.String())
	if err != nil {
		return 0, err
	}
	data, weights := make([]byte, rows*typ.RowBytes(width)), make([]float32, rows*width)
	if err := quant.Encode(typ, data, b.normal(rows*width)); err != nil {
		return 0, err
	}
	if err := quant.Decode(typ, weights, data); err != nil {
		return 0, err
	}
	x := b.normal(columns * width)
	var want []float64
	for c := range columns {
		for r := range rows {
			sum := 0.0
			for i := range width {
				sum += float64(weights[r*width+i]) * float64(x[c*width+i])
			}
			want = append(want, sum)
		}
	}
	w, err := b.bytes(data)
	if err != nil {
		return 0, err
	}
	in, err := b.floats(x)
	if err != nil {
		return 0, err
	}
	out, err := b.memory(4 * len(want))
	if err != nil {
		return 0, err
	}
	p := shaders.MatVecParams{Width: width, Rows: rows}
	var l shaders.Launch
	switch {
	case columns == 1:
		l = shaders.MatVec(t, p, shaders.Parts{})
	case columns <= shaders.MaxColumns:
		l = shaders.MatVecN(t, p, shaders.Parts{}, columns)
	default:
		l = shaders.MatMul(t, shaders.MatMulParams{Width: width, Rows: rows, Columns: uint32(columns)}, shaders.Parts{})
	}
	if _, err := b.launch(t, l, map[int]*metal.Buffer{shaders.LinearWeights: w, shaders.LinearX: in, shaders.LinearOut: out}); err != nil {
		return 0, err
	}
	return differ(results(out, len(want)), want), nil
}

// norm divides rows by their root mean square.
func (b *rig) norm() (string, error) {
	defer b.free()
	const rows, width, eps = 5, 515, 1e-5
	x, weight := b.normal(rows*width), b.normal(width)
	var want []float64
	for r := range rows {
		squares := 0.0
		for _, v := range x[r*width : (r+1)*width] {
			squares += float64(v) * float64(v)
		}
		for i, v := range x[r*width : (r+1)*width] {
			want = append(want, float64(v)/math.Sqrt(squares/width+eps)*float64(weight[i]))
		}
	}
	in, err := b.floats(x)
	if err != nil {
		return "", err
	}
	w, err := b.floats(weight)
	if err != nil {
		return "", err
	}
	out, err := b.memory(4 * len(want))
	if err != nil {
		return "", err
	}
	l := shaders.Norm(rows, width, width, shaders.NormOptions{Weight: true, Weights: width, Eps: eps})
	if _, err := b.launch(shaders.F32, l, map[int]*metal.Buffer{shaders.NormX: in, shaders.NormOut: out, shaders.NormWeight: w}); err != nil {
		return "", err
	}
	e := differ(results(out, len(want)), want)
	if !(e <= tolerance) {
		return "", fmt.Errorf("error %.2g, more than %.2g", e, tolerance)
	}
	return fmt.Sprintf("error %.1e", e), nil
}

// topK finds the largest of a vocabulary.
func (b *rig) topK() (string, error) {
	defer b.free()
	const width, at = 32003, 31007
	x := b.normal(width)
	x[at] = 100
	in, err := b.floats(x)
	if err != nil {
		return "", err
	}
	ids, err := b.memory(4)
	if err != nil {
		return "", err
	}
	values, err := b.memory(4)
	if err != nil {
		return "", err
	}
	buffers := map[int]*metal.Buffer{shaders.SampleX: in, shaders.SampleIDs: ids, shaders.SampleValues: values}
	if _, err := b.launch(shaders.F32, shaders.TopK(1, width, 1), buffers); err != nil {
		return "", err
	}
	if id, v := binary.LittleEndian.Uint32(ids.Bytes()), results(values, 1)[0]; id != at || v != 100 {
		return "", fmt.Errorf("the largest of %d is number %d with %g, the kernel says %d with %g", width, at, 100.0, id, v)
	}
	return fmt.Sprintf("the largest of %d", width), nil
}
