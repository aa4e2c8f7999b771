package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"unsafe"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// each runs a test with every set of kernels this machine can run.
func each(t *testing.T, f func(t *testing.T, s *Set, r *rand.Rand)) {
	for _, s := range Sets() {
		t.Run(s.Name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("seed %#x", seed)
				}
			})
			f(t, s, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

// TestSets: where GOLLM_KERNELS says which kernels are the best that this processor has, they
// are the first. (make test-arm64 says so of the processors it emulates.)
func TestSets(t *testing.T) {
	sets := Sets()
	if want := os.Getenv("GOLLM_KERNELS"); want != "" && sets[0].Name != want {
		t.Errorf("the best kernels are %s, want %s", sets[0].Name, want)
	}
	names := map[string]bool{}
	for _, s := range sets {
		if names[s.Name] {
			t.Errorf("two sets are named %s", s.Name)
		}
		names[s.Name] = true
	}
	if last := sets[len(sets)-1]; last.Name != "go" {
		t.Errorf("the last kernels are %s, want go", last.Name)
	}
}

// weights are rows of random blocks, with their values. What lies behind the
// last byte must not be read: the slice ends there, at the end of its memory
// for some sizes.
func weights(r *rand.Rand, t gguf.Type, rows, cols int) (b []byte, values []float64) {
	decode, _ := quant.Decoder(t)
	b = make([]byte, rows*t.RowBytes(cols))
	block := make([]float32, t.BlockSize())
	for at := 0; at < len(b); at += t.BlockBytes() {
	again:
		raw := b[at : at+t.BlockBytes()]
		for i := range raw {
			raw[i] = byte(r.Uint32())
		}
		decode(block, raw)
		largest := float32(0)
		for _, v := range block {
			if !(v < 200 && v > -200) {
				goto again
			}
			largest = max(largest, v, -v)
		}
		if largest < 0.01 && len(block) > 1 {
			goto again
		}
		for _, v := range block {
			values = append(values, float64(v))
		}
	}
	return b, values
}

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// near fails unless got is within bound of want, relative to size.
func near(t *testing.T, what string, got float32, want, size, bound float64) {
	t.Helper()
	if d := math.Abs(float64(got) - want); !(d <= bound*size) {
		t.Fatalf("%s: %v, want %v: error %.3g of %.3g is above %g", what, got, want, d, size, bound)
	}
}

// dots is the product of a row of weights and activations, and what it is made of.
func dots(w []float64, x []float32) (sum, size float64) {
	for i, v := range w {
		sum += v * float64(x[i])
		size += v * float64(x[i]) * v * float64(x[i])
	}
	return sum, math.Sqrt(size)
}

// rounding is what 15 bits leave: half of 1/16383 of the largest of 32 values, which is
// 2 to 3 times their spread. Where there are minima, quants are larger than the values
// they make, and so are the errors.
const rounding = 5e-4

type activations struct {
	x, d, s, h []float32
	q          []int16
	act        Act
}

func quantized(s *Set, x []float32) *activations {
	a := &activations{x: x, d: make([]float32, len(x)/32), s: make([]float32, len(x)/32), h: make([]float32, len(x)/16), q: make([]int16, len(x))}
	s.Quantize(a.q, a.d, a.s, a.h, x)
	a.act = Act{Q: &a.q[0], D: &a.d[0], S: &a.s[0], H: &a.h[0]}
	if n := s.WideBytes(len(x)); n > 0 {
		wide := make([]byte, n)
		for i := range wide { // nothing of it is left as it was
			wide[i] = 0xff
		}
		s.Wide(wide, a.q, a.d)
		a.act.W = &wide[0]
	}
	return a
}

// dequantized is what the integers stand for: products with it are exact but for
// the rounding of sums.
func (a *activations) dequantized() []float32 {
	y := make([]float32, len(a.q))
	for i, q := range a.q {
		y[i] = float32(q) * a.d[i/32]
	}
	return y
}

func TestQuantize(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		if s.quantize == nil {
			t.Skip("has no integer kernels")
		}
		x := normal(r, 32*5)
		clear(x[32:64])
		for i := range 32 {
			x[64+i] *= 1e30
			x[96+i] *= 1e-37
		}
		x[96+31] = 1e-40
		a := quantized(s, x)
		for i, v := range a.dequantized() {
			largest := 0.0
			for _, u := range x[i/32*32:][:32] {
				largest = max(largest, math.Abs(float64(u)))
			}
			if largest <= 1e-34 { // is 0
				near(t, "a tiny value", v, 0, 0, 0)
				continue
			}
			near(t, fmt.Sprint("value ", i), v, float64(x[i]), largest, 0.5001/16383+1e-7)
		}
		for i := range a.s {
			sum, size := 0.0, 0.0
			for _, v := range x[32*i : 32*i+32] {
				sum += float64(v)
				size += math.Abs(float64(v))
			}
			near(t, "sum", a.s[i], sum, size+1e-37, 1e-6)
			near(t, "halves", a.h[2*i]+a.h[2*i+1], sum, size+1e-37, 1e-6)
		}
		x[7] = float32(math.NaN())
		if a := quantized(s, x); a.d[0] == a.d[0] {
			t.Error("a NaN was lost")
		}
	})
}

