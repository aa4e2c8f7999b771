package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/exec/gpu"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
	"github.com/gollm/gollm/metal/emu"
)

// onGPU is open of the small storyteller.
func onGPU(t *testing.T, o Options, chip emu.Chip, change func(f *gguf.File)) (*Model, error) {
	t.Helper()
	return open(t, filepath.Join("..", "testdata", "stories260K.gguf"), o, chip, change)
}

// open is a model's answer to being given an emulated GPU. change, if set, is
// called with the file before it is loaded.
func open(t *testing.T, path string, o Options, chip emu.Chip, change func(f *gguf.File)) (*Model, error) {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(f)
	}
	machine := emu.Test(t, emu.Options{Chip: chip, PageSize: os.Getpagesize(), Hazards: true})
	layers := o.GPULayers
	o.Device, o.GPULayers = "cpu", 0
	m, err := New(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	m.options.GPULayers = layers
	m.exec.Close()
	if err := m.openOn(&device{machine.Device(), "emu", func() error { return nil }}); err != nil {
		m.exec = m.cpu()
		return m, err
	}
	return m, nil
}

// tell continues a story greedily.
func tell(t *testing.T, m *Model) string {
	t.Helper()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var text strings.Builder
	for token, err := range s.Generate(context.Background(), m.Encode("Once upon a time"), GenerateOptions{MaxTokens: 40}) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(token.Text)
	}
	return text.String()
}

const tale = ", there was a little girl named Lily. She loved to play outside in the park."

func needsEmulator(t *testing.T) {
	t.Helper()
	if err := emu.CanCompile(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		fmt.Println("NOT TESTED: layers on the GPU:", err)
		t.Skip(err)
	}
}

