package metal_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
)

// open gives this system's GPU or, where there is none, the emulator's. m is nil on a real GPU.
func open(t *testing.T) (d *metal.Device, m *emu.Machine) {
	t.Helper()
	d, err := metal.Open()
	if err == nil {
		t.Cleanup(d.Release)
		return d, nil
	}
	if !errors.Is(err, metal.ErrUnavailable) {
		t.Fatal(err)
	}
	if err := emu.CanCompile(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		fmt.Println("NOT TESTED: Metal kernels:", err)
		t.Skip(err)
	}
	m = emu.Test(t, emu.Options{Races: true, Hazards: true})
	return m.Device(), m
}

const kernels = `
#include <metal_stdlib>
using namespace metal;

kernel void add(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]], device float *out [[buffer(2)]],
                uint i [[thread_position_in_grid]]) {
	out[i] = a[i] + b[i];
}

// One threadgroup sums n floats: each thread its share, each simdgroup its threads, the first simdgroup all.
kernel void sum(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant uint &n [[buffer(2)]],
                threadgroup float *part [[threadgroup(0)]],
                uint t [[thread_position_in_threadgroup]], uint threads [[threads_per_threadgroup]],
                uint lane [[thread_index_in_simdgroup]], uint group [[simdgroup_index_in_threadgroup]],
                uint groups [[simdgroups_per_threadgroup]]) {
	float v = 0;
	for (uint i = t; i < n; i += threads) v += x[i];
	v = simd_sum(v);
	if (lane == 0) part[group] = v;
	threadgroup_barrier(mem_flags::mem_threadgroup);
	if (group == 0) {
		v = lane < groups ? part[lane] : 0;
		v = simd_sum(v);
		if (lane == 0) out[0] = v;
	}
}

// c = a b, all 8x8 tiles of matrices with K columns and N columns; a simdgroup a tile.
kernel void multiply(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]], device float *c [[buffer(2)]],
                     constant uint2 &kn [[buffer(3)]], uint2 tile [[threadgroup_position_in_grid]]) {
	simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(0.f);
	for (uint k = 0; k < kn.x; k += 8) {
		simdgroup_float8x8 x, y;
		simdgroup_load(x, a + tile.y * 8 * kn.x + k, kn.x);
		simdgroup_load(y, b + k * kn.y + tile.x * 8, kn.y);
		simdgroup_multiply_accumulate(sum, x, y, sum);
	}
	simdgroup_store(sum, c + tile.y * 8 * kn.y + tile.x * 8, kn.y);
}

constant uint BINS [[function_constant(0)]];

kernel void histogram(device const uint *x [[buffer(0)]], device atomic_uint *bins [[buffer(1)]], uint i [[thread_position_in_grid]]) {
	atomic_fetch_add_explicit(&bins[x[i] % BINS], 1u, memory_order_relaxed);
}
`

// fixture is a device with the kernels and a queue.
type fixture struct {
	t   *testing.T
	dev *metal.Device
	emu *emu.Machine // nil on a real GPU
	lib *metal.Library
	q   *metal.Queue
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t}
	f.dev, f.emu = open(t)
	var err error
	if f.lib, err = f.dev.NewLibrary(kernels, metal.CompileOptions{Label: "test kernels", Language: metal.MSL3_0}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.lib.Release)
	if f.q, err = f.dev.NewQueue(metal.QueueOptions{EncoderStatus: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.q.Release)
	return f
}

func (f *fixture) pipeline(name string, c metal.Constants) *metal.Pipeline {
	f.t.Helper()
	fn, err := f.lib.Function(name, c)
	if err != nil {
		f.t.Fatal(err)
	}
	defer fn.Release()
	p, err := f.dev.NewPipeline(fn, metal.PipelineOptions{Label: name})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(p.Release)
	return p
}

// buffer makes a buffer of v's bytes.
func buffer[T float32 | uint32](f *fixture, v []T) *metal.Buffer {
	f.t.Helper()
	b, err := f.dev.NewBuffer(4*len(v), metal.Shared)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(b.Release)
	copy(view[T](b), v)
	return b
}

// view is a buffer's memory as numbers.
func view[T float32 | uint32](b *metal.Buffer) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b.Bytes()))), b.Len()/4)
}

func (f *fixture) run(encode func(e *metal.ComputeEncoder)) error {
	f.t.Helper()
	cb, err := f.q.CommandBuffer()
	if err != nil {
		f.t.Fatal(err)
	}
	defer cb.Release()
	err = cb.Compute(metal.ComputeOptions{Label: f.t.Name()}, func(e *metal.ComputeEncoder) error { encode(e); return nil })
	if err == nil {
		err = cb.Commit()
	}
	if err == nil {
		err = cb.Wait()
	}
	return err
}

// random are n numbers below 1 in size; the seed is printed when the test fails.
func random(t *testing.T, n int) []float32 {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("inputs of seed %d", seed)
		}
	})
	r := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = r.Float32()*2 - 1
	}
	return v
}

func line(n int) metal.Size { return metal.Size{Width: n, Height: 1, Depth: 1} }