// TestDot holds every integer kernel against the decoded weights: even and odd
// numbers of blocks and rows.
func TestDot(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for typ := range gguf.Type(types) {
			if !s.Integer(typ) {
				continue
			}
			for _, blocks := range []int{1, 2, 3, 7, 16} {
				for _, rows := range []int{1, 2, 5, 8} {
					cols := blocks * typ.BlockSize()
					w, values := weights(r, typ, rows, cols)
					a := quantized(s, normal(r, cols))
					exact := a.dequantized()
					y := make([]float32, rows)
					s.Dot(typ, y, w, typ.RowBytes(cols), cols, &a.act)
					for i := range y {
						row := values[i*cols : (i+1)*cols]
						what := fmt.Sprintf("%s, %d blocks, row %d of %d", typ, blocks, i, rows)
						want, size := dots(row, a.x)
						near(t, what, y[i], want, size, rounding)
						if Minima(typ) == 0 { // minima multiply the sums before rounding
							want, size = dots(row, exact)
							near(t, what+", integers", y[i], want, size+1e-30, 2e-6)
						}
					}
				}
			}
		}
	})
}

// integer is number i of a row that Quants wrote.
func integer(s *Set, q []int16, i int) float64 {
	if s.bytes != nil {
		return float64(unsafe.Slice((*int8)(unsafe.Pointer(&q[0])), 2*len(q))[i])
	}
	return float64(q[i])
}

// TestQuants holds the integers that panels are made of, and their scales, against the
// decoder.
func TestQuants(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for typ := range gguf.Type(types) {
			if !s.Integer(typ) {
				continue
			}
			for _, blocks := range []int{1, 2, 5} {
				cols := blocks * typ.BlockSize()
				w, values := weights(r, typ, 1, cols)
				scales := s.Scales(typ)
				q, d, m := make([]int16, cols), make([]float32, scales*cols/32), make([]float32, cols/16)
				s.Quants(typ, q, d, m, w, cols)
				for i, want := range values {
					got := integer(s, q, i) * float64(d[i*scales/32])
					size := math.Abs(got)
					if k := Minima(typ); k > 0 {
						min := float64(m[i*k/32])
						got += min
						size += math.Abs(min)
					}
					near(t, fmt.Sprintf("%s value %d", typ, i), float32(got), want, size, 1e-6)
					if q := integer(s, q, i); q > 4096 || q < -4096 {
						t.Fatalf("%s value %d is the word %v: sums may overflow", typ, i, q)
					}
				}
			}
		}
	})
}

