package shaders

import "math"

// RopeParams are those of rope.
type RopeParams struct {
	Rows, Width, Head, Dims uint32
	Magnitude               float32
}

// StoreParams are those of store_kv.
type StoreParams struct {
	Rows, Keys, Values, Head, Dims uint32
	Magnitude                      float32
}

// Buffers of rope.
const (
	RopeX = 1 + iota
	RopeOut
	RopeFrequencies // see Turns
	RopePositions   // [rows] int32
)

// Buffers of store_kv.
const (
	StoreK = 1 + iota
	StoreV
	StoreKeys   // the layer's cache
	StoreValues // the layer's cache
	StoreSlots  // [rows] int32: each row's place in the cache
	StoreFrequencies
	StorePositions
)

// Rotation says how keys and queries are turned.
type Rotation struct {
	Head, Dims int
	Halves     bool // pairs (i, i+dims/2), else (2i, 2i+1)
	Magnitude  float32
}

// Turns gives frequencies, radians a position, as the kernels take them: the fraction of a turn in 64 bits of
// fixed point, the upper word first.
func Turns(frequencies []float64) []uint32 {
	var out []uint32
	for _, f := range frequencies {
		turns := f / (2 * math.Pi)
		turns -= math.Floor(turns)
		hi, lo := math.Modf(turns * (1 << 32))
		out = append(out, uint32(hi), uint32(lo*(1<<32)))
	}
	return out
}

// Rope turns the heads of [rows][width].
func Rope(rows, width int, r Rotation) Launch {
	items := width / r.Head * (r.Head - r.Dims/2)
	threads := min(256, 32*ceil(items, 32))
	return Launch{
		Kernel:  Kernel{Source: "rope", Name: "rope", Constants: [8]any{r.Halves, false}},
		Params:  paramBytes(RopeParams{uint32(rows), uint32(width), uint32(r.Head), uint32(r.Dims), r.Magnitude}),
		Groups:  Size{ceil(items, threads), rows, 1},
		Threads: Size{threads, 1, 1},
		Read:    int64(4*rows*width + 4*r.Dims + 4*rows),
		Written: int64(4 * rows * width),
	}
}

// StoreKV writes rows of keys and values to a layer's cache of a type: F32, F16, or Q8_0 where keys and values are
// whole blocks; r, if not nil, turns the keys first.
func StoreKV(rows, keys, values int, cache Type, r *Rotation) Launch {
	p := StoreParams{Rows: uint32(rows), Keys: uint32(keys), Values: uint32(values)}
	k := Kernel{Source: "rope", Name: "store_kv_" + layouts[cache].name, Constants: [8]any{false, r != nil}}
	items := keys + values
	if r != nil {
		k.Constants[0] = r.Halves
		p.Head, p.Dims, p.Magnitude = uint32(r.Head), uint32(r.Dims), r.Magnitude
		if cache != Q8_0 {
			items = keys/r.Head*(r.Head-r.Dims/2) + values
		}
	}
	threads := min(256, 32*ceil(items, 32))
	return Launch{
		Kernel:  k,
		Params:  paramBytes(p),
		Groups:  Size{ceil(items, threads), rows, 1},
		Threads: Size{threads, 1, 1},
		Read:    int64(4*rows*(keys+values) + 4*rows),
		Written: int64(rows * (cache.RowBytes(keys) + cache.RowBytes(values))),
	}
}
