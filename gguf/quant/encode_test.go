package quant_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

var recordErrors = flag.Bool("record", false, "TestEncodeOracle writes testdata/encode.txt")

// encodable lists the types with an encoder.
func encodable() []gguf.Type {
	var ts []gguf.Type
	for _, t := range types() {
		if _, ok := quant.Encoder(t); ok {
			ts = append(ts, t)
		}
	}
	return ts
}

// inputs are rows of 256 values as weights have them, and as they should not.
var inputs = []struct {
	name string
	fill func(r *rand.Rand, row []float32)
}{
	{"gaussian", each(func(r *rand.Rand) float64 { return 0.02 * r.NormFloat64() })},
	{"heavy_tailed", each(func(r *rand.Rand) float64 { return 0.02 * math.Pow(r.NormFloat64(), 3) })},
	{"uniform", each(func(r *rand.Rand) float64 { return 2*r.Float64() - 1 })},
	{"positive", each(func(r *rand.Rand) float64 { return 1 + 0.1*r.Float64() })},
	{"sparse", each(func(r *rand.Rand) float64 { return r.NormFloat64() * float64(r.IntN(8)/7) })},
	{"large", each(func(r *rand.Rand) float64 { return 1e4 * r.NormFloat64() })},
	{"small", each(func(r *rand.Rand) float64 { return 1e-5 * r.NormFloat64() })},
	{"outliers", func(r *rand.Rand, row []float32) {
		for i := range row {
			row[i] = float32(r.NormFloat64())
		}
		row[r.IntN(len(row))] *= 40
	}},
	{"scaled_sub_blocks", func(r *rand.Rand, row []float32) {
		for i := range row {
			if i%16 == 0 {
				row[i] = float32(math.Exp(r.NormFloat64()))
			}
			row[i] = row[i&^15] * float32(r.NormFloat64())
		}
	}},
	{"constant", func(r *rand.Rand, row []float32) {
		c := float32((0.5 + r.Float64()) * float64(1-2*r.IntN(2)))
		for i := range row {
			row[i] = c
		}
	}},
	{"ramp", func(r *rand.Rand, row []float32) {
		a, b := r.NormFloat64(), r.NormFloat64()
		for i := range row {
			row[i] = float32(a + b*float64(i)/256)
		}
	}},
}

func each(f func(*rand.Rand) float64) func(*rand.Rand, []float32) {
	return func(r *rand.Rand, row []float32) {
		for i := range row {
			row[i] = float32(f(r))
		}
	}
}

// makeInput returns n rows of 256 of an input.
func makeInput(fill func(*rand.Rand, []float32), seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, 256*n)
	for i := range n {
		fill(r, x[256*i:256*i+256])
	}
	return x
}

func roundTrip(t *testing.T, typ gguf.Type, x []float32) []float32 {
	t.Helper()
	b := make([]byte, typ.RowBytes(len(x)))
	if err := quant.Encode(typ, b, x); err != nil {
		t.Fatal(err)
	}
	y := make([]float32, len(x))
	if err := quant.Decode(typ, y, b); err != nil {
		t.Fatal(err)
	}
	return y
}

// relativeError returns the root-mean-square error of rows of 256 values, each
// relative to the row's own size: no row outweighs the others.
func relativeError(x, y []float32) float64 {
	var sum float64
	for i := 0; i < len(x); i += 256 {
		e := rmse(x[i:i+256], y[i:i+256]) / rmse(x[i:i+256], make([]float32, 256))
		sum += e * e
	}
	return math.Sqrt(sum / float64(len(x)/256))
}

// rmse returns the root of the mean square of x−y; NaN if there is one.
func rmse(x, y []float32) float64 {
	var sum float64
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(x)))
}

// halfRounding is the relative error that rounding a scale to F16 costs on average.
// A constant row has no other, and there luck decides who is nearer.
const halfRounding = 0x1p-12

const (
	recordedRows = 256
	recordedSeed = 1
)