// TestLargest adds the largest products there are, of Q6_K as words and of Q8_0 as bytes:
// they must fit.
func TestLargest(t *testing.T) {
	each(t, func(t *testing.T, s *Set, _ *rand.Rand) {
		if !s.Integer(gguf.Q6_K) {
			t.Skip("has no integer kernels")
		}
		six := make([]byte, gguf.Q6_K.BlockBytes()) // quants of 0: -32
		for i := 192; i < 208; i++ {
			six[i] = 0x80 // scales of -128
		}
		binary.LittleEndian.PutUint16(six[208:], 0x3c00) // 1
		eight := bytes.Repeat([]byte{0x80}, gguf.Q8_0.BlockBytes())
		binary.LittleEndian.PutUint16(eight, 0x3c00)
		for _, sign := range []float32{1, -1} {
			for _, c := range []struct {
				typ   gguf.Type
				block []byte
				value float64
			}{{gguf.Q6_K, six, 4096}, {gguf.Q8_0, eight, -128}} {
				n := c.typ.BlockSize()
				x := make([]float32, n)
				for i := range x {
					x[i] = sign
				}
				a := quantized(s, x)
				want, y := c.value*float64(sign)*float64(n), make([]float32, 1)
				s.Dot(c.typ, y, c.block, len(c.block), n, &a.act)
				near(t, c.typ.String(), y[0], want, math.Abs(want), 1e-6)
				for _, y := range product(s, c.typ, bytes.Repeat(c.block, s.Rows), slices.Repeat([]*activations{a}, s.Columns)) {
					near(t, c.typ.String()+" in a panel", y, want+1, math.Abs(want), 1e-6)
				}
			}
		}
	})
}

// panel packs activations for Gemm.
func panel(s *Set, rows []*activations) (x []int16, xd []float32) {
	n, cols := s.Columns, len(rows[0].q)
	nb := cols / 32
	x, xd = make([]int16, cols*n), make([]float32, nb*4*n)
	var q []int16
	for c, a := range rows {
		q = append(q, a.q...)
		for b := range nb {
			for i, v := range []float32{a.d[b], a.s[b], a.h[2*b], a.h[2*b+1]} {
				xd[(b*4+i)*n+c] = v
			}
		}
	}
	s.ActPanel(x, q, cols)
	return x, xd
}

// product multiplies Rows rows of weights with Columns rows of activations, and adds one.
func product(s *Set, typ gguf.Type, w []byte, a []*activations) []float32 {
	cols := len(a[0].q)
	nb := cols / 32
	ld := 2*nb + 8
	q, d, m := make([]int16, s.Rows*cols), make([]float32, s.Rows*ld), make([]float32, s.Rows*ld)
	for i := range s.Rows {
		s.Quants(typ, q[i*cols:], d[i*ld:], m[i*ld:], w[i*typ.RowBytes(cols):], cols)
	}
	pq, pd, pm := make([]int16, s.Rows*cols), make([]float32, s.Rows*ld), make([]float32, s.Rows*ld)
	s.QuantPanel(pq, q, cols, cols)
	Transpose(s, pd, d, ld, s.Scales(typ)*nb)
	Transpose(s, pm, m, ld, max(1, Minima(typ))*nb)
	x, xd := panel(s, a)
	acc := make([]float32, s.Columns*s.Rows)
	for i := range acc {
		acc[i] = 1
	}
	s.Gemm(typ, acc, pq, pd, pm, x, xd, nb)
	return acc
}

// TestGemm holds panels and their products against the decoded weights.
func TestGemm(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for typ := range gguf.Type(types) {
			if !s.Integer(typ) {
				continue
			}
			for _, blocks := range []int{1, 3} {
				cols := blocks * typ.BlockSize()
				w, values := weights(r, typ, s.Rows, cols)
				var a []*activations
				for range s.Columns {
					a = append(a, quantized(s, normal(r, cols)))
				}
				for i, y := range product(s, typ, w, a) {
					row, a := values[i%s.Rows*cols:][:cols], a[i/s.Rows]
					what := fmt.Sprintf("%s, %d blocks, row %d, column %d", typ, blocks, i%s.Rows, i/s.Rows)
					want, size := dots(row, a.x)
					near(t, what, y, want+1, size, rounding)
					if Minima(typ) == 0 { // minima multiply the sums before rounding
						want, size = dots(row, a.dequantized())
						near(t, what+", integers", y, want+1, size+1, 2e-6)
					}
				}
			}
		}
	})
}

func TestPack(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for _, n := range []int{1, 3, 4, 18} {
			ld := n + 3
			src, dst := normal(r, s.Columns*ld), make([]float32, s.Columns*n)
			Pack(s, dst, src, ld, n)
			for i, v := range dst {
				if want := src[i%s.Columns*ld+i/s.Columns]; v != want {
					t.Fatalf("n %d, element %d of row %d is %v, want %v", n, i/s.Columns, i%s.Columns, v, want)
				}
			}
		}
	})
}

