package simt

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
	"testing"
)

// precision is a floating type: its significant bits, the implicit one counted, and the exponent of
// its least normal number.
type precision struct {
	name   string
	bits   int
	lowest int
}

// ulp is the distance of the numbers around x.
func (p precision) ulp(x float64) float64 {
	_, e := math.Frexp(x)
	return math.Ldexp(1, max(e-1, p.lowest)-p.bits+1)
}

// round gives the nearest number, as IEEE 754 has it.
func (p precision) round(x float64) float64 {
	u := p.ulp(x)
	return math.RoundToEven(x/u) * u
}

// libraryCall is a call of the library, what it is in Go and how far from that it may be.
type libraryCall struct {
	msl string
	// ref gives the exact value. r rounds to the type, for what the call's arguments round to.
	ref func(r func(float64) float64, a, b, c float64) float64
	// ulps is the error allowed to float, in units of the last place: what MSL's table of single
	// precision without fast maths says (Metal Shading Language Specification, numerical compliance).
	// To half and bfloat half a unit more than nothing is allowed where float has some: the library
	// computes in float and rounds once. 0 is exact, 0.5 correctly rounded.
	ulps float64
	// scale, if set, is the greatest intermediate value: ulps are then of it, in every type.
	scale func(a, b, c float64) float64
}

func f1(f func(float64) float64) func(r func(float64) float64, a, b, c float64) float64 {
	return func(_ func(float64) float64, a, _, _ float64) float64 { return f(a) }
}

func g1(f func(float64) float64) func(r func(float64) float64, a, b, c float64) float64 {
	return func(_ func(float64) float64, _, b, _ float64) float64 { return f(b) }
}

func f2(f func(a, b float64) float64) func(r func(float64) float64, a, b, c float64) float64 {
	return func(_ func(float64) float64, a, b, _ float64) float64 { return f(a, b) }
}

func f3(f func(a, b, c float64) float64) func(r func(float64) float64, a, b, c float64) float64 {
	return func(_ func(float64) float64, a, b, c float64) float64 { return f(a, b, c) }
}

// quotient is f of T(a / d).
func quotient(f func(float64) float64, d float64) func(r func(float64) float64, a, b, c float64) float64 {
	return func(r func(float64) float64, a, _, _ float64) float64 { return f(r(a / r(d))) }
}

func clamp01(x float64) float64 { return min(max(x, 0), 1) }

func median(a, b, c float64) float64 { return max(min(a, b), min(max(a, b), c)) }

