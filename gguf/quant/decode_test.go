package quant_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// types lists every tensor type of the format.
func types() []gguf.Type {
	var ts []gguf.Type
	for t := range gguf.Type(64) {
		if t.Known() {
			ts = append(ts, t)
		}
	}
	return ts
}

func TestEveryTypeHasADecoder(t *testing.T) {
	if n := len(types()); n < 35 {
		t.Fatalf("gguf knows %d types, want all 35 of llama.cpp v0.5.0", n)
	}
	for _, typ := range types() {
		if _, ok := quant.Decoder(typ); !ok {
			t.Errorf("%v: no decoder", typ)
		}
	}
	for _, typ := range []gguf.Type{4, 5, 31, 36, 43, 1 << 31} {
		if _, ok := quant.Decoder(typ); ok {
			t.Errorf("%v: decoder for a type that does not exist", typ)
		}
	}
}

// randomBlocks returns the blocks that testdata/record.py makes.
func randomBlocks(typ gguf.Type, seed string, blocks int) []byte {
	return sha3.SumSHAKE256([]byte(typ.String()+" "+seed), blocks*typ.BlockBytes())
}

// floatBytes returns the little-endian bytes of v, with every NaN made the
// same: which one comes out of a product is the processor's choice.
func floatBytes(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, f := range v {
		out = binary.LittleEndian.AppendUint32(out, canonicalBits(f))
	}
	return out
}

func canonicalBits(f float32) uint32 {
	if f != f {
		return 0x7fc00000
	}
	return math.Float32bits(f)
}

// TestDecodeRecorded holds the decoders against what ggml made of random blocks.
func TestDecodeRecorded(t *testing.T) {
	f, err := os.Open("testdata/decode.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tested := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		fields := strings.Fields(s.Text())
		typ, err := gguf.ParseType(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, blocks*typ.BlockSize())
		if err := quant.Decode(typ, got, randomBlocks(typ, "1", blocks)); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(floatBytes(got))
		if hex.EncodeToString(sum[:]) != fields[2] {
			t.Errorf("%v: the values of %d blocks differ from ggml's", typ, blocks)
			for i, want := range fields[3:] {
				if g := fmt.Sprintf("%08x", canonicalBits(got[i])); g != want {
					t.Errorf("%v: value %d is %s, ggml's %s", typ, i, g, want)
				}
			}
		}
		tested++
	}
	if tested != 28 {
		t.Errorf("%d types recorded, want 28", tested)
	}
}

// oracleLibrary returns the path of llama.cpp's libggml-base.so, or skips the test.
func oracleLibrary(t *testing.T) string {
	dir := os.Getenv("GOLLM_ORACLE")
	if dir == "" {
		t.Skip("needs llama.cpp in the folder GOLLM_ORACLE (make test-oracle)")
	}
	return filepath.Join(dir, "lib", "libggml-base.so")
}

// record runs testdata/record.py.
func record(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"testdata/record.py", oracleLibrary(t)}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return out
}