func TestVectorAdd(t *testing.T) {
	f := newFixture(t)
	const n = 1000 // no multiple of the threadgroup
	x, y := random(t, n), random(t, n)
	a, b, out := buffer(f, x), buffer(f, y), buffer(f, make([]float32, n))
	add := f.pipeline("add", nil)
	if err := f.run(func(e *metal.ComputeEncoder) {
		e.SetPipeline(add)
		e.SetBuffers(0, metal.Binding{Buffer: a}, metal.Binding{Buffer: b}, metal.Binding{Buffer: out})
		e.DispatchThreads(line(n), line(256))
	}); err != nil {
		t.Fatal(err)
	}
	for i, v := range view[float32](out) {
		if v != x[i]+y[i] {
			t.Fatalf("%d: %g + %g = %g", i, x[i], y[i], v)
		}
	}
}

func TestReduction(t *testing.T) {
	f := newFixture(t)
	sum := f.pipeline("sum", nil)
	for _, n := range []int{1, 31, 33, 1000, 4096} {
		x := random(t, n)
		var want, size float64
		for _, v := range x {
			want += float64(v)
			size += math.Abs(float64(v))
		}
		in, out := buffer(f, x), buffer(f, []float32{0})
		if err := f.run(func(e *metal.ComputeEncoder) {
			e.SetPipeline(sum)
			e.SetBuffer(0, in, 0)
			e.SetBuffer(1, out, 0)
			e.SetBytes(2, binary.LittleEndian.AppendUint32(nil, uint32(n)))
			e.SetThreadgroupMemory(0, 32*4)
			e.DispatchThreadgroups(line(1), line(256))
		}); err != nil {
			t.Fatal(err)
		}
		if got := float64(view[float32](out)[0]); !(math.Abs(got-want) <= 1e-6*size) {
			t.Errorf("sum of %d: %g, want %g", n, got, want)
		}
	}
}

func TestSimdgroupMatrix(t *testing.T) {
	f := newFixture(t)
	const m, k, n = 16, 24, 32
	x, y := random(t, m*k), random(t, k*n)
	a, b, c := buffer(f, x), buffer(f, y), buffer(f, make([]float32, m*n))
	multiply := f.pipeline("multiply", nil)
	if err := f.run(func(e *metal.ComputeEncoder) {
		e.SetPipeline(multiply)
		e.SetBuffers(0, metal.Binding{Buffer: a}, metal.Binding{Buffer: b}, metal.Binding{Buffer: c})
		e.SetBytes(3, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, k), n))
		e.DispatchThreadgroups(metal.Size{Width: n / 8, Height: m / 8, Depth: 1}, line(32))
	}); err != nil {
		t.Fatal(err)
	}
	got := view[float32](c)
	for i := range m {
		for j := range n {
			var want, size float64
			for l := range k {
				p := float64(x[i*k+l]) * float64(y[l*n+j])
				want += p
				size += math.Abs(p)
			}
			if v := float64(got[i*n+j]); !(math.Abs(v-want) <= 1e-6*size) {
				t.Fatalf("%d,%d: %g, want %g", i, j, v, want)
			}
		}
	}
}

func TestAtomicHistogram(t *testing.T) {
	f := newFixture(t)
	const n, bins = 5000, 10
	x := make([]uint32, n)
	var want [bins]uint32
	for i, v := range random(t, n) {
		x[i] = math.Float32bits(v)
		want[x[i]%bins]++
	}
	in, out := buffer(f, x), buffer(f, make([]uint32, bins))
	histogram := f.pipeline("histogram", metal.Constants{0: uint32(bins)})
	if err := f.run(func(e *metal.ComputeEncoder) {
		e.SetPipeline(histogram)
		e.SetBuffers(0, metal.Binding{Buffer: in}, metal.Binding{Buffer: out})
		e.DispatchThreads(line(n), line(128))
	}); err != nil {
		t.Fatal(err)
	}
	if got := [bins]uint32(view[uint32](out)); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A compile error is an *Error with the compiler's text at the line of the source.
func TestCompileError(t *testing.T) {
	d, _ := open(t)
	_, err := d.NewLibrary("#include <metal_stdlib>\nusing namespace metal;\n\nkernel void k(device float *x [[buffer(0)]]) {\n\tx[0] = y;\n}\n",
		metal.CompileOptions{Label: "bad", Language: metal.MSL3_0})
	var e *metal.Error
	if !errors.As(err, &e) || !strings.Contains(e.Text, "program_source:5:9: error: use of undeclared identifier 'y'") {
		t.Errorf("%v", err)
	}
}

// On the emulator an access outside a buffer fails the command buffer, and names kernel, argument,
// index and thread.
func TestOutOfBounds(t *testing.T) {
	f := newFixture(t)
	if f.emu == nil {
		return // a real GPU may do anything
	}
	a, b, out := buffer(f, make([]float32, 64)), buffer(f, make([]float32, 64)), buffer(f, make([]float32, 60))
	add := f.pipeline("add", nil)
	err := f.run(func(e *metal.ComputeEncoder) {
		e.SetPipeline(add)
		e.SetBuffers(0, metal.Binding{Buffer: a}, metal.Binding{Buffer: b}, metal.Binding{Buffer: out})
		e.DispatchThreads(line(64), line(64))
	})
	for _, part := range []string{"buffer-bounds", `"add"`, `"out"`, "thread [6", "encoder \"TestOutOfBounds\" faulted"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v: no %s", err, part)
		}
	}
	if v := f.emu.TakeViolations(); len(v) != 1 || v[0].Rule != "buffer-bounds" {
		t.Errorf("violations %v", v)
	}
}
