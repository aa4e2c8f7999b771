package kernel

import (
	"math"
	"unsafe"
)

// Attention of many query rows over a block of keys goes by panels of Lanes rows,
// one a lane. Queries, scores and sums are rows of Lanes floats: queries [width][Lanes],
// scores [keys][Lanes], sums [width][Lanes]. Keys and values are floats as they lie in
// the cache, a row to a position. Numbers of keys, and widths of values, are
// multiples of Step.

// Step is how many keys or dimensions attention's loops take at a time.
const Step = 8

// What is kept of a panel's lanes, rows of Lanes values. Low and High are int32: the
// first and the last position a lane sees.
const (
	LaneTop    = iota // largest score
	LaneSum           // Σ e^(score-top)
	LaneFactor        // what the last block multiplied earlier sums with
	LaneSlope         // bias a position, times how far it is
	LaneLow
	LaneHigh
	LaneRows
)

type (
	scoresFunc func(s, q, k *float32, n, width, stride int)
	capFunc    func(s *float32, limit float32, n int)
	maskFunc   func(s, lanes *float32, n, first int)
	weighFunc  func(s, lanes *float32, n int)
	valuesFunc func(o, factor, s, v *float32, n, width, stride int)
)

// Scores writes the products of a panel of queries with n keys of width values, whose
// rows begin stride apart.
//
//go:noinline
func (s *Set) Scores(out, q, k []float32, n, width, stride int) {
	_, _, _ = out[n*s.Lanes-1], q[width*s.Lanes-1], k[(n-1)*stride+width-1]
	s.scores(&out[0], &q[0], &k[0], n, width, stride)
}

// Softcap makes the scores of n keys limit·tanh(score/limit).
//
//go:noinline
func (s *Set) Softcap(x []float32, n int, limit float32) {
	_ = x[n*s.Lanes-1]
	s.softcap(&x[0], limit, n)
}

// Mask biases the scores of the n keys from position first on, and makes those -∞
// that a lane does not see.
//
//go:noinline
func (s *Set) Mask(x, lanes []float32, n, first int) {
	_, _ = x[n*s.Lanes-1], lanes[LaneRows*s.Lanes-1]
	s.mask(&x[0], &lanes[0], n, first)
}

// Weigh makes the scores of n keys weights e^(score-top), with the largest score so
// far as top, and adds them up.
//
//go:noinline
func (s *Set) Weigh(x, lanes []float32, n int) {
	_, _ = x[n*s.Lanes-1], lanes[LaneRows*s.Lanes-1]
	s.weigh(&x[0], &lanes[0], n)
}

// Values multiplies the sums o with the lanes' factors and adds n rows of values, of
// the given width, whose rows begin stride apart, by their weights.
//
//go:noinline
func (s *Set) Values(o, lanes, x, v []float32, n, width, stride int) {
	_, _, _ = o[width*s.Lanes-1], x[n*s.Lanes-1], v[(n-1)*stride+width-1]
	s.values(&o[0], &lanes[LaneFactor*s.Lanes], &x[0], &v[0], n, width, stride)
}

const goLanes = 4

func scoresGo(s, q, k *float32, n, width, stride int) {
	out, queries, keys := unsafe.Slice(s, n*goLanes), unsafe.Slice(q, width*goLanes), unsafe.Slice(k, (n-1)*stride+width)
	clear(out)
	for j := range n {
		row := out[j*goLanes:][:goLanes]
		for i, v := range keys[j*stride:][:width] {
			for l, a := range queries[i*goLanes:][:goLanes] {
				row[l] += a * v
			}
		}
	}
}

func softcapGo(s *float32, limit float32, n int) {
	x := unsafe.Slice(s, n*goLanes)
	for i, v := range x {
		x[i] = limit * float32(math.Tanh(float64(v/limit)))
	}
}

func maskGo(s, lanes *float32, n, first int) {
	x, l := unsafe.Slice(s, n*goLanes), unsafe.Slice(lanes, LaneRows*goLanes)
	low, high := Ints(l[LaneLow*goLanes:][:goLanes]), Ints(l[LaneHigh*goLanes:][:goLanes])
	for i := range x {
		at, lane := int32(first+i/goLanes), i%goLanes
		if x[i] += l[LaneSlope*goLanes+lane] * float32(at-high[lane]); at < low[lane] || at > high[lane] {
			x[i] = float32(math.Inf(-1))
		}
	}
}

func weighGo(s, lanes *float32, n int) {
	x, l := unsafe.Slice(s, n*goLanes), unsafe.Slice(lanes, LaneRows*goLanes)
	for lane := range goLanes {
		top, sum := &l[LaneTop*goLanes+lane], &l[LaneSum*goLanes+lane]
		was := *top
		for i := lane; i < len(x); i += goLanes {
			if x[i] > *top {
				*top = x[i]
			}
		}
		f := float32(math.Exp(float64(was - *top)))
		l[LaneFactor*goLanes+lane] = f
		*sum *= f
		for i := lane; i < len(x); i += goLanes {
			x[i] = float32(math.Exp(float64(x[i] - *top)))
			*sum += x[i]
		}
	}
}

func valuesGo(o, factor, s, v *float32, n, width, stride int) {
	out, f := unsafe.Slice(o, width*goLanes), unsafe.Slice(factor, goLanes)
	x, values := unsafe.Slice(s, n*goLanes), unsafe.Slice(v, (n-1)*stride+width)
	for i := range out {
		sum := out[i] * f[i%goLanes]
		for j := range n {
			sum += x[j*goLanes+i%goLanes] * values[j*stride+i/goLanes]
		}
		out[i] = sum
	}
}

// Ints views floats of lanes as the integers they are.
func Ints(x []float32) []int32 { return unsafe.Slice((*int32)(unsafe.Pointer(&x[0])), len(x)) }
