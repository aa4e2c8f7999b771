package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestScores(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for _, width := range []int{1, 5, 64} {
			for _, n := range []int{8, 24} {
				stride := width + 3
				q, k, out := normal(r, width*s.Lanes), normal(r, n*stride), normal(r, n*s.Lanes)
				s.Scores(out, q, k, n, width, stride)
				for i, y := range out {
					key, lane := i/s.Lanes, i%s.Lanes
					want, size := 0.0, 0.0
					for d := range width {
						v := float64(q[d*s.Lanes+lane]) * float64(k[key*stride+d])
						want += v
						size += v * v
					}
					near(t, fmt.Sprintf("width %d, key %d of %d, lane %d", width, key, n, lane), y, want, math.Sqrt(size), 2e-6)
				}
			}
		}
	})
}

func TestValues(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for _, width := range []int{8, 40} {
			for _, n := range []int{8, 32} {
				stride := width + 5
				o, x, v, lanes := normal(r, width*s.Lanes), normal(r, n*s.Lanes), normal(r, n*stride), normal(r, LaneRows*s.Lanes)
				was := append([]float32(nil), o...)
				s.Values(o, lanes, x, v, n, width, stride)
				for i, y := range o {
					d, lane := i/s.Lanes, i%s.Lanes
					want := float64(was[i]) * float64(lanes[LaneFactor*s.Lanes+lane])
					size := want * want
					for key := range n {
						p := float64(x[key*s.Lanes+lane]) * float64(v[key*stride+d])
						want += p
						size += p * p
					}
					near(t, fmt.Sprintf("width %d, %d keys, dimension %d, lane %d", width, n, d, lane), y, want, math.Sqrt(size), 2e-6)
				}
			}
		}
	})
}

// TestWeigh holds two blocks of keys, of which lanes see different parts, against
// the softmax of both.
func TestWeigh(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		const n = 16
		for _, limit := range []float32{0, 3} {
			lanes := normal(r, LaneRows*s.Lanes)
			low, high := Ints(lanes[LaneLow*s.Lanes:][:s.Lanes]), Ints(lanes[LaneHigh*s.Lanes:][:s.Lanes])
			for l := range s.Lanes {
				lanes[LaneTop*s.Lanes+l], lanes[LaneSum*s.Lanes+l] = -1e30, 0
				low[l] = 100 + r.Int32N(2*n)
				high[l] = low[l] + r.Int32N(2*n)
			}
			want := make([][]float64, s.Lanes) // e^score of all keys
			got := make([][]float64, s.Lanes)
			for block := range 2 {
				first := 100 + n*block
				x := normal(r, n*s.Lanes)
				if block == 1 {
					for i := range x { // what came before hardly counts any more
						x[i] += 10
					}
				}
				for i, v := range x {
					at, l := int32(first+i/s.Lanes), i%s.Lanes
					e := float64(v)
					if limit > 0 {
						e = float64(limit) * math.Tanh(e/float64(limit))
					}
					e += float64(lanes[LaneSlope*s.Lanes+l]) * float64(at-high[l])
					if at < low[l] || at > high[l] {
						e = math.Inf(-1)
					}
					want[l] = append(want[l], math.Exp(e))
				}
				if limit > 0 {
					s.Softcap(x, n, limit)
				}
				s.Mask(x, lanes, n, first)
				s.Weigh(x, lanes, n)
				for l := range got {
					for i := range got[l] {
						got[l][i] *= float64(lanes[LaneFactor*s.Lanes+l])
					}
				}
				for i, v := range x {
					got[i%s.Lanes] = append(got[i%s.Lanes], float64(v))
				}
			}
			for l := range s.Lanes {
				all := 0.0
				for _, v := range want[l] {
					all += v
				}
				if all == 0 {
					continue
				}
				sum := float64(lanes[LaneSum*s.Lanes+l])
				for i, v := range want[l] {
					near(t, fmt.Sprintf("limit %v, lane %d, weight %d", limit, l, i), float32(got[l][i]/sum), v/all, 1, 4e-6)
				}
			}
		}
		x, lanes := normal(r, 8*s.Lanes), make([]float32, LaneRows*s.Lanes)
		x[3*s.Lanes+1] = float32(math.NaN())
		s.Weigh(x, lanes, 8)
		if sum := lanes[LaneSum*s.Lanes:]; sum[1] == sum[1] || sum[0] != sum[0] {
			t.Errorf("a NaN gives the sums %v and, in the next lane, %v", sum[1], sum[0])
		}
	})
}

func TestTransposeFloats(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		const ld, step, n, rows = 27, 41, 24, 40
		src, dst := normal(r, rows*ld), normal(r, n*step)
		s.TransposeFloats(dst, step, src, ld, n, rows)
		for i := range n {
			for j := range rows {
				if dst[i*step+j] != src[j*ld+i] {
					t.Fatalf("row %d, column %d is %v, want %v", j, i, dst[i*step+j], src[j*ld+i])
				}
			}
		}
	})
}