func TestUnpack(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for _, width := range []int{1, 7, s.Rows - 1, s.Rows} {
			for _, n := range []int{1, s.Columns} {
				ld := width + 5
				acc, dst := normal(r, n*s.Rows), make([]float32, n*ld)
				s.Unpack(dst, ld, acc, n, width)
				for i, v := range dst {
					want := float32(0)
					if i%ld < width {
						want = acc[i/ld*s.Rows+i%ld]
					}
					if v != want {
						t.Fatalf("width %d, value %d of row %d is %v, want %v", width, i%ld, i/ld, v, want)
					}
				}
			}
		}
	})
}

func TestGemmFloat(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for _, n := range []int{1, 2, 7, 64} {
			ld := n + 8
			w, p, x := normal(r, s.Rows*ld), make([]float32, s.Rows*ld), normal(r, s.Columns*n)
			Transpose(s, p, w, ld, n)
			acc := make([]float32, s.Columns*s.Rows)
			s.GemmFloat(acc, p, x, n)
			for i, y := range acc {
				want, size := 0.0, 0.0
				for k := range n {
					v := float64(w[i%s.Rows*ld+k]) * float64(x[k*s.Columns+i/s.Rows])
					want += v
					size += v * v
				}
				near(t, fmt.Sprintf("n %d, row %d, column %d", n, i%s.Rows, i/s.Rows), y, want, math.Sqrt(size), 2e-6)
			}
		}
	})
}

// TestFloat holds products and sums of rows with float activations, at every
// length of tail.
func TestFloat(t *testing.T) {
	lengths := []int{64, 67, 80, 131}
	for n := range 49 {
		lengths = append(lengths, n+1)
	}
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0} {
			if !s.Direct(typ) {
				continue
			}
			for _, n := range lengths {
				cols := n
				if typ.BlockSize() > 1 {
					if cols *= typ.BlockSize(); n > 5 {
						continue
					}
				}
				for _, rows := range []int{1, 3, 4, 9} {
					raw, values := weights(r, typ, rows, cols)
					odd := append([]byte{0}, raw...)[1:] // weights need not be aligned
					x, y := normal(r, cols), make([]float32, rows)
					s.DotFloat(typ, y, odd, typ.RowBytes(cols), x)
					for i := range y {
						want, size := dots(values[i*cols:(i+1)*cols], x)
						near(t, fmt.Sprintf("%s, %d columns, row %d of %d", typ, cols, i, rows), y[i], want, size+1e-30, 2e-6)
					}
					if typ == gguf.BF16 {
						continue
					}
					clear(y)
					s.DotNear(typ, y, odd, typ.RowBytes(cols), x)
					for i := range y {
						want, size := dots(values[i*cols:(i+1)*cols], x)
						near(t, fmt.Sprintf("%s, %d columns, row %d of %d, near", typ, cols, i, rows), y[i], want, size+1e-30, 2e-6)
					}
					f, out := normal(r, rows), make([]float32, cols)
					s.Sum(typ, out, odd, typ.RowBytes(cols), f)
					for c := range out {
						want, size := 0.0, 0.0
						for i := range rows {
							v := float64(f[i]) * values[i*cols+c]
							want += v
							size += v * v
						}
						near(t, fmt.Sprintf("sum of %d rows of %d %s, column %d", rows, cols, typ, c), out[c], want, math.Sqrt(size)+1e-30, 2e-6)
					}
				}
			}
		}
	})
}

func TestConversions(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		all := make([]byte, 2<<16)
		for i := range 1 << 16 {
			binary.LittleEndian.PutUint16(all[2*i:], uint16(i))
		}
		for _, typ := range []gguf.Type{gguf.F16, gguf.BF16} {
			y, want := make([]float32, 1<<16-3), make([]float32, 1<<16-3)
			decode, _ := quant.Decoder(typ)
			decode(want, all)
			if !s.Widen(typ, y, all) {
				continue
			}
			for i := range y {
				if y[i] != want[i] && want[i] == want[i] || (y[i] == y[i]) != (want[i] == want[i]) {
					t.Fatalf("%s %#04x is %v, want %v", typ, i, y[i], want[i])
				}
			}
		}
		x := normal(r, 1003)
		x[0], x[1], x[2], x[3] = 65504, 65520, 6e-8, float32(math.Inf(-1))
		y := make([]byte, 2*len(x))
		s.Narrow(gguf.F16, y, x)
		for i, v := range x {
			if got, want := binary.LittleEndian.Uint16(y[2*i:]), quant.F32ToF16(v); got != want {
				t.Fatalf("%v is rounded to %#04x, want %#04x", v, got, want)
			}
		}
	})
}