var floatFunctions = []libraryCall{
	{msl: "acos(T(a / T(3.001f)))", ref: quotient(math.Acos, 3.001), ulps: 4}, {msl: "asin(T(a / T(3.001f)))", ref: quotient(math.Asin, 3.001), ulps: 4},
	{msl: "acosh(T(b + 1))", ref: g1(func(b float64) float64 { return math.Acosh(b + 1) }), ulps: 4}, {msl: "asinh(a)", ref: f1(math.Asinh), ulps: 4},
	{msl: "atan(a)", ref: f1(math.Atan), ulps: 5}, {msl: "atan2(a, b)", ref: f2(math.Atan2), ulps: 6}, {msl: "atanh(T(a / T(3.1f)))", ref: quotient(math.Atanh, 3.1), ulps: 5},
	{msl: "ceil(a)", ref: f1(math.Ceil)}, {msl: "copysign(b, a)", ref: f2(func(a, b float64) float64 { return math.Copysign(b, a) })},
	{msl: "cos(a)", ref: f1(math.Cos), ulps: 4}, {msl: "cosh(a)", ref: f1(math.Cosh), ulps: 4}, {msl: "cospi(a)", ref: f1(cosPi), ulps: 4},
	{msl: "exp(a)", ref: f1(math.Exp), ulps: 4}, {msl: "exp2(a)", ref: f1(math.Exp2), ulps: 4}, {msl: "exp10(a)", ref: f1(func(a float64) float64 { return math.Pow(10, a) }), ulps: 4},
	{msl: "fast::exp(a)", ref: f1(math.Exp), ulps: 3 /* and ⌊|2a|⌋ */}, {msl: "precise::tanh(a)", ref: f1(math.Tanh), ulps: 5},
	{msl: "fabs(a)", ref: f1(math.Abs)}, {msl: "abs(a)", ref: f1(math.Abs)}, {msl: "fdim(a, b)", ref: f2(math.Dim), ulps: 0.5}, {msl: "floor(a)", ref: f1(math.Floor)},
	{msl: "fma(a, b, c)", ref: f3(func(a, b, c float64) float64 { return a*b + c }), ulps: 0.5},
	{msl: "fmax(a, b)", ref: f2(math.Max)}, {msl: "fmin(a, b)", ref: f2(math.Min)}, {msl: "max(a, b)", ref: f2(math.Max)}, {msl: "min(a, b)", ref: f2(math.Min)},
	{msl: "fmod(a, b)", ref: f2(math.Mod)}, {msl: "fract(a)", ref: f1(func(a float64) float64 { return a - math.Floor(a) }), ulps: 0.5},
	{msl: "ldexp(a, 3)", ref: f1(func(a float64) float64 { return a * 8 })},
	{msl: "log(b)", ref: g1(math.Log), ulps: 4}, {msl: "log2(b)", ref: g1(math.Log2), ulps: 4}, {msl: "log10(b)", ref: g1(math.Log10), ulps: 4},
	{msl: "pow(b, a)", ref: f2(func(a, b float64) float64 { return math.Pow(b, a) }), ulps: 16}, {msl: "powr(b, a)", ref: f2(func(a, b float64) float64 { return math.Pow(b, a) }), ulps: 16},
	{msl: "rint(a)", ref: f1(math.RoundToEven)}, {msl: "round(a)", ref: f1(math.Round)}, {msl: "trunc(a)", ref: f1(math.Trunc)},
	// MSL wants rsqrt correctly rounded; the library divides by a square root, which takes two roundings.
	{msl: "rsqrt(b)", ref: g1(func(b float64) float64 { return 1 / math.Sqrt(b) }), ulps: 1.5}, {msl: "sqrt(b)", ref: g1(math.Sqrt), ulps: 0.5},
	{msl: "sin(a)", ref: f1(math.Sin), ulps: 4}, {msl: "sinh(a)", ref: f1(math.Sinh), ulps: 4}, {msl: "sinpi(a)", ref: f1(sinPi), ulps: 4},
	{msl: "tan(c)", ref: f3(func(a, b, c float64) float64 { return math.Tan(c) }), ulps: 6}, {msl: "tanh(a)", ref: f1(math.Tanh), ulps: 5},
	{msl: "tanpi(a)", ref: f1(func(a float64) float64 { return sinPi(a) / cosPi(a) }), ulps: 6},
	{msl: "saturate(a)", ref: f1(clamp01)}, {msl: "sign(a)", ref: f1(func(a float64) float64 { return math.Copysign(1, a) })},
	{msl: "clamp(a, T(-b), b)", ref: f2(func(a, b float64) float64 { return min(max(a, -b), b) })},
	// Three roundings of half a unit each, of values up to |b - a|.
	{msl: "mix(a, b, c)", ref: f3(func(a, b, c float64) float64 { return a + (b-a)*c }), ulps: 1.5, scale: func(a, b, c float64) float64 { return max(math.Abs(b-a), math.Abs(a), b) }},
	{msl: "mad(a, b, c)", ref: f3(func(a, b, c float64) float64 { return a*b + c }), ulps: 1, scale: func(a, b, c float64) float64 { return max(math.Abs(a*b), math.Abs(a*b+c)) }},
	// x in [0, 1] has two roundings (a + b, the quotient), times the slope of at most 1.5; then x·x, 3 - 2x
	// and the product.
	{msl: "smoothstep(T(-b), b, a)", ref: f2(func(a, b float64) float64 { x := clamp01((a + b) / (2 * b)); return x * x * (3 - 2*x) }), ulps: 4, scale: func(a, b, c float64) float64 { return 1 }},
	{msl: "step(b, a)", ref: f2(func(a, b float64) float64 {
		if a < b {
			return 0
		}
		return 1
	})},
	{msl: "max3(a, b, c)", ref: f3(func(a, b, c float64) float64 { return max(a, b, c) })}, {msl: "min3(a, b, c)", ref: f3(func(a, b, c float64) float64 { return min(a, b, c) })},
	{msl: "median3(a, b, c)", ref: f3(median)}, {msl: "fmedian3(a, b, c)", ref: f3(median)},
}

