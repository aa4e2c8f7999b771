package kerneltest

import (
	"math"
	"slices"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
	"github.com/gollm/gollm/shaders"
)

// turned is rows of heads with their pairs turned, in double precision.
func turned(x []float32, rows, width int, r shaders.Rotation, frequencies []float64, positions []int32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	for row := range rows {
		for h := row * width; h < (row+1)*width; h += r.Head {
			for j, f := range frequencies {
				a, b := h+2*j, h+2*j+1
				if r.Halves {
					a, b = h+j, h+j+r.Dims/2
				}
				s, c := math.Sincos(float64(positions[row]) * f)
				m := float64(r.Magnitude)
				out[a], out[b] = m*(float64(x[a])*c-float64(x[b])*s), m*(float64(x[a])*s+float64(x[b])*c)
			}
		}
	}
	return out
}

// ropeFrequencies are a base's, radians a position, as a model's.
func ropeFrequencies(dims int) (f []float64) {
	for i := range dims / 2 {
		f = append(f, math.Pow(10000, -2*float64(i)/float64(dims)))
	}
	return f
}

// rotation bounds: on the emulator sums and one rounding of an angle; on hardware sin and cos may be off by 2⁻¹³, and
// each result is made of both.
func (t *trial) turnBound() float64 {
	if t.opt.Hardware {
		return math.Sqrt2 * 0x1p-13 / slack
	}
	return 2e-6
}

// ropeShape is a class of rotations.
type ropeShape struct {
	name        string
	rows, heads int
	r           shaders.Rotation
	positions   []int32 // of the first rows; the others follow the last
}

var ropeShapes = []ropeShape{
	{"one_row", 1, 1, shaders.Rotation{Head: 64, Dims: 64, Magnitude: 1}, []int32{7}},
	{"one_pair", 2, 3, shaders.Rotation{Head: 2, Dims: 2, Magnitude: 1}, []int32{1}},
	{"halves", 5, 9, shaders.Rotation{Head: 64, Dims: 64, Halves: true, Magnitude: 1}, []int32{0, 300, 12}},
	{"neighbours", 5, 9, shaders.Rotation{Head: 64, Dims: 64, Magnitude: 1}, []int32{0, 300, 12}},
	{"part_of_a_head_halves", 3, 4, shaders.Rotation{Head: 80, Dims: 32, Halves: true, Magnitude: 1}, []int32{33}},
	{"part_of_a_head_neighbours", 3, 4, shaders.Rotation{Head: 80, Dims: 20, Magnitude: 1}, []int32{33}},
	{"magnitude", 2, 2, shaders.Rotation{Head: 32, Dims: 32, Halves: true, Magnitude: 1.3}, []int32{5000}},
	{"far", 3, 2, shaders.Rotation{Head: 128, Dims: 128, Halves: true, Magnitude: 1}, []int32{999_999, 2_000_003, 131_071}},
	{"wide_head", 1, 4, shaders.Rotation{Head: 256, Dims: 256, Halves: true, Magnitude: 1}, []int32{100}},
}

func (s ropeShape) at() []int32 {
	p := slices.Clone(s.positions)
	for len(p) < s.rows {
		p = append(p, p[len(p)-1]+1)
	}
	return p[:s.rows]
}

func ropeCases() (list []Case) {
	for _, s := range ropeShapes {
		list = append(list, Case{Op: "rope", Name: s.name, run: func(t *trial) {
			width, f, positions := s.heads*s.r.Head, ropeFrequencies(s.r.Dims), s.at()
			x := t.normal(s.rows * width)
			out := t.alloc(4 * len(x))
			t.launch(step{shaders.Rope(s.rows, width, s.r), map[int]memory{
				shaders.RopeX: t.floats(x), shaders.RopeOut: out, shaders.RopeFrequencies: t.turns(f), shaders.RopePositions: t.ints(positions)}})
			t.check(out.floats(), turned(x, s.rows, width, s.r, f, positions), width, 1, t.turnBound())
		}})
	}
	return list
}

func (t *trial) turns(frequencies []float64) memory {
	var v []int32
	for _, w := range shaders.Turns(frequencies) {
		v = append(v, int32(w))
	}
	return t.ints(v)
}