// TestEncodeRecorded holds the error of every encoder, on every input, against ggml's.
func TestEncodeRecorded(t *testing.T) {
	f, err := os.Open("testdata/encode.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string]float64{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), " "); ok && name != "#" {
			if want[name], err = strconv.ParseFloat(value, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, typ := range encodable() {
		for _, in := range inputs {
			x := makeInput(in.fill, recordedSeed, recordedRows)
			name := typ.String() + "/" + in.name
			ggml, ok := want[name]
			if !ok {
				if typ != gguf.F32 {
					t.Errorf("%s: nothing recorded", name)
				}
				continue
			}
			if got := relativeError(x, roundTrip(t, typ, x)); !(got <= max(1.01*ggml, halfRounding)) {
				t.Errorf("%s: error %.4g, ggml's %.4g: ratio %.3f", name, got, ggml, got/ggml)
			}
		}
	}
}

// TestEncodeOracle does the same against ggml itself, with a fresh seed.
func TestEncodeOracle(t *testing.T) {
	oracleLibrary(t)
	seed := rand.Uint64()
	if *recordErrors {
		seed = recordedSeed
	}
	t.Logf("seed %d", seed)
	var out strings.Builder
	out.WriteString("# Errors (relativeError) of ggml's quantisation (ggml_quantize_chunk, llama.cpp v0.5.0) of the inputs in encode_test.go.\n")
	out.WriteString("# Recorded by GOLLM_ORACLE=DIR go test -run TestEncodeOracle -record\n")
	for _, typ := range encodable() {
		if typ == gguf.F32 {
			continue
		}
		for _, in := range inputs {
			x := makeInput(in.fill, seed, recordedRows)
			raw := record(t, floatBytes(x), "encode", fmt.Sprintf("%d:%v", typ, typ), "256")
			y := make([]float32, len(x))
			if err := quant.Decode(typ, y, raw); err != nil {
				t.Fatal(err)
			}
			ggml, got := relativeError(x, y), relativeError(x, roundTrip(t, typ, x))
			if !(got <= max(1.01*ggml, halfRounding)) {
				t.Errorf("%v/%s: error %.4g, ggml's %.4g: ratio %.3f", typ, in.name, got, ggml, got/ggml)
			}
			t.Logf("%v/%s: ratio to ggml's error %.4f", typ, in.name, got/ggml)
			fmt.Fprintf(&out, "%v/%s %.7g\n", typ, in.name, ggml)
		}
	}
	if *recordErrors {
		if err := os.WriteFile("testdata/encode.txt", []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEncodeSameBytesAsGGML: types whose encoding leaves nothing to choose.
func TestEncodeSameBytesAsGGML(t *testing.T) {
	oracleLibrary(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, typ := range []gguf.Type{gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q8_0, gguf.MXFP4} {
		for _, in := range inputs {
			x := makeInput(in.fill, seed, 256)
			want := record(t, floatBytes(x), "encode", fmt.Sprintf("%d:%v", typ, typ), "256")
			got := make([]byte, typ.RowBytes(len(x)))
			if err := quant.Encode(typ, got, x); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("%v/%s: byte %d of block %d is %02x, ggml's %02x", typ, in.name, i%typ.BlockBytes(), i/typ.BlockBytes(), got[i], want[i])
					break
				}
			}
		}
	}
}

// TestEncodeDeterministic: an encoder depends on nothing but its input, and
// leaves no byte of dst as it was.
func TestEncodeDeterministic(t *testing.T) {
	for _, typ := range encodable() {
		for _, in := range inputs {
			x := makeInput(in.fill, 2, 4)
			a, b := make([]byte, typ.RowBytes(len(x))), make([]byte, typ.RowBytes(len(x)))
			for i := range b {
				b[i] = 0xff
			}
			encode, _ := quant.Encoder(typ)
			encode(a, x)
			for i := range 4 { // row by row
				n := typ.RowBytes(256)
				encode(b[n*i:n*i+n], x[256*i:256*i+256])
			}
			if string(a) != string(b) {
				t.Errorf("%v/%s: two encodings differ", typ, in.name)
			}
		}
	}
}

// TestEncodeExtremes: what has no sensible scale still decodes to finite
// values, no further off than zeros would be.
func TestEncodeExtremes(t *testing.T) {
	for _, typ := range encodable() {
		for _, c := range []struct {
			name  string
			value func(i int) float32
		}{
			{"zero", func(int) float32 { return 0 }},
			{"negative_zero", func(int) float32 { return float32(math.Copysign(0, -1)) }},
			{"denormal", func(i int) float32 { return math.Float32frombits(uint32(i%7)) * float32(1-i%2*2) }},
			{"smallest_normal", func(i int) float32 { return float32(i%5-2) * 0x1p-126 }},
			{"below_half", func(i int) float32 { return float32(i%5-2) * 1e-9 }},
			{"one_denormal", func(i int) float32 { return math.Float32frombits(uint32(i / 255)) }},
			{"mixed_magnitudes", func(i int) float32 { return float32(math.Ldexp(1, -i) * float64(1-i%2*2)) }},
			{"huge_and_tiny", func(i int) float32 { return [2]float32{6e4, 1e-30}[i%2] }},
			{"largest", func(i int) float32 { return largest(typ) * float32(1-i%2*2) }},
			{"largest_positive", func(i int) float32 { return largest(typ) * float32(i%2) }},
		} {
			x := make([]float32, 256)
			for i := range x {
				x[i] = c.value(i)
			}
			y := roundTrip(t, typ, x)
			for i := range y {
				if y[i]-y[i] != 0 {
					t.Fatalf("%v/%s: value %d is %v, was %v", typ, c.name, i, y[i], x[i])
				}
			}
			if e, signal := rmse(x, y), rmse(x, make([]float32, 256)); !(e <= signal*1.001) {
				t.Errorf("%v/%s: error %g of a signal of %g", typ, c.name, e, signal)
			}
		}
	}
}

// largest returns the largest value the type accepts.
func largest(typ gguf.Type) float32 {
	lo, hi := uint32(0), math.Float32bits(float32(math.Inf(1)))
	for hi-lo > 1 {
		mid := lo + (hi-lo)/2
		if quant.CheckValues(typ, []float32{math.Float32frombits(mid)}) == nil {
			lo = mid
		} else {
			hi = mid
		}
	}
	return math.Float32frombits(lo)
}

func TestEncodeRefuses(t *testing.T) {
	for _, typ := range encodable() {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 2 * float64(largest(typ))} {
			x := make([]float32, 256)
			x[77] = float32(bad)
			dst := make([]byte, typ.RowBytes(256))
			err := quant.Encode(typ, dst, x)
			want := fmt.Sprintf("quant: %v: value 77 is %v", typ, float32(bad))
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v, %v: error %v, want %q", typ, bad, err, want)
			}
			for _, b := range dst {
				if b != 0 {
					t.Fatalf("%v: wrote something", typ)
				}
			}
		}
	}
	err := quant.Encode(gguf.IQ2_XS, make([]byte, 74), make([]float32, 256))
	if fmt.Sprint(err) != "quant: cannot encode tensor type IQ2_XS" {
		t.Errorf("IQ2_XS: error %v", err)
	}
	err = quant.Encode(gguf.Q8_0, make([]byte, 34), make([]float32, 33))
	if fmt.Sprint(err) != "quant: Q8_0: 33 values are not whole blocks of 32" {
		t.Errorf("odd length: error %v", err)
	}
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	x := makeInput(inputs[0].fill, 1, 1)
	for _, typ := range encodable() {
		encode, _ := quant.Encoder(typ)
		dst := make([]byte, typ.RowBytes(256))
		if n := testing.AllocsPerRun(10, func() { encode(dst, x) }); n != 0 {
			t.Errorf("%v: %v allocations a row", typ, n)
		}
	}
}

// FuzzEncode: any values are refused, or come back finite.
func FuzzEncode(f *testing.F) {
	f.Add(uint32(gguf.Q4_K), floatBytes(makeInput(inputs[0].fill, 1, 1)))
	f.Add(uint32(gguf.Q2_K), floatBytes(makeInput(inputs[4].fill, 1, 1)))
	f.Fuzz(func(t *testing.T, typ uint32, raw []byte) {
		tt := gguf.Type(typ)
		if _, ok := quant.Encoder(tt); !ok {
			return
		}
		x := make([]float32, len(raw)/4/256*256)
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		b := make([]byte, tt.RowBytes(len(x)))
		if quant.Encode(tt, b, x) != nil {
			return
		}
		y := make([]float32, len(x))
		if err := quant.Decode(tt, y, b); err != nil {
			t.Fatal(err)
		}
		for i := range y {
			if y[i]-y[i] != 0 {
				t.Fatalf("%v: value %d was %v, is %v", tt, i, x[i], y[i])
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	x := makeInput(inputs[0].fill, 1, 16)
	for _, typ := range encodable() {
		b.Run(typ.String(), func(b *testing.B) {
			encode, _ := quant.Encoder(typ)
			dst := make([]byte, typ.RowBytes(len(x)))
			for b.Loop() {
				encode(dst, x)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(x)), "ns/value")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// TestEncodeSameEverywhere: the bytes of an encoding do not depend on the
// processor (whose compiler may fuse products and sums: see the package comment).
func TestEncodeSameEverywhere(t *testing.T) {
	// Input without functions of package math, which differ between processors.
	x := makeInput(each(func(r *rand.Rand) float64 {
		v := r.Float64() + r.Float64() + r.Float64() + r.Float64() - 2
		return v * v * v
	}), 1, 64)
	for typ, want := range map[gguf.Type]string{
		gguf.Q4_0: "0f7c1a3c", gguf.Q4_1: "41dbf0c8", gguf.Q5_0: "6f4a570c", gguf.Q5_1: "e7d6d3fa", gguf.Q8_0: "d79d997f", gguf.MXFP4: "649dc75d",
		gguf.Q2_K: "16d69478", gguf.Q3_K: "757d9803", gguf.Q4_K: "9ab47c84", gguf.Q5_K: "d4190f27", gguf.Q6_K: "13f27652", gguf.IQ4_NL: "195309f1", gguf.IQ4_XS: "6856602f",
	} {
		b := make([]byte, typ.RowBytes(len(x)))
		if err := quant.Encode(typ, b, x); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if got := hex.EncodeToString(sum[:4]); got != want {
			t.Errorf("gguf.%v: %q, was %q", typ, got, want)
		}
	}
}
