package ref

import (
	"math"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// cache views a layer's keys or values as rows of one number type.
type cache struct {
	width int
	f32   []float32
	f16   []uint16
}

func newCache(t gguf.Type, b []byte, width int) cache {
	c := cache{width: width}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if t == gguf.F32 {
		c.f32 = unsafe.Slice((*float32)(p), len(b)/4)
	} else {
		c.f16 = unsafe.Slice((*uint16)(p), len(b)/2)
	}
	return c
}

// store writes a row, rounding to the cache's type.
func (c cache) store(row int, x []float32) {
	if c.f32 != nil {
		copy(c.f32[row*c.width:], x)
		return
	}
	dst := c.f16[row*c.width:][:c.width]
	for i, v := range x {
		dst[i] = quant.F32ToF16(v)
	}
}

// dot is q · row[from:from+len(q)].
func (c cache) dot(q []float32, row, from int) float32 {
	at := row*c.width + from
	if c.f32 != nil {
		return dot(q, c.f32[at:at+len(q)])
	}
	k := c.f16[at : at+len(q)]
	var s0, s1 float32
	i := 0
	for ; i+2 <= len(q); i += 2 {
		s0 += q[i] * quant.F16ToF32(k[i])
		s1 += q[i+1] * quant.F16ToF32(k[i+1])
	}
	if i < len(q) {
		s0 += q[i] * quant.F16ToF32(k[i])
	}
	return s0 + s1
}

// addTo adds f · row[from:from+len(y)] to y.
func (c cache) addTo(y []float32, f float32, row, from int) {
	at := row*c.width + from
	if c.f32 != nil {
		for i, v := range c.f32[at : at+len(y)] {
			y[i] += f * v
		}
		return
	}
	for i, v := range c.f16[at : at+len(y)] {
		y[i] += f * quant.F16ToF32(v)
	}
}

// slot is the row of a layer's storage that holds a sequence's position.
func (r *runner) slot(sequence int32, position int) int {
	table := r.step.Tables[sequence]
	return int(table[position/r.kv.BlockSize])*r.kv.BlockSize + position%r.kv.BlockSize
}

func (r *runner) storeKV(op *program.StoreKV) func() {
	k, v := r.matrix(op.K), r.matrix(op.V)
	layer := r.kv.Layers[op.Layer]
	keys := newCache(r.kv.Type, layer.K, layer.Shape.KeyWidth)
	values := newCache(r.kv.Type, layer.V, layer.Shape.ValueWidth)
	return func() {
		for i, p := range r.step.Positions {
			at := r.slot(r.step.Sequences[i], int(p))
			keys.store(at, k.row(i))
			values.store(at, v.row(i))
		}
	}
}

func (r *runner) attention(op *program.Attention) (func(), int, error) {
	q, out := r.matrix(op.Q), r.matrix(op.Out)
	layer := r.kv.Layers[op.Layer]
	keys := newCache(r.kv.Type, layer.K, layer.Shape.KeyWidth)
	values := newCache(r.kv.Type, layer.V, layer.Shape.ValueWidth)
	sinks, err := vector(op.Sinks)
	headK, headV := layer.Shape.KeyWidth/op.KVHeads, layer.Shape.ValueWidth/op.KVHeads
	share := op.Heads / op.KVHeads
	slopes := alibiSlopes(op.Heads, op.ALiBi)

	// One item is one head of one token: its scores over the positions it may
	// see, their softmax, the weighted sum of the values.
	each := func(worker, from, to int) {
		score := r.score[worker]
		for item := from; item < to; item++ {
			token, head := item/op.Heads, item%op.Heads
			group := head / share
			seq, last := r.step.Sequences[token], int(r.step.Positions[token])
			first := 0
			if op.Window > 0 {
				first = max(0, last-op.Window+1)
			}
			if op.Chunk > 0 {
				first = max(first, last/op.Chunk*op.Chunk)
			}
			qh := q.row(token)[head*headK : (head+1)*headK]
			top := float32(math.Inf(-1))
			s := score[:last-first+1]
			for j := range s {
				v := keys.dot(qh, r.slot(seq, first+j), group*headK) * op.Scale
				if op.Softcap > 0 {
					v = squash(v, op.Softcap)
				}
				if slopes != nil {
					v += slopes[head] * float32(first+j-last)
				}
				s[j] = v
				top = max(top, v)
			}
			sum := float32(0)
			if sinks != nil {
				top = max(top, sinks[head])
				sum = float32(math.Exp(float64(sinks[head] - top)))
			}
			y := out.row(token)[head*headV : (head+1)*headV]
			clear(y)
			for j, v := range s {
				w := float32(math.Exp(float64(v - top)))
				sum += w
				values.addTo(y, w, r.slot(seq, first+j), group*headV)
			}
			for i := range y {
				y[i] /= sum
			}
		}
	}
	return func() { r.pool.each(r.n*op.Heads, 4, each) }, 0, err
}

// alibiSlopes returns a bias slope for each head, or nil: a geometric series
// from 2^(-bias/n), n the largest power of two not above the number of heads,
// with every second value of the finer series for the rest.
func alibiSlopes(heads int, bias float32) []float32 {
	if bias <= 0 {
		return nil
	}
	n := 1
	for n*2 <= heads {
		n *= 2
	}
	out := make([]float32, heads)
	for h := range out {
		if h < n {
			out[h] = float32(math.Exp2(-float64(bias) / float64(n) * float64(h+1)))
		} else {
			out[h] = float32(math.Exp2(-float64(bias) / 2 / float64(n) * float64(2*(h-n)+1)))
		}
	}
	return out
}