// sinPi and cosPi reduce before they multiply: Go's Sin(Pi*a) is off by the error of Pi.
func sinPi(a float64) float64 {
	n := math.RoundToEven(2 * a)
	switch x := math.Pi * (a - n/2); int(n) & 3 {
	case 0:
		return math.Sin(x)
	case 1:
		return math.Cos(x)
	case 2:
		return -math.Sin(x)
	default:
		return -math.Cos(x)
	}
}

func cosPi(a float64) float64 { return sinPi(a + 0.5) }

// slack is an error allowed besides; see TestCUDALibrary.
var slack float64

// TestFloatFunctions holds the mathematics against Go's, for float, half and vectors of them. a is in [-3, 3], b in [0.1, 3], c in [0, 1], and each type holds them exactly.
func TestFloatFunctions(t *testing.T) {
	for _, ty := range []struct {
		precision
		vector string
	}{
		{precision{"float", 24, -126}, ""}, {precision{"float", 24, -126}, "float4"}, {precision{"half", 11, -14}, ""},
		{precision{"half", 11, -14}, "half4"},
	} {
		t.Run(max(ty.vector, ty.name), func(t *testing.T) {
			var body strings.Builder
			last := ""
			if ty.vector != "" {
				last = "[3]"
			}
			for i, e := range floatFunctions {
				fmt.Fprintf(&body, "  { T v = T(%s); y[n * %d + %d] = float(v%s); }\n", e.msl, len(floatFunctions), i, last)
			}
			k := build(t, fmt.Sprintf(`
typedef %s T;
kernel void f(device const float * in, device float * y, uint n [[thread_position_in_grid]]) {
  T a = T(in[3 * n]), b = T(in[3 * n + 1]), c = T(in[3 * n + 2]);
%s}`, max(ty.vector, ty.name), body.String()), "f", nil)
			const n = 200
			in := make([]float32, 3*n)
			for i := 0; i < len(in); i += 3 {
				in[i], in[i+1], in[i+2] = float32(random.IntN(96)-48)/16+1.0/32, float32(random.IntN(45)+3)/16, float32(random.IntN(17))/16
			}
			y := poisoned(4 * n * len(floatFunctions))
			run(t, dispatchOf(k, n, 1, bytesOf(in), y))
			got := valuesOf[float32](y)
			for i := range n {
				a, b, c := float64(in[3*i]), float64(in[3*i+1]), float64(in[3*i+2])
				for j, e := range floatFunctions {
					want, g := e.ref(ty.round, a, b, c), float64(got[i*len(floatFunctions)+j])
					ulps, at := e.ulps, want
					switch {
					case e.scale != nil:
						at = e.scale(a, b, c)
					case ty.bits < 24 && ulps > 0:
						// Rounded once, of a float that is some units of float's off.
						ulps = 0.5 + (ulps+0.5)*math.Ldexp(1, ty.bits-24)
					}
					if strings.HasPrefix(e.msl, "fast::exp") {
						ulps += math.Floor(math.Abs(2 * a))
					}
					if !(math.Abs(g-want) <= max(ulps*ty.ulp(at), slack*max(math.Abs(at), 1))) {
						t.Errorf("%s of %v, %v, %v is %v, want %v: %.3g units in the last place, %.3g allowed", e.msl, a, b, c, g, want, math.Abs(g-want)/ty.ulp(at), ulps)
					}
				}
			}
		})
	}
}