// storeCases write rows of keys and values at random places of a cache: those rows and nothing else.
func storeCases() (list []Case) {
	for _, cache := range []shaders.Type{shaders.F32, shaders.F16, shaders.Q8_0} {
		add := func(name string, s ropeShape, values int, turn bool) {
			if s.heads*s.r.Head%cache.BlockSize() != 0 || values%cache.BlockSize() != 0 {
				return
			}
			list = append(list, Case{Op: "store_kv", Type: cache.String(), Name: name, run: func(t *trial) { t.store(s, values, cache, turn) }})
		}
		for _, s := range ropeShapes {
			add(s.name, s, s.heads*s.r.Head, true)
		}
		add("as_they_are", ropeShapes[2], 9*64, false)
		add("values_wider", ropeShapes[4], 500, true)
		add("values_narrower", ropeShapes[5], 7, true)
		add("values_of_one_block", ropeShapes[5], 32, true)
		add("one_value", ropeShape{"", 1, 1, shaders.Rotation{Head: 1}, []int32{0}}, 1, false)
	}
	return list
}

func (t *trial) store(s ropeShape, values int, cache shaders.Type, turn bool) {
	const slots = 16
	keys, f, positions := s.heads*s.r.Head, ropeFrequencies(s.r.Dims), s.at()
	k, v := t.normal(s.rows*keys), t.normal(s.rows*values)
	var at []int32
	for _, slot := range t.rng.Perm(slots)[:s.rows] {
		at = append(at, int32(slot))
	}
	outK, outV := t.alloc(slots*fileType(cache).RowBytes(keys)), t.alloc(slots*fileType(cache).RowBytes(values))
	buffers := map[int]memory{shaders.StoreK: t.floats(k), shaders.StoreV: t.floats(v), shaders.StoreKeys: outK, shaders.StoreValues: outV, shaders.StoreSlots: t.ints(at)}
	wantK, wantV := make([]float64, len(k)), make([]float64, len(v))
	for i := range k {
		wantK[i] = float64(k[i])
	}
	for i := range v {
		wantV[i] = float64(v[i])
	}
	var r *shaders.Rotation
	bound := 0.0
	if turn {
		r = &s.r
		buffers[shaders.StoreFrequencies], buffers[shaders.StorePositions] = t.turns(f), t.ints(positions)
		wantK = turned(k, s.rows, keys, s.r, f, positions)
		bound = t.turnBound()
	}
	t.launch(step{shaders.StoreKV(s.rows, keys, values, cache, r), buffers})
	t.stored(outK, at, wantK, keys, fileType(cache), bound)
	t.stored(outV, at, wantV, values, fileType(cache), 0)
}

// stored checks the rows of a cache: those at slots are want as the type keeps it, beside an error of bound; the others
// as they were.
func (t *trial) stored(m memory, slots []int32, want []float64, width int, cache gguf.Type, bound float64) {
	n := cache.RowBytes(width)
	for row := range m.n / n {
		if slices.Contains(slots, int32(row)) {
			continue
		}
		for i, b := range m.data()[row*n : (row+1)*n] {
			if b != poison(row*n+i) {
				t.fail("row %d of the cache: byte %d was written, and none should be", row, i)
			}
		}
	}
	var got, exact []float32
	values, raw := make([]float32, width), make([]byte, n)
	for i, slot := range slots {
		t.must(quant.Decode(cache, values, m.data()[int(slot)*n:int(slot+1)*n]))
		got = append(got, values...)
		for c := range values {
			values[c] = float32(want[i*width+c])
		}
		t.must(quant.Encode(cache, raw, values))
		t.must(quant.Decode(cache, values, raw))
		exact = append(exact, values...)
	}
	// A copy is what quantising makes of it, but that hardware may divide a little off.
	if bound == 0 && (cache != gguf.Q8_0 || !t.opt.Hardware) {
		same(t, "the cache", got, exact)
		return
	}
	switch cache {
	case gguf.F16: // half a unit in the last place
		bound += 0x1.01p-11
	case gguf.Q8_0: // half a step of 127 to a block's largest value, and the rounding of the step itself
		bound += 0.501/127 + 0x1p-11
		for i := 0; i < len(want); i += 32 {
			largest := 1e-30
			for _, v := range want[i : i+32] {
				largest = max(largest, math.Abs(v))
			}
			for j := range 32 {
				want[i+j], got[i+j] = want[i+j]/largest, float32(float64(got[i+j])/largest)
			}
		}
		t.check(got, want, width, 1, bound)
		return
	}
	t.checkEach(got, want, width, 0.5, bound)
}
