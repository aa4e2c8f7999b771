package gpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
	"github.com/gollm/gollm/metal"
)

// place is a range of bytes of a buffer.
type place struct {
	buffer *metal.Buffer
	offset int
	size   int
}

// weights gives tensors a place in buffers.
type weights struct {
	device   *metal.Device
	mappings [][]byte

	mu      sync.Mutex
	buffers []*metal.Buffer
	tensors map[*gguf.Tensor]place // as they are in the file
	floats  map[*gguf.Tensor]place // decoded to float32
}

// bind makes places for tensors that have none. Those that lie in a mapping get
// buffers over its pages: as few as the device's largest buffer allows, each from
// the first to the last page of a run of tensors. Where two meet within a page
// both have that page.
func (w *weights) bind(tensors []*gguf.Tensor) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	limit, page := int(w.device.Limits().MaxBuffer), os.Getpagesize()
	limit -= limit % page
	type mapped struct {
		tensor *gguf.Tensor
		at     int
	}
	for _, mapping := range w.mappings {
		var in []mapped
		for _, t := range tensors {
			if _, ok := w.tensors[t]; ok {
				continue
			}
			if at, ok := within(mapping, t.Data); ok && at%4 == 0 {
				in = append(in, mapped{t, at})
			}
		}
		slices.SortFunc(in, func(a, b mapped) int { return a.at - b.at })
		for len(in) > 0 {
			first, n, end := in[0].at/page*page, 0, 0
			for n < len(in) {
				// Kernels may read on to the next multiple of 4.
				last := (in[n].at + len(in[n].tensor.Data) + 3 + page - 1) / page * page
				last = min(max(last, end), len(mapping))
				if last-first > limit {
					break
				}
				n, end = n+1, last
			}
			if n == 0 {
				t := in[0].tensor
				return fmt.Errorf("tensor %q has %d bytes, more than one buffer of this GPU may have (%d)", t.Name, len(t.Data), limit)
			}
			b, err := w.device.NewBufferNoCopy(mapping[first:end:end], metal.Shared|metal.Untracked, nil)
			if err != nil {
				return fmt.Errorf("tensors %q to %q: %w", in[0].tensor.Name, in[n-1].tensor.Name, err)
			}
			b.SetLabel("weights")
			w.buffers = append(w.buffers, b)
			for _, m := range in[:n] {
				w.tensors[m.tensor] = place{b, m.at - first, len(m.tensor.Data)}
			}
			in = in[n:]
		}
	}
	for _, t := range tensors {
		if _, ok := w.tensors[t]; ok {
			continue
		}
		p, err := w.copied(t, t.Data)
		if err != nil {
			return err
		}
		w.tensors[t] = p
	}
	return nil
}

// tensor is the place of a tensor that bind has seen.
func (w *weights) tensor(t *gguf.Tensor) place {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tensors[t]
}

// vector is the place of a small tensor's values as float32: in the file if that
// is their type, otherwise a copy.
func (w *weights) vector(t *gguf.Tensor) (place, error) {
	if w.device == nil { // a Planner's
		return place{size: 4 * t.Elements()}, nil
	}
	if t.Type == gguf.F32 {
		if err := w.bind([]*gguf.Tensor{t}); err != nil {
			return place{}, err
		}
		return w.tensor(t), nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p, ok := w.floats[t]; ok {
		return p, nil
	}
	values, err := decode(t)
	if err != nil {
		return place{}, err
	}
	p, err := w.copied(t, floatBytes(values))
	if err == nil {
		w.floats[t] = p
	}
	return p, err
}

// copied makes a buffer of bytes; mu is held.
func (w *weights) copied(t *gguf.Tensor, data []byte) (place, error) {
	b, err := w.device.NewBuffer((len(data)+3)&^3, metal.Shared|metal.Untracked)
	if err != nil {
		return place{}, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	b.SetLabel(t.Name)
	clear(b.Bytes()[copy(b.Bytes(), data):])
	w.buffers = append(w.buffers, b)
	return place{b, 0, len(data)}, nil
}

// all lists the buffers there are.
func (w *weights) all() []*metal.Buffer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.buffers)
}

func (w *weights) release() {
	for _, b := range w.buffers {
		b.Release()
	}
	w.buffers, w.tensors, w.floats = nil, nil, nil
}

// decode returns a tensor's values; nil for nil.
func decode(t *gguf.Tensor) ([]float32, error) {
	if t == nil {
		return nil, nil
	}
	f, ok := quant.Decoder(t.Type)
	if !ok {
		return nil, fmt.Errorf("tensor %q has type %s, which cannot be decoded", t.Name, t.Type)
	}
	out := make([]float32, t.Elements())
	for i := range t.Rows() {
		f(out[i*t.Cols():(i+1)*t.Cols()], t.Row(i))
	}
	return out, nil
}

func floatBytes(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