// TestIntegerFunctions holds them against Go, for int, uint and short.
func TestIntegerFunctions(t *testing.T) {
	type ref = func(a, b, c int64) int64
	wrap := map[string]func(int64) int64{"int": func(x int64) int64 { return int64(int32(x)) }, "uint": func(x int64) int64 { return int64(uint32(x)) }, "short": func(x int64) int64 { return int64(int16(x)) }}
	for _, ty := range []string{"int", "uint", "short"} {
		width := map[string]int{"int": 32, "uint": 32, "short": 16}[ty]
		lo, hi := int64(-1)<<(width-1), int64(1)<<(width-1)-1
		if ty == "uint" {
			lo, hi = 0, 1<<32-1
		}
		sat := func(x int64) int64 { return min(max(x, lo), hi) }
		mask := func(x int64) uint64 { return uint64(x) & (1<<width - 1) }
		es := []struct {
			msl string
			ref ref
		}{
			{"abs(a)", func(a, b, c int64) int64 { return max(a, -a) }}, {"max(a, b)", func(a, b, c int64) int64 { return max(a, b) }}, {"min(a, b)", func(a, b, c int64) int64 { return min(a, b) }},
			{"clamp(a, min(b, c), max(b, c))", func(a, b, c int64) int64 { return min(max(a, min(b, c)), max(b, c)) }},
			{"addsat(a, b)", func(a, b, c int64) int64 { return sat(a + b) }}, {"subsat(a, b)", func(a, b, c int64) int64 { return sat(a - b) }},
			{"hadd(a, b)", func(a, b, c int64) int64 { return (a + b) >> 1 }}, {"rhadd(a, b)", func(a, b, c int64) int64 { return (a + b + 1) >> 1 }},
			{"T(absdiff(a, b))", func(a, b, c int64) int64 { return max(a, b) - min(a, b) }},
			{"clz(a)", func(a, b, c int64) int64 { return int64(bits.LeadingZeros64(mask(a))) - int64(64-width) }},
			{"ctz(a)", func(a, b, c int64) int64 { return min(int64(bits.TrailingZeros64(mask(a))), int64(width)) }},
			{"popcount(a)", func(a, b, c int64) int64 { return int64(bits.OnesCount64(mask(a))) }},
			{"reverse_bits(a)", func(a, b, c int64) int64 { return int64(bits.Reverse64(mask(a)) >> (64 - width)) }},
			{"rotate(a, T(5))", func(a, b, c int64) int64 { m := mask(a); return int64(m<<5 | m>>(width-5)) }},
			{"max3(a, b, c)", func(a, b, c int64) int64 { return max(a, b, c) }}, {"min3(a, b, c)", func(a, b, c int64) int64 { return min(a, b, c) }},
			{"median3(a, b, c)", func(a, b, c int64) int64 { return max(min(a, b), min(max(a, b), c)) }},
			{"select(a, b, c > 0)", func(a, b, c int64) int64 {
				if c > 0 {
					return b
				}
				return a
			}},
			{"extract_bits(a, 3, 7)", func(a, b, c int64) int64 {
				v := mask(a) >> 3 & 127
				if ty != "uint" {
					return int64(v<<57) >> 57
				}
				return int64(v)
			}},
			{"insert_bits(a, b, 4, 6)", func(a, b, c int64) int64 { return int64(mask(a)&^(63<<4) | (mask(b) & 63 << 4)) }},
			{"mulhi(a, b)", func(a, b, c int64) int64 {
				if ty == "uint" {
					return int64(uint64(a) * uint64(b) >> 32)
				}
				return a * b >> width
			}},
		}
		var body strings.Builder
		for i, e := range es {
			fmt.Fprintf(&body, "  y[n * %d + %d] = %s;\n  { vec<T, 3> p = vec<T, 3>(a, b, c); (void)p; }\n", len(es), i, e.msl)
		}
		k := build(t, fmt.Sprintf("typedef %s T;\nkernel void f(device const T * in, device T * y, uint n [[thread_position_in_grid]]) {\n  T a = in[3 * n], b = in[3 * n + 1], c = in[3 * n + 2];\n%s}", ty, body.String()), "f", nil)
		const n = 64
		size := width / 8
		in, y := make([]byte, 3*n*size), poisoned(n*len(es)*size)
		for i := range in {
			in[i] = byte(random.Uint32())
		}
		copy(in, make([]byte, 3*size)) // zeros
		read := func(b []byte, i int) int64 {
			var v uint64
			for k := range size {
				v |= uint64(b[i*size+k]) << (8 * k)
			}
			return wrap[ty](int64(v))
		}
		run(t, dispatchOf(k, n, 1, in, y))
		for i := range n {
			a, b, c := read(in, 3*i), read(in, 3*i+1), read(in, 3*i+2)
			for j, e := range es {
				if got, want := read(y, i*len(es)+j), wrap[ty](e.ref(a, b, c)); got != want {
					t.Errorf("%s: %s of %d, %d, %d is %d, want %d", ty, e.msl, a, b, c, got, want)
				}
			}
		}
	}
}