// TestNarrowQ8 holds the rounding of cached keys and values against quant's, byte for
// byte.
func TestNarrowQ8(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		x := normal(r, 32*40)
		for i := range x {
			x[i] *= float32(math.Exp2(float64(i/32*2 - 60)))
		}
		clear(x[32:64])
		x[64] = 1e-44          // the scale is too small to divide by
		copy(x[65:96], x[64:]) // and so are the rest
		for i := range 32 {    // ties: the scale is 1
			x[96+i] = float32(i) - 15.5
		}
		x[96] = -127
		got, want := make([]byte, gguf.Q8_0.RowBytes(len(x))), make([]byte, gguf.Q8_0.RowBytes(len(x)))
		if err := quant.Encode(gguf.Q8_0, want, x); err != nil {
			t.Fatal(err)
		}
		s.Narrow(gguf.Q8_0, got, x)
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("byte %d of block %d is %#02x, want %#02x: %v", i%34, i/34, got[i], want[i], x[i/34*32:][:32])
			}
		}
		x[5] = float32(math.NaN())
		s.Narrow(gguf.Q8_0, got, x)
		if d := quant.F16ToF32(binary.LittleEndian.Uint16(got)); d == d {
			t.Error("a NaN was lost")
		}
	})
}

func TestFunctions(t *testing.T) {
	each(t, func(t *testing.T, s *Set, r *rand.Rand) {
		for n := 1; n < 40; n++ {
			x, u, w := normal(r, n), normal(r, n), normal(r, n)
			for i := range x {
				x[i] *= 20
			}
			y := make([]float32, n)
			s.SiLU(y, x, u)
			for i, v := range x {
				want := float64(v) / (1 + math.Exp(-float64(v))) * float64(u[i])
				near(t, fmt.Sprint("silu ", v), y[i], want, math.Abs(want)+1e-30, 1e-6)
			}
			s.GELU(y, x, u)
			for i, v := range x {
				g := float64(v)
				want := g / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(g+0.044715*g*g*g))) * float64(u[i])
				near(t, fmt.Sprint("gelu ", v), y[i], want, math.Abs(want)+1e-6, 2e-6)
			}
			var sum float32
			s.Squares(x, &sum)
			want := 0.0
			for _, v := range x {
				want += float64(v) * float64(v)
			}
			near(t, "squares", sum, want, want, 1e-6)
			f := float32(0.3)
			s.ScaleMul(y, x, w, &f)
			for i := range y {
				want := float64(x[i]) * float64(f) * float64(w[i])
				near(t, "scale", y[i], want, math.Abs(want), 3e-7)
			}
			s.Add(y, x, w)
			for i := range y {
				near(t, "add", y[i], float64(x[i]+w[i]), 1, 0)
			}
		}
		x := []float32{0, -1, -86.9, -87.1, -1000, float32(math.Inf(-1)), 3, 1e-9}
		in := append([]float32(nil), x...)
		sum, want := float32(0), 0.0
		s.Exp(x, 3, &sum)
		for i, v := range in {
			e := math.Exp(float64(v) - 3)
			near(t, fmt.Sprint("exp ", v-3), x[i], e, e+1e-32, 1e-6)
			want += e
		}
		near(t, "sum of exp", sum, want, want, 1e-6)
		nan := make([]float32, 8)
		nan[3] = float32(math.NaN())
		s.Exp(nan, 0, &sum)
		if sum == sum {
			t.Error("a NaN was lost")
		}
	})
}

// TestActLayout: the kernels read Act as C laid it out.
func TestActLayout(t *testing.T) {
	var a Act
	if unsafe.Sizeof(a) != 40 || unsafe.Offsetof(a.W) != 32 || unsafe.Offsetof(a.D) != 8 || unsafe.Offsetof(a.S) != 16 || unsafe.Offsetof(a.H) != 24 {
		t.Error("Act is not five pointers")
	}
}
