package kerneltest

import (
	"errors"
	"fmt"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/pipelines"
)

// Speed is how long a launch took by the GPU's clock: the best of some runs.
type Speed struct {
	Kernel  string  `json:"kernel"`
	Bytes   int64   `json:"bytes"` // that it must read and write
	Seconds float64 `json:"seconds"`
}

// Rate is bytes a second.
func (s Speed) Rate() float64 { return float64(s.Bytes) / s.Seconds }

// TimeCopy copies a buffer of so many bytes, a multiple of 4096, to another: what memory gives a kernel at best. On the
// emulator its time means nothing.
func (r *Rig) TimeCopy(bytes, runs int) (Speed, error) {
	const width = 1024
	rows := bytes / (4 * width)
	return r.time(shaders.CopyColumns(rows, width, 0, width), runs, map[int]int{shaders.CopyX: bytes, shaders.CopyOut: bytes})
}

// TimeMatVec projects columns of activations by weights of a type: with one column, what decoding does most. On the
// emulator its time means nothing.
func (r *Rig) TimeMatVec(t shaders.Type, width, rows, columns, runs int) (Speed, error) {
	p := shaders.MatVecParams{Width: uint32(width), Rows: uint32(rows)}
	l := shaders.MatVec(t, p, shaders.Parts{})
	if columns > 1 {
		l = shaders.MatVecN(t, p, shaders.Parts{}, columns)
	}
	return r.time(l, runs, map[int]int{shaders.LinearWeights: rows * t.RowBytes(width), shaders.LinearX: 4 * columns * width, shaders.LinearOut: 4 * columns * rows})
}

// time runs a launch over buffers of the given bytes: once to warm up, then again, each run after the one before.
func (r *Rig) time(l shaders.Launch, runs int, buffers map[int]int) (Speed, error) {
	s := Speed{Kernel: l.Kernel.Name, Bytes: l.Read + l.Written}
	p, err := r.kernels.Pipeline(pipelines.Key{Kernel: l.Kernel})
	if err != nil {
		return s, err
	}
	bound := map[int]*metal.Buffer{}
	defer func() {
		for _, b := range bound {
			b.Release()
		}
	}()
	for index, n := range buffers {
		b, err := r.device.NewBuffer(n, metal.Shared)
		if err != nil {
			return s, fmt.Errorf("%s: %w", l.Kernel.Name, err)
		}
		for i, data := 0, b.Bytes(); i < len(data); i++ { // any bits are weights, and memory that nothing wrote may be none yet
			data[i] = byte(i * 37 >> 3)
		}
		bound[index] = b
	}
	for run := range runs + 1 {
		seconds, err := r.once(p, l, bound)
		if err != nil {
			return s, fmt.Errorf("%s: %w", l.Kernel.Name, err)
		}
		if run > 0 && (s.Seconds == 0 || seconds < s.Seconds) {
			s.Seconds = seconds
		}
	}
	if !(s.Seconds > 0) {
		return s, errors.New("the GPU's clock says that " + l.Kernel.Name + " took no time")
	}
	return s, nil
}

func (r *Rig) once(p *metal.Pipeline, l shaders.Launch, buffers map[int]*metal.Buffer) (float64, error) {
	cb, err := r.queue.CommandBuffer()
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
		e.DispatchThreadgroups(size(l.Groups), size(l.Threads))
		return nil
	})
	if err == nil {
		err = cb.Commit()
	}
	if err == nil {
		err = cb.Wait()
	}
	start, end := cb.GPUTime()
	return end - start, err
}