// TestSimdFunctions runs every simd and quad function for a whole simdgroup and checks each lane.
func TestSimdFunctions(t *testing.T) {
	type ref = func(v []int32, l, w int) int32 // v: the group's values, l: the lane in it
	fold := func(f func(a, b int32) int32) ref {
		return func(v []int32, l, w int) int32 {
			r := v[0]
			for _, x := range v[1:] {
				r = f(r, x)
			}
			return r
		}
	}
	prefix := func(inclusive bool, start int32, f func(a, b int32) int32) ref {
		return func(v []int32, l, w int) int32 {
			r := start
			for i := range l + 1 {
				if i < l || inclusive {
					r = f(r, v[i])
				}
			}
			return r
		}
	}
	add, mul := func(a, b int32) int32 { return a + b }, func(a, b int32) int32 { return a * b }
	truth := func(b bool) int32 {
		if b {
			return 1
		}
		return 0
	}
	es := []struct {
		msl string
		ref ref
	}{
		{"GROUP_sum(v)", fold(add)}, {"GROUP_product(v)", fold(mul)},
		{"GROUP_min(v)", fold(func(a, b int32) int32 { return min(a, b) })}, {"GROUP_max(v)", fold(func(a, b int32) int32 { return max(a, b) })},
		{"GROUP_and(v)", fold(func(a, b int32) int32 { return a & b })}, {"GROUP_or(v)", fold(func(a, b int32) int32 { return a | b })}, {"GROUP_xor(v)", fold(func(a, b int32) int32 { return a ^ b })},
		{"GROUP_prefix_inclusive_sum(v)", prefix(true, 0, add)}, {"GROUP_prefix_exclusive_sum(v)", prefix(false, 0, add)},
		{"GROUP_prefix_inclusive_product(v)", prefix(true, 1, mul)}, {"GROUP_prefix_exclusive_product(v)", prefix(false, 1, mul)},
		{"GROUP_broadcast(v, 3)", func(v []int32, l, w int) int32 { return v[3] }}, {"GROUP_broadcast_first(v)", func(v []int32, l, w int) int32 { return v[0] }},
		{"GROUP_shuffle(v, (i + 2) % W)", func(v []int32, l, w int) int32 { return v[(l+2)%w] }}, {"GROUP_shuffle_xor(v, 3)", func(v []int32, l, w int) int32 { return v[l^3] }},
		{"(i % W >= 1 ? 1 : 0) * GROUP_shuffle_up(v, 1)", func(v []int32, l, w int) int32 {
			if l == 0 {
				return 0
			}
			return v[l-1]
		}},
		{"(i % W + 1 < W ? 1 : 0) * GROUP_shuffle_down(v, 1)", func(v []int32, l, w int) int32 {
			if l+1 == w {
				return 0
			}
			return v[l+1]
		}},
		{"GROUP_shuffle_rotate_up(v, 1)", func(v []int32, l, w int) int32 { return v[(l+w-1)%w] }}, {"GROUP_shuffle_rotate_down(v, 1)", func(v []int32, l, w int) int32 { return v[(l+1)%w] }},
		{"GROUP_shuffle_and_fill_up(v, int(100 + i), 1)", nil}, {"GROUP_shuffle_and_fill_down(v, int(100 + i), 1)", nil},
		{"GROUP_all(v > -9)", func(v []int32, l, w int) int32 { return 1 }}, {"GROUP_all(v > 3)", func(v []int32, l, w int) int32 {
			return truth(fold(func(a, b int32) int32 { return min(a, b) })(v, l, w) > 3)
		}},
		{"GROUP_any(v > 6)", func(v []int32, l, w int) int32 {
			return truth(fold(func(a, b int32) int32 { return max(a, b) })(v, l, w) > 6)
		}},
		{"GROUP_is_first()", func(v []int32, l, w int) int32 { return truth(l == 0) }},
	}
	for _, g := range []struct {
		name string
		w    int
	}{{"simd", 32}, {"quad", 4}} {
		es[19].ref = func(v []int32, l, w int) int32 {
			if l == 0 {
				return 100
			}
			return v[l-1]
		}
		es[20].ref = func(v []int32, l, w int) int32 {
			if l+1 == w {
				return 100
			}
			return v[l+1]
		}
		for _, ty := range []string{"int", "float", "short", "half", "int2"} {
			var body strings.Builder
			skip := map[int]bool{}
			for i, e := range es {
				isBit := strings.Contains(e.msl, "_and(") || strings.Contains(e.msl, "_or(") || strings.Contains(e.msl, "_xor(")
				if isBit && (ty == "float" || ty == "half") || ty == "int2" && (strings.Contains(e.msl, ">") || strings.Contains(e.msl, "fill")) || ty != "int" && strings.Contains(e.msl, "fill") || strings.Contains(e.msl, "_product") && (ty == "half" || ty == "float" || ty == "short") {
					skip[i] = true
					continue
				}
				x := strings.ReplaceAll(e.msl, "GROUP", g.name)
				if ty == "int2" && strings.Contains(x, "v") && !strings.Contains(x, "?") {
					x = "(" + x + ")[1]"
				}
				if strings.Contains(x, "fill") {
					x = "min(" + x + ", 100)"
				}
				if ty == "int2" && strings.Contains(x, "?") {
					skip[i] = true
					continue
				}
				fmt.Fprintf(&body, "  y[%d * 32 + i] = int(%s);\n", i, x)
			}
			decl := "T v = T(in[i]);"
			if ty == "int2" {
				decl = "T v = T(7, in[i]);"
			}
			k := build(t, fmt.Sprintf("typedef %s T; constant uint W = %d;\nkernel void f(device const int * in, device int * y, uint i [[thread_index_in_simdgroup]]) {\n  %s\n%s}", ty, g.w, decl, body.String()), "f", nil)
			in := make([]int32, 32)
			for i := range in {
				in[i] = random.Int32N(16) - 8
			}
			y := poisoned(len(es) * 128)
			run(t, dispatchOf(k, 1, 32, bytesOf(in), y))
			got := valuesOf[int32](y)
			for j, e := range es {
				if skip[j] {
					continue
				}
				for i := range 32 {
					base := i / g.w * g.w
					if want := e.ref(in[base:base+g.w], i-base, g.w); got[32*j+i] != want {
						t.Errorf("%s %s lane %d of %v: %d, want %d", ty, strings.ReplaceAll(e.msl, "GROUP", g.name), i, in, got[32*j+i], want)
						break
					}
				}
			}
		}
	}
}

