package quant_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gollm/gollm/gguf/quant"
)

// f16 is the definition of binary16.
func f16(h uint16) float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exp, man := int(h>>10&31), float64(h&1023)
	switch {
	case exp == 31 && man != 0:
		return math.NaN()
	case exp == 31:
		return math.Inf(int(sign))
	case exp == 0:
		return math.Copysign(math.Ldexp(man, -24), sign)
	}
	return sign * math.Ldexp(1+man/1024, exp-15)
}

func TestF16ToF32All(t *testing.T) {
	for h := range 1 << 16 {
		got, want := quant.F16ToF32(uint16(h)), float32(f16(uint16(h)))
		if math.Float32bits(got) != math.Float32bits(want) && !(got != got && want != want) {
			t.Fatalf("%04x: got %v, want %v", h, got, want)
		}
		if got == got && quant.F32ToF16(got) != uint16(h) {
			t.Fatalf("%04x comes back as %04x", h, quant.F32ToF16(got))
		}
	}
}

// nearest16 is the definition of rounding f to 16 bits: the candidate at least distance,
// the even one of two, where an infinity counts as the next power of two.
func nearest16(f float64, value func(uint16) float64, infinity uint16, beyond float64) uint16 {
	var sign uint16
	if math.Signbit(f) {
		sign, f = 0x8000, -f
	}
	lo, hi := uint16(0), infinity // value(lo) <= f
	v := func(h uint16) float64 {
		if h == infinity {
			return beyond
		}
		return value(h)
	}
	if f >= beyond {
		return sign | infinity
	}
	for hi-lo > 1 {
		if mid := lo + (hi-lo)/2; v(mid) <= f {
			lo = mid
		} else {
			hi = mid
		}
	}
	below, above := f-v(lo), v(hi)-f
	if below > above || below == above && lo&1 == 1 {
		lo = hi
	}
	return sign | lo
}

func bf16(h uint16) float64 { return float64(math.Float32frombits(uint32(h) << 16)) }

func TestRoundToHalf(t *testing.T) {
	check := func(f float32) {
		if f != f {
			if h := quant.F32ToF16(f); f16(h) == f16(h) {
				t.Fatalf("NaN becomes the F16 %04x", h)
			}
			if h := quant.F32ToBF16(f); bf16(h) == bf16(h) {
				t.Fatalf("NaN %08x becomes the BF16 %04x", math.Float32bits(f), h)
			}
			return
		}
		if got, want := quant.F32ToF16(f), nearest16(float64(f), f16, 0x7c00, 65536); got != want {
			t.Fatalf("F16 of %v (%08x): got %04x, want %04x", f, math.Float32bits(f), got, want)
		}
		if got, want := quant.F32ToBF16(f), nearest16(float64(f), bf16, 0x7f80, 0x1p128); got != want {
			t.Fatalf("BF16 of %v (%08x): got %04x, want %04x", f, math.Float32bits(f), got, want)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200_000 {
		check(math.Float32frombits(r.Uint32()))
	}
	for h := range uint32(1 << 16) { // ties, and their neighbours, of both types
		for _, base := range []uint32{math.Float32bits(float32(f16(uint16(h)))) | 0x1000, h<<16 | 0x8000} {
			for d := range uint32(3) {
				check(math.Float32frombits(base + d - 1))
			}
		}
	}
	for i := range uint32(1 << 14) { // ties of subnormal halves
		for d := range 3 {
			f := float32(math.Ldexp(float64(i), -26))
			check(math.Float32frombits(math.Float32bits(f) + uint32(d) - 1))
		}
	}
}