// TestGPULayers tells a story of 5 layers with any number of them on the GPU.
func TestGPULayers(t *testing.T) {
	needsEmulator(t)
	for asked, want := range map[int]int{0: 6, 99: 6, 5: 5, 3: 3} {
		m, err := onGPU(t, Options{Context: 128, GPULayers: asked}, emu.Chip{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if i := m.Info(); i.GPULayers != want || i.Device != "emu" || i.GPU == "" || i.Why != nil {
			t.Errorf("%d layers asked for: %+v", asked, i.Placement)
		}
		if got := tell(t, m); !strings.HasPrefix(got, tale) {
			t.Errorf("%d layers asked for: told %q", asked, got)
		}
		if asked == 3 {
			v, err := m.Embed(context.Background(), m.Encode("a cat"), EmbedOptions{})
			if err != nil || math.IsNaN(float64(v[0])) {
				t.Errorf("Embed: %v, %v", v, err)
			}
		}
	}
}

// retype gives a tensor of float32 a type of 64-bit floats, which the kernels do not
// read.
func retype(t *testing.T, name string) func(f *gguf.File) {
	return func(f *gguf.File) {
		for _, w := range f.Tensors {
			if w.Name != name {
				continue
			}
			decode, ok := quant.Decoder(w.Type)
			if !ok {
				t.Fatal(w.Type)
			}
			values := make([]float32, w.Elements())
			decode(values, w.Data)
			w.Type, w.Data = gguf.F64, nil
			for _, v := range values {
				w.Data = binary.LittleEndian.AppendUint64(w.Data, math.Float64bits(float64(v)))
			}
			return
		}
		t.Fatalf("no tensor %q", name)
	}
}

// TestUnsupportedTensor has a tensor that the kernels do not read: its layer and
// those before it run on the CPU, unless that is not what was asked for.
func TestUnsupportedTensor(t *testing.T) {
	needsEmulator(t)
	for _, c := range []struct {
		tensor string
		layers int // that can run on the GPU
	}{{"blk.2.ffn_down.weight", 2}, {"blk.4.attn_q.weight", 0}, {"token_embd.weight", 5}} {
		for _, asked := range []int{0, AllLayers, c.layers + 1, c.layers} {
			if asked == 0 && c.layers == 0 {
				continue
			}
			m, err := onGPU(t, Options{Context: 128, GPULayers: asked}, emu.Chip{}, retype(t, c.tensor))
			what := fmt.Sprintf("%s, %d layers asked for", c.tensor, asked)
			names := func(err error) bool {
				return err != nil && strings.Contains(err.Error(), fmt.Sprintf("tensor %q has type F64, which the GPU's kernels do not read", c.tensor))
			}
			if asked > c.layers {
				if !names(err) || !strings.Contains(err.Error(), fmt.Sprintf("-ngl %d would run", c.layers)) {
					t.Errorf("%s: error %v", what, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if i := m.Info(); i.GPULayers != c.layers || (asked == 0) != names(i.Why) {
				t.Errorf("%s: %+v", what, i.Placement)
			}
			if got := tell(t, m); !strings.HasPrefix(got, tale) {
				t.Errorf("%s: told %q", what, got)
			}
		}
	}
	// With the output none can.
	m, err := onGPU(t, Options{Context: 128}, emu.Chip{}, retype(t, "output.weight"))
	if i := m.Info(); err != nil || i.GPULayers != 0 || i.Device != "cpu" || i.Why == nil || !strings.HasPrefix(tell(t, m), tale) {
		t.Errorf("F64 output: %v, %+v", err, i.Placement)
	}
}

// large is a model of the shape of Llama 3 8B, but for the vocabulary, in one type,
// whose weights are nowhere.
func large(t *testing.T, typ gguf.Type, o Options) *Model {
	t.Helper()
	const layers, d, heads, groups, ff, vocab = 32, 4096, 32, 8, 14336, 512
	data := make([]byte, typ.RowBytes(d)*ff) // never touched
	weight := func(in, out int) *gguf.Tensor {
		return &gguf.Tensor{Name: "w", Type: typ, Dims: []int{in, out}, Data: data[:typ.RowBytes(in)*out]}
	}
	linear := func(in, out int) program.Linear { return program.Linear{Weight: weight(in, out)} }
	norm := program.Norm{Weight: &gguf.Tensor{Name: "n", Type: gguf.F32, Dims: []int{d}, Data: data[:4*d]}, Eps: 1e-5}
	b := program.NewBuilder()
	rope := &program.Rope{Dims: d / heads, Base: 500000, FreqScale: 1}
	x := b.Embed(weight(d, vocab))
	for i := range layers {
		h := b.RMSNorm(x, norm)
		q, k, v := b.Project(h, linear(d, d)), b.Project(h, linear(d, d/heads*groups)), b.Project(h, linear(d, d/heads*groups))
		b.StoreKV(i, b.RoPE(k, d/heads, rope), v)
		a := b.Attention(i, b.RoPE(q, d/heads, rope), program.Attend{Heads: heads, KVHeads: groups, Scale: 0.1})
		x = b.Add(x, b.Project(a, linear(d, d)))
		h = b.RMSNorm(x, norm)
		x = b.Add(x, b.Project(b.GLU(b.Project(h, linear(d, ff)), b.Project(h, linear(d, ff)), program.SiLU), linear(ff, d)))
	}
	p, err := b.Build(b.Project(b.RMSNorm(b.SelectOutputs(x), norm), linear(d, vocab)))
	if err != nil {
		t.Fatal(err)
	}
	o.Batch = 512
	return &Model{logits: p, options: o, kvType: gguf.F16}
}

// TestTooLarge places models on a Mac of 8 GB that has no room for all of them: what
// the error says would fit must, and nothing more may.
func TestTooLarge(t *testing.T) {
	const layer = 4096*4096*2 + 4096*1024*2 + 3*4096*14336 // weights
	chip, err := emu.ChipNamed("M1", 8<<30)
	if err != nil {
		t.Fatal(err)
	}
	e := gpu.New(emu.Test(t, emu.Options{Chip: chip, PageSize: os.Getpagesize()}).Device(), nil)
	defer e.Close()
	for _, c := range []struct {
		name    string
		typ     gguf.Type
		context int
		fits    bool
		smaller bool // a smaller context would fit
		says    []string
	}{
		{"q4_0", gguf.Q4_0, 8192, true, false, nil},
		{"q8_0", gguf.Q8_0, 8192, false, false, []string{"all 32 layers on the GPU", "context of 8192", "KV cache 1.00 GiB", "working set of 5.33 GiB 5.33 GiB are free", "no smaller context does"}},
		{"q4_0_long", gguf.Q4_0, 32768, false, true, []string{"context of 32768", "KV cache 4.00 GiB"}},
		{"q4_0_million", gguf.Q4_0, 1 << 20, false, true, []string{"context of 1048576"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			auto := large(t, c.typ, Options{Context: c.context})
			n, why, err := auto.layersOn(e)
			if err != nil {
				t.Fatal(err)
			}
			if c.fits {
				if n != 33 || why != nil {
					t.Errorf("%d layers: %v", n, why)
				}
				return
			}
			fits := func(layers, context int) bool {
				need, err := auto.needs(e, layers, context)
				if err != nil {
					t.Fatal(err)
				}
				return need.Fits()
			}
			if n >= 33 || why == nil || n > 0 && !fits(n, c.context) || fits(n+1, c.context) {
				t.Errorf("%d layers: %v", n, why)
			}
			asked := large(t, c.typ, Options{Context: c.context, GPULayers: AllLayers})
			_, _, err = asked.layersOn(e)
			if err == nil || err.Error() != why.Error() {
				t.Fatalf("error %v, want %v", err, why)
			}
			t.Log(err)
			number := func(after string) int {
				m := regexp.MustCompile(after + `(\d+)`).FindStringSubmatch(err.Error())
				if m == nil {
					t.Fatalf("the error does not say %q", after)
				}
				n, _ := strconv.Atoi(m[1])
				return n
			}
			if got := number("-ngl "); got != n {
				t.Errorf("-ngl %d is said to fit, it is %d", got, n)
			}
			if c.smaller {
				if got := number("or -c "); !fits(33, got) || fits(33, got+32) {
					t.Errorf("-c %d is said to be the largest that fits", got)
				}
			}
			// With the limit raised as the error says, it fits.
			raised := chip
			raised.WorkingSet = int64(number("wired_limit_mb=")) << 20
			raised.MaxBuffer = raised.WorkingSet
			r := gpu.New(emu.Test(t, emu.Options{Chip: raised, PageSize: os.Getpagesize()}).Device(), nil)
			defer r.Close()
			if n, _, err := asked.layersOn(r); err != nil || n != 33 {
				t.Errorf("with a limit of %d bytes: %v", raised.WorkingSet, err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q", want)
				}
			}
		})
	}
	// What is counted is what is there.
	need, err := large(t, gguf.Q4_0, Options{Context: 8192}).needs(e, 8, 8192)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(8*layer+512*4096) / 32 * 18; need.Weights != want {
		t.Errorf("8 layers and the output are %d bytes, want %d", need.Weights, want)
	}
	if want := int64(8 * 8192 * 2 * 1024 * 2); need.KV != want {
		t.Errorf("their cache is %d bytes, want %d", need.KV, want)
	}
}

// TestSessionsThatFit makes sessions until the GPU is full. The error comes before
// anything is taken, and says what there is.
func TestSessionsThatFit(t *testing.T) {
	chip, err := emu.ChipNamed("M1", 0)
	if err != nil {
		t.Fatal(err)
	}
	needsEmulator(t)
	chip.WorkingSet = 6 << 20
	m, err := onGPU(t, Options{Context: 512, Batch: 64, GPULayers: AllLayers}, chip, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		before := m.gpu.AllocatedSize()
		s, err := m.NewSession()
		if err == nil && n < 10 {
			defer s.Close()
			continue
		}
		if n == 0 || n == 10 || err == nil || !strings.Contains(err.Error(), "iogpu.wired_limit_mb=") {
			t.Errorf("session %d: %v", n, err)
		}
		if after := m.gpu.AllocatedSize(); after != before {
			t.Errorf("the refused session took %d bytes", after-before)
		}
		break
	}
	// No session would fit at all: loading fails.
	chip.WorkingSet = 1 << 20
	if _, err := onGPU(t, Options{Context: 512, GPULayers: AllLayers}, chip, nil); err == nil || !strings.Contains(err.Error(), "iogpu.wired_limit_mb=") {
		t.Errorf("1 MiB: %v", err)
	}
	var unsupported *gpu.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Errorf("%v is no lack of kernels", err)
	}
}
