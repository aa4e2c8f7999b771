package cpu

import (
	"math"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// slot is the row of a layer's storage that holds a sequence's position.
func (r *runner) slot(sequence int32, position int) int {
	table := r.step.Tables[sequence]
	return int(table[position/r.kv.BlockSize])*r.kv.BlockSize + position%r.kv.BlockSize
}

func (r *runner) storeKV(op *program.StoreKV) {
	k, v := r.matrix(op.K), r.matrix(op.V)
	layer := r.kv.Layers[op.Layer]
	r.addRows(func(_ *worker, i int) {
		at := r.slot(r.step.Sequences[i], int(r.step.Positions[i]))
		r.store(layer.K, at, k.row(i))
		r.store(layer.V, at, v.row(i))
	}, k, v)
}

// store writes a row of a cache, rounding to its type.
func (r *runner) store(cache []byte, at int, x []float32) {
	if r.kv.Type == gguf.F32 {
		copy(unsafe.Slice((*float32)(unsafe.Pointer(&cache[0])), len(cache)/4)[at*len(x):], x)
		return
	}
	r.Narrow(r.kv.Type, cache[at*r.kv.Type.RowBytes(len(x)):], x)
}

// heads is what attention needs to know of a layer.
type heads struct {
	*program.Attention
	q, out       matrix
	k, v         []byte
	headK, headV int // widths
	rowK, rowV   int // bytes of a position
	sizeK, sizeV int // bytes of a head of a position
	sinks        []float32
	slopes       []float32
	share        int // query heads to a KV head
}

// attention adds the step for an op. With prompts an item is a tile: see tiles.go.
// Otherwise it is a token's query heads that share a KV head, which then is read
// once for them; or where there would be too few items for the workers, one query
// head.
func (r *runner) attention(op *program.Attention) error {
	layer := r.kv.Layers[op.Layer]
	a := &heads{Attention: op, q: r.matrix(op.Q), out: r.matrix(op.Out), k: layer.K, v: layer.V}
	a.headK, a.headV = layer.Shape.KeyWidth/op.KVHeads, layer.Shape.ValueWidth/op.KVHeads
	typ := r.kv.Type
	a.rowK, a.rowV = typ.RowBytes(layer.Shape.KeyWidth), typ.RowBytes(layer.Shape.ValueWidth)
	a.sizeK, a.sizeV = typ.RowBytes(a.headK), typ.RowBytes(a.headV)
	a.share = op.Heads / op.KVHeads
	a.slopes = alibiSlopes(op.Heads, op.ALiBi)
	var err error
	if a.sinks, err = vector(op.Sinks); err != nil {
		return err
	}
	r.need.score = max(r.need.score, a.share*(pageStride(r.kv.BlockSize)+2+a.headK))

	each := func() int { // query heads of an item
		if threads := r.exec.team.n; threads > 1 && r.n*op.KVHeads < 4*threads {
			return 1
		}
		return a.share
	}
	r.needTiles(a)
	items := func() int {
		if r.longest >= tileFewest {
			return r.tiles(r.tokensOfTile(a)) * op.KVHeads
		}
		return r.n * op.Heads / each()
	}
	r.add(items, func(w *worker, item int) {
		if r.longest >= tileFewest {
			from, n := r.tileOf(item/op.KVHeads, r.tokensOfTile(a))
			r.attendTokens(w, a, from, n, item%op.KVHeads)
			return
		}
		n := each()
		perToken := op.Heads / n
		r.attend(w, a, item/perToken, item%perToken*n, n)
	})
	return nil
}

// pageStride is where the scores of the next head begin: exponentials are taken of
// 8 at a time.
func pageStride(block int) int { return (block + 7) &^ 7 }

// farContext is how many positions no longer are in a near cache when the next token comes:
// their pages are asked for ahead.
const farContext = 256

// attend computes n query heads, from the first on, of one token; they share a KV
// head. It goes through the cache page by page. Of each head it keeps the largest
// score so far, the sum of the weights e^(score-largest), and in the output the sum of
// the values by weight; a larger score scales both down.
func (r *runner) attend(w *worker, a *heads, token, first, n int) {
	page := r.kv.BlockSize
	stride := pageStride(page)
	score, top, sum := w.score[:n*stride], w.score[n*stride:][:n], w.score[n*stride+n:][:n]
	group := first / a.share
	seq, last := r.step.Sequences[token], int(r.step.Positions[token])
	q := w.score[n*(stride+2):][:n*a.headK]
	r.ScaleMul(q, a.q.row(token)[first*a.headK:], r.ones, &a.Scale)
	y := a.out.row(token)[first*a.headV:][:n*a.headV]
	clear(y)
	for h := range n {
		top[h], sum[h] = float32(math.Inf(-1)), 0
		if a.sinks != nil {
			top[h], sum[h] = a.sinks[first+h], 1
		}
	}
	p := firstSeen(a.Attention, last)
	far := last-p >= farContext
	for p <= last {
		at, rows := r.slot(seq, p), min(page-p%page, last-p+1)
		if next := p + rows; far && next <= last { // its rows are no stream that the processor would see
			at, rows := r.slot(seq, next), min(page, last-next+1)
			r.Fetch(a.k[at*a.rowK+group*a.sizeK:], a.rowK, rows, a.sizeK)
			r.Fetch(a.v[at*a.rowV+group*a.sizeV:], a.rowV, rows, a.sizeV)
		}
		keys := a.k[at*a.rowK+group*a.sizeK:]
		values := a.v[at*a.rowV+group*a.sizeV:]
		for h := range n {
			s, out := score[h*stride:][:rows], y[h*a.headV:][:a.headV]
			r.DotNear(r.kv.Type, s, keys, a.rowK, q[h*a.headK:][:a.headK])
			if a.Softcap > 0 {
				for j := range s {
					s[j] = squash(s[j], a.Softcap)
				}
			}
			if a.slopes != nil {
				for j := range s {
					s[j] += a.slopes[first+h] * float32(p+j-last)
				}
			}
			if m := largest(s); m > top[h] {
				f := float32(math.Exp(float64(top[h] - m)))
				top[h] = m
				sum[h] *= f
				for i := range out {
					out[i] *= f
				}
			}
			// What fills up to 8 has no weight.
			full := score[h*stride:][:(rows+7)&^7]
			for j := rows; j < len(full); j++ {
				full[j] = float32(math.Inf(-1))
			}
			r.Exp(full, top[h], &sum[h])
			r.Sum(r.kv.Type, out, values, a.rowV, s)
		}
		p += rows
	}
	for h := range n {
		out := y[h*a.headV:][:a.headV]
		sum[h] = 1 / sum[h]
		r.ScaleMul(out, out, r.ones, &sum[h])
	}
}

// largest returns the largest of x that is a number: what is none comes out in the sum.
func largest(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
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
