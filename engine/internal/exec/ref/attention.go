package ref

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// cache views a layer's keys or values as rows of one type.
type cache struct {
	width int
	f32   []float32
	f16   []uint16
	q8    []byte // blocks of Q8_0
}

func newCache(t gguf.Type, b []byte, width int) cache {
	c := cache{width: width}
	p := unsafe.Pointer(unsafe.SliceData(b))
	switch t {
	case gguf.F32:
		c.f32 = unsafe.Slice((*float32)(p), len(b)/4)
	case gguf.F16:
		c.f16 = unsafe.Slice((*uint16)(p), len(b)/2)
	case gguf.Q8_0:
		c.q8 = b
	}
	return c
}

var (
	encodeQ8_0, _ = quant.Encoder(gguf.Q8_0)
	decodeQ8_0, _ = quant.Decoder(gguf.Q8_0)
)

// store writes a row, rounding to the cache's type.
func (c cache) store(row int, x []float32) {
	switch {
	case c.f32 != nil:
		copy(c.f32[row*c.width:], x)
	case c.f16 != nil:
		dst := c.f16[row*c.width:][:c.width]
		for i, v := range x {
			dst[i] = quant.F32ToF16(v)
		}
	default:
		n := gguf.Q8_0.RowBytes(c.width)
		dst := c.q8[row*n:][:n]
		encodeQ8_0(dst, x)
		for i, v := range x {
			if v != v { // the encoder takes numbers only; what is none shall stay none
				binary.LittleEndian.PutUint16(dst[i/32*34:], quant.F32ToF16(v))
			}
		}
	}
}

// load returns a row's n values from column from on: the cache's own if they
// are float32, otherwise converted into scratch.
func (c cache) load(row, from, n int, scratch []float32) []float32 {
	at := row*c.width + from
	if c.f32 != nil {
		return c.f32[at : at+n]
	}
	dst := scratch[:n]
	if c.q8 != nil {
		decodeQ8_0(dst, c.q8[gguf.Q8_0.RowBytes(at):][:gguf.Q8_0.RowBytes(n)])
		return dst
	}
	for i, v := range c.f16[at : at+n] {
		dst[i] = quant.F16ToF32(v)
	}
	return dst
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
	page := r.kv.BlockSize
	r.scores, r.heads = max(r.scores, share*page), max(r.heads, share)

	// One item is one KV head of one token, with the query heads that share it.
	// It goes through the cache page by page. Of each query head it keeps the
	// largest score so far, the sum of the weights e^(score-largest), and in the
	// output the sum of the values by weight; a larger score scales both down.
	each := func(worker, from, to int) {
		score, top, sum := r.score[worker], r.top[worker], r.sum[worker]
		for item := from; item < to; item++ {
			token, group := item/op.KVHeads, item%op.KVHeads
			seq, last := r.step.Sequences[token], int(r.step.Positions[token])
			qs := q.row(token)[group*share*headK:]
			ys := out.row(token)[group*share*headV:][:share*headV]
			clear(ys)
			for h := range share {
				top[h], sum[h] = float32(math.Inf(-1)), 0
				if sinks != nil {
					top[h], sum[h] = sinks[group*share+h], 1
				}
			}
			for p := firstSeen(op, last); p <= last; {
				at, n := r.slot(seq, p), min(page-p%page, last-p+1)
				for j := range n {
					k := keys.load(at+j, group*headK, headK, r.row[worker])
					for h := range share {
						v := dot(k, qs[h*headK:]) * op.Scale
						if op.Softcap > 0 {
							v = squash(v, op.Softcap)
						}
						if slopes != nil {
							v += slopes[group*share+h] * float32(p+j-last)
						}
						score[h*page+j] = v
					}
				}
				for h := range share {
					s, y := score[h*page:][:n], ys[h*headV:][:headV]
					if m := slices.Max(s); m > top[h] {
						f := float32(math.Exp(float64(top[h] - m)))
						top[h] = m
						sum[h] *= f
						for i := range y {
							y[i] *= f
						}
					}
					for j, v := range s {
						s[j] = float32(math.Exp(float64(v - top[h])))
						sum[h] += s[j]
					}
				}
				for j := range n {
					v := values.load(at+j, group*headV, headV, r.row[worker])
					for h := range share {
						addScaled(ys[h*headV:], score[h*page+j], v)
					}
				}
				p += n
			}
			for h := range share {
				y := ys[h*headV:][:headV]
				for i := range y {
					y[i] /= sum[h]
				}
			}
		}
	}
	return func() { r.pool.each(r.n*op.KVHeads, 1, each) }, max(headK, headV), err
}

// firstSeen is the first position that a token at position p may see.
func firstSeen(op *program.Attention, p int) int {
	first := 0
	if op.Window > 0 {
		first = max(first, p-op.Window+1)
	}
	if op.Chunk > 0 {
		first = max(first, p/op.Chunk*op.Chunk)
	}
	return first
}

// dot is Σ a·b over the length of a, in four running sums.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// addScaled adds f·x to y, over the length of x.
func addScaled(y []float32, f float32, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += f * v
	}
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