// TestTypes checks conversions, vectors, packed vectors, matrices, bit casts and packing.
func TestTypes(t *testing.T) {
	k := build(t, `
kernel void f(device float * y, device const half4 * h, device const packed_float3 * p, device packed_half2 * ph, device bfloat * b, device uint * u) {
  float4 v = float4(h[0]);
  y[0] = v.x; y[1] = v.w;
  y[2] = float4(v.xy, 5, 6).z;
  y[3] = dot(float3(1, 2, 3), p[1]);
  float3 q = p[0]; y[4] = q.x + p[0].y + p[0][2];
  ph[1] = packed_half2(half2(1.5h, -2.0h)); y[5] = ph[1].y;
  b[0] = bfloat(1.00390625f); y[6] = b[0];            // a tie: to even
  b[1] = bfloat(3.14159265f); y[7] = b[1];
  y[8] = as_type<float>(0x40490fdbu); u[0] = as_type<uint>(1.0f); u[1] = as_type<uint>(half2(1.0h, 2.0h)); y[9] = as_type<half2>(0x40003c00u).y;
  float2x3 m = float2x3(float3(1, 2, 3), float3(4, 5, 6));
  y[10] = (m * float2(1, 10)).y; y[11] = (float3(1, 1, 1) * m).y; y[12] = transpose(m)[2][1];
  float4x4 d = float4x4(2.0f); y[13] = d[1][1] + d[1][0] + (d * d)[3][3];
  bool4 c = v < 2.0f; y[14] = all(c); y[15] = any(c); y[16] = float4(v < 2.0f).x; y[17] = select(v, float4(9), c).x;
  y[18] = float(c.x) + float(!c.w);
  int4 i = int4(v); y[19] = i.w; y[20] = float(int(-1.7f)); u[2] = uint(uchar(300)); y[21] = (float)(half)1e-4f;
  u[3] = pack_float_to_unorm4x8(float4(0, 0.5f, 1, 2)); float4 n = unpack_unorm4x8_to_float(0xff8000ffu); y[22] = n.x; y[23] = n.z;
  u[4] = pack_float_to_snorm2x16(float2(-1, 1)); y[24] = unpack_snorm2x16_to_float(0x80017fffu).y;
  half2 hh = half2(0.1h, 70000.0f); y[25] = hh.x; y[26] = hh.y;
  vec<float, 2> w = vec<float, 2>(3, 4); y[27] = length(w); y[28] = normalize(w).x; y[29] = distance(w, float2(0)); y[30] = cross(float3(1, 0, 0), float3(0, 1, 0)).z;
  float e; y[31] = modf(2.75f, e) + 10 * e; int x; y[32] = frexp(8.0f, x) + x; float cs; y[33] = sincos(0.0f, cs) + cs;
  array<float, 3> a = {1, 2, 3}; y[34] = a[2] + a.size();
  y[35] = numeric_limits<half>::max(); y[36] = isnan(NAN) + isinf(INFINITY) + isfinite(1.0f);
  v.zw = float2(7, 8); v.x += 1; y[37] = v.z + v.x; y[38] = (v * 2.0f - 1).w; y[39] = sizeof(float3) + sizeof(packed_float3) + sizeof(half3) + alignof(float4);
  ulong l = 1ul << 40; y[40] = l >> 38; y[41] = max(short(3), short(4)); y[42] = half(2049.0f); y[43] = ilogb(9.0f);
}`, "f", nil)
	y := poisoned(44 * 4)
	u := poisoned(5 * 4)
	run(t, dispatchOf(k, 1, 1, y, bytesOf([]uint16{0x3c00, 0x4000, 0x4200, 0x4400}), bytesOf([]float32{1, 2, 3, 4, 5, 6}), make([]byte, 8), make([]byte, 4), u))
	want := []float64{1, 4, 5, 32, 6, -2, 1, 3.140625, math.Pi, 2, 52, 15, 6, 6, 0, 1, 1, 9, 2, 4, -1, 1e-4, 1, 128.0 / 255, -1, 0.1, math.Inf(1), 5, 0.6, 5, 1, 20.75, 4.5, 1, 6, 65504, 3, 9, 15, 52, 4, 4, 2048, 3}
	for i, g := range valuesOf[float32](y) {
		tol := 1e-6
		if i == 21 || i == 25 {
			tol = 1e-3
		}
		if w := want[i]; !(math.Abs(float64(g)-w) <= tol*max(1, math.Abs(w))) && float64(g) != w {
			t.Errorf("y[%d] = %v, want %v", i, g, w)
		}
	}
	for i, g := range valuesOf[uint32](u) {
		if w := []uint32{0x3f800000, 0x40003c00, 44, 0xffff8000, 0x7fff8001}[i]; g != w {
			t.Errorf("u[%d] = %#x, want %#x", i, g, w)
		}
	}
}