// TestDecodeOracle compares every value of fresh random blocks with ggml's.
func TestDecodeOracle(t *testing.T) {
	oracleLibrary(t)
	if got := record(t, nil, "vectors"); !bytes.Equal(got, must(os.ReadFile("testdata/decode.txt"))) {
		t.Error("testdata/decode.txt is not what the oracle gives now")
	}
	seed := strconv.FormatUint(rand.Uint64(), 10)
	t.Logf("seed %s", seed)
	for _, typ := range types() {
		switch typ {
		case gguf.F32, gguf.F64, gguf.I8, gguf.I16, gguf.I32, gguf.I64, gguf.Q8_1: // no to_float in ggml
			continue
		}
		blocks := 1 << 18 / typ.BlockSize()
		got := make([]float32, blocks*typ.BlockSize())
		if err := quant.Decode(typ, got, randomBlocks(typ, seed, blocks)); err != nil {
			t.Fatal(err)
		}
		want := record(t, nil, "decode", seed, strconv.Itoa(blocks), fmt.Sprintf("%d:%v", typ, typ))
		if len(want) != 4*len(got) {
			t.Fatalf("%v: oracle returned %d bytes", typ, len(want))
		}
		for i := range got {
			w := canonicalBits(math.Float32frombits(binary.LittleEndian.Uint32(want[4*i:])))
			if g := canonicalBits(got[i]); g != w {
				t.Errorf("%v: value %d of block %d is %08x, ggml's %08x", typ, i%typ.BlockSize(), i/typ.BlockSize(), g, w)
				break
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestDecodePlainTypes(t *testing.T) {
	want := []float32{0, 1, -2, 100, -128}
	encode := func(v any) []byte {
		var b bytes.Buffer
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for typ, src := range map[gguf.Type][]byte{
		gguf.F32: encode(want),
		gguf.F64: encode([]float64{0, 1, -2, 100, -128}),
		gguf.I8:  encode([]int8{0, 1, -2, 100, -128}),
		gguf.I16: encode([]int16{0, 1, -2, 100, -128}),
		gguf.I32: encode([]int32{0, 1, -2, 100, -128}),
		gguf.I64: encode([]int64{0, 1, -2, 100, -128}),
	} {
		got := make([]float32, len(want))
		if err := quant.Decode(typ, got, src); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(floatBytes(got), floatBytes(want)) {
			t.Errorf("%v: got %v, want %v", typ, got, want)
		}
	}
}

func TestDecodeQ8_1(t *testing.T) {
	src := make([]byte, 36)
	binary.LittleEndian.PutUint16(src, quant.F32ToF16(0.5))
	binary.LittleEndian.PutUint16(src[2:], quant.F32ToF16(1000)) // the sum is no part of the values
	for i := range 32 {
		src[4+i] = byte(int8(i*8 - 128))
	}
	got := make([]float32, 32)
	if err := quant.Decode(gguf.Q8_1, got, src); err != nil {
		t.Fatal(err)
	}
	for i, g := range got {
		if want := float32(i*8-128) / 2; g != want {
			t.Errorf("value %d: got %v, want %v", i, g, want)
		}
	}
}

// TestDecodeAnyLength decodes rows whose length is no multiple of the loops' steps.
func TestDecodeAnyLength(t *testing.T) {
	for _, typ := range types() {
		size := typ.BlockSize()
		src := randomBlocks(typ, "tail", 40)
		whole, part := make([]float32, 40*size), make([]float32, 40*size)
		if err := quant.Decode(typ, whole, src); err != nil {
			t.Fatal(err)
		}
		for n := range 40 {
			if err := quant.Decode(typ, part[:n*size], src[:n*typ.BlockBytes()]); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(floatBytes(part[:n*size]), floatBytes(whole[:n*size])) {
				t.Fatalf("%v: %d blocks decode to other values than the first of 40", typ, n)
			}
		}
	}
}

func TestDecodeSizes(t *testing.T) {
	dst, src := make([]float32, 512), make([]byte, 1024)
	for _, c := range []struct {
		typ           gguf.Type
		values, bytes int
		err           string
	}{
		{gguf.Q4_K, 256, 144, ""},
		{gguf.Q4_K, 0, 0, ""},
		{gguf.Q4_K, 255, 144, "quant: Q4_K: 255 values are not whole blocks of 256"},
		{gguf.Q4_K, 256, 143, "quant: Q4_K: 143 bytes for 256 values, want 144"},
		{gguf.Q8_0, 64, 69, "quant: Q8_0: 69 bytes for 64 values, want 68"},
		{gguf.Type(4), 1, 1, "quant: no decoder for tensor type type(4)"},
	} {
		err := quant.Decode(c.typ, dst[:c.values], src[:c.bytes])
		if got := fmt.Sprint(err); got != c.err && (err != nil || c.err != "") {
			t.Errorf("%v, %d values, %d bytes: error %q, want %q", c.typ, c.values, c.bytes, got, c.err)
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, typ := range types() {
		decode, _ := quant.Decoder(typ)
		dst, src := make([]float32, 256), make([]byte, typ.RowBytes(256))
		if n := testing.AllocsPerRun(10, func() { decode(dst, src) }); n != 0 {
			t.Errorf("%v: %v allocations a row", typ, n)
		}
	}
}

// FuzzDecode feeds any lengths and bytes: an error or finite time, never a
// panic, and never a write beyond dst.
func FuzzDecode(f *testing.F) {
	for _, typ := range types() {
		f.Add(uint32(typ), typ.BlockSize(), randomBlocks(typ, "fuzz", 1))
	}
	f.Add(uint32(gguf.Q4_K), 1, []byte{1})
	f.Fuzz(func(t *testing.T, typ uint32, n int, src []byte) {
		if n < 0 || n > 1<<16 {
			return
		}
		const guard = 12345
		buf := make([]float32, n+1)
		buf[n] = guard
		err := quant.Decode(gguf.Type(typ), buf[:n:n], src)
		if buf[n] != guard {
			t.Fatal("wrote beyond dst")
		}
		if typ := gguf.Type(typ); err == nil && len(src) != typ.RowBytes(n) {
			t.Fatalf("%v: %d values of %d bytes accepted", typ, n, len(src))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	const n = 4096
	for _, typ := range types() {
		b.Run(typ.String(), func(b *testing.B) {
			decode, _ := quant.Decoder(typ)
			dst, src := make([]float32, n), randomBlocks(typ, "bench", n/typ.BlockSize())
			for b.Loop() {
				decode(dst, src)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/value")
			b.ReportMetric(0, "ns/op")
		})
	}
}