// TestAtomics runs each operation from many threads, on device and threadgroup memory.
func TestAtomics(t *testing.T) {
	k := build(t, `
kernel void f(device atomic_int * d, device atomic_uint * u, device atomic_float * f, device atomic_int * out, uint i [[thread_position_in_grid]], uint l [[thread_index_in_threadgroup]]) {
  threadgroup atomic_int s[2];
  if (l == 0) { atomic_store_explicit(&s[0], 0, memory_order_relaxed); atomic_store_explicit(&s[1], -5, memory_order_relaxed); }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  atomic_fetch_add_explicit(&s[0], int(l), memory_order_relaxed);
  atomic_fetch_max_explicit(&s[1], int(l), memory_order_relaxed);
  atomic_fetch_add_explicit(&d[0], 1, memory_order_relaxed);
  atomic_fetch_sub_explicit(&d[1], 2, memory_order_relaxed);
  atomic_fetch_min_explicit(&d[2], -int(i), memory_order_relaxed);
  atomic_fetch_max_explicit(&d[3], int(i), memory_order_relaxed);
  atomic_fetch_or_explicit(&u[0], 1u << (i % 32), memory_order_relaxed);
  atomic_fetch_and_explicit(&u[1], ~(1u << (i % 32)), memory_order_relaxed);
  atomic_fetch_xor_explicit(&u[2], i, memory_order_relaxed);
  atomic_fetch_max_explicit(&u[3], i, memory_order_relaxed);
  atomic_fetch_add_explicit(&f[0], 0.5f, memory_order_relaxed);
  int e = atomic_load_explicit(&d[4], memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&d[4], &e, e + 3, memory_order_relaxed, memory_order_relaxed)) {}
  if (i == 77) atomic_exchange_explicit(&d[5], 42, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (l == 0) { atomic_fetch_add_explicit(&out[0], atomic_load_explicit(&s[0], memory_order_relaxed), memory_order_relaxed); atomic_fetch_max_explicit(&out[1], atomic_load_explicit(&s[1], memory_order_relaxed), memory_order_relaxed); }
}`, "f", nil)
	const groups, threads = 16, 64
	const n = groups * threads
	d, u, f, out := make([]byte, 24), bytesOf([]uint32{0, ^uint32(0), 0, 0}), make([]byte, 4), make([]byte, 8)
	run(t, dispatchOf(k, groups, threads, d, u, f, out))
	xor := uint32(0)
	for i := range uint32(n) {
		xor ^= i
	}
	if got, want := fmt.Sprint(valuesOf[int32](d)), fmt.Sprint([]int32{n, -2 * n, -(n - 1), n - 1, 3 * n, 42}); got != want {
		t.Errorf("signed %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(valuesOf[uint32](u)), fmt.Sprint([]uint32{^uint32(0), 0, xor, n - 1}); got != want {
		t.Errorf("unsigned %s, want %s", got, want)
	}
	if got := valuesOf[float32](f)[0]; got != n/2 {
		t.Errorf("float %v, want %v", got, n/2)
	}
	if got, want := fmt.Sprint(valuesOf[int32](out)), fmt.Sprint([]int32{groups * threads * (threads - 1) / 2, threads - 1}); got != want {
		t.Errorf("threadgroup %s, want %s", got, want)
	}
}

// TestSimdgroupMatrix checks loads and stores with strides, origins and transposition, and the
// elements a lane holds.
func TestSimdgroupMatrix(t *testing.T) {
	k := build(t, `
kernel void f(device const float * a, device float * y, device half * h, uint l [[thread_index_in_simdgroup]]) {
  threadgroup float s[64];
  simdgroup_float8x8 m, n, d;
  simdgroup_load(m, a, 16, ulong2(3, 2));
  simdgroup_store(m, y, 8);
  simdgroup_load(n, a, 16, ulong2(0, 0), true);
  simdgroup_store(n, s, 8);
  simdgroup_barrier(mem_flags::mem_threadgroup);
  y[64 + l] = s[l]; y[96 + l] = s[32 + l];
  simdgroup_multiply(d, m, make_diagonal_simdgroup_matrix<float, 8, 8>(2.0f));
  simdgroup_store(d, y + 128, 8, 0, true);
  simdgroup_half8x8 c = simdgroup_half8x8(0.5h);
  c.thread_elements()[0] += half(l);
  simdgroup_store(c, h, 8);
}`, "f", nil)
	a, y, h := make([]float32, 16*16), poisoned(4*192), poisoned(128)
	for i := range a {
		a[i] = float32(i)
	}
	run(t, dispatchOf(k, 1, 32, bytesOf(a), y, h))
	g := valuesOf[float32](y)
	for r := range 8 {
		for c := range 8 {
			at := (r+2)*16 + c + 3
			if g[8*r+c] != a[at] || g[64+8*r+c] != a[16*c+r] || g[128+8*c+r] != 2*a[at] {
				t.Fatalf("row %d, column %d: %v, %v, %v", r, c, g[8*r+c], g[64+8*r+c], g[128+8*c+r])
			}
		}
	}
	hv := valuesOf[uint16](h)
	seen := map[uint16]bool{}
	for r := range 8 {
		for c := 0; c < 8; c += 2 {
			seen[hv[8*r+c]] = true
		}
	}
	if len(seen) < 31 { // each lane's number once, the diagonal's half apart
		t.Errorf("the first elements of 32 lanes are %d places", len(seen))
	}
}
