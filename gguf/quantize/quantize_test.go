package quantize_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
	"github.com/gollm/gollm/gguf/quantize"
)

const stories = "../../testdata/stories260K.gguf"

func mixture(t *testing.T, name string) quantize.Mixture {
	t.Helper()
	m, err := quantize.ParseMixture(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// quantised writes model as name and opens the result.
func quantised(t *testing.T, model, name string) *gguf.File {
	t.Helper()
	plan, err := quantize.NewPlan(open(t, model), mixture(t, name), false)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "out.gguf")
	if err := plan.Write(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

// storiesCopy is a copy of the small model that a test may spoil.
func storiesCopy(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(stories)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestModelCutOff: a model that ends while it is read is an error, whoever reads, and what was at
// the path stays.
func TestModelCutOff(t *testing.T) {
	for _, name := range []string{"F32", "Q8_0"} { // copied by the caller, encoded by workers
		model := storiesCopy(t)
		plan, err := quantize.NewPlan(open(t, model), mixture(t, name), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(model, 1<<16); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "out.gguf")
		if err := os.WriteFile(path, []byte("as it was"), 0o644); err != nil {
			t.Fatal(err)
		}
		stays(t, plan, t.Context(), path, "can no longer be read")
	}
}

func decoded(t *testing.T, x *gguf.Tensor) []float32 {
	t.Helper()
	v := make([]float32, x.Elements())
	if err := quant.Decode(x.Type, v, x.Data); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestWriteKeepsValues: each tensor of the new file is the old one's values in the new type,
// row for row, and all metadata but the file type is the old.
func TestWriteKeepsValues(t *testing.T) {
	in := open(t, stories)
	// The largest error of a value, relative to the largest of its tensor.
	for name, bound := range map[string]float64{"F32": 0, "F16": 0x1p-11, "BF16": 0x1p-8, "Q8_0": 1. / 127, "Q5_0": 1. / 16, "Q4_0": 1. / 8,
		"Q4_1": 1. / 7, "Q6_K": 1. / 31, "Q4_K_M": 1. / 15, "IQ4_NL": 1. / 8, "Q2_K": 1. / 4} {
		out := quantised(t, stories, name)
		if len(out.Tensors) != len(in.Tensors) {
			t.Fatalf("%s: %d tensors, want %d", name, len(out.Tensors), len(in.Tensors))
		}
		for _, x := range in.Tensors {
			y := out.Tensor(x.Name)
			a, b := decoded(t, x), decoded(t, y)
			var top, worst float64
			for i := range a {
				top = max(top, math.Abs(float64(a[i])))
				worst = max(worst, math.Abs(float64(a[i]-b[i])))
			}
			if y.Type == gguf.F32 && worst != 0 || !(worst <= bound*top) {
				t.Errorf("%s: %s, %v: a value is off by %g of %g", name, x.Name, y.Type, worst, top)
			}
		}
		for _, p := range in.Pairs {
			if _, ok := out.Lookup(p.Key); !ok {
				t.Errorf("%s: metadata %s is gone", name, p.Key)
			}
		}
		if got, err := gguf.Get[uint32](out, "general.file_type"); err != nil || got != mixture(t, name).FileType {
			t.Errorf("%s: file type %d, %v", name, got, err)
		}
		if got, err := gguf.Get[uint32](out, "general.quantization_version"); err != nil || got != 2 {
			t.Errorf("%s: quantization version %d, %v", name, got, err)
		}
	}
}

// TestPlanTypes holds a few choices, as llama-quantize makes them (TestRulesOracle
// compares all).
func TestPlanTypes(t *testing.T) {
	llama := shape{arch: "llama", layers: 32, heads: 32, keyHeads: 8, cols: 256}
	moe := shape{arch: "llama", layers: 32, heads: 32, keyHeads: 8, experts: 8, cols: 256}
	odd := shape{arch: "qwen2", layers: 24, heads: 14, keyHeads: 2, tied: true, cols: 896}
	narrow := shape{arch: "llama", layers: 3, heads: 4, keyHeads: 4, cols: 40}
	for _, c := range []struct {
		model        shape
		mix, tensor  string
		want         gguf.Type
		wantFallback bool
	}{
		{llama, "Q4_K_M", "output.weight", gguf.Q6_K, false},
		{llama, "Q4_K_M", "token_embd.weight", gguf.Q4_K, false},
		{llama, "Q4_K_M", "output_norm.weight", gguf.F32, false},
		{llama, "Q4_K_M", "blk.0.attn_v.weight", gguf.Q6_K, false},
		{llama, "Q4_K_M", "blk.4.attn_v.weight", gguf.Q4_K, false},
		{llama, "Q4_K_M", "blk.6.ffn_down.weight", gguf.Q6_K, false},
		{llama, "Q4_K_M", "blk.4.ffn_down.weight", gguf.Q4_K, false},
		{llama, "Q4_K_M", "blk.4.ffn_down.bias", gguf.F32, false},
		{llama, "Q3_K_M", "blk.2.attn_v.weight", gguf.Q4_K, false},
		{llama, "Q8_0", "output.weight", gguf.Q8_0, false},
		{llama, "BF16", "output.weight", gguf.BF16, false},
		{moe, "Q4_K_M", "blk.9.attn_k.weight", gguf.Q8_0, false},
		{moe, "Q4_K_M", "blk.9.attn_output.weight", gguf.Q5_K, false},
		{moe, "Q4_K_M", "blk.9.ffn_gate_inp.weight", gguf.F32, false},
		{moe, "MXFP4_MOE", "blk.9.ffn_up_exps.weight", gguf.MXFP4, false},
		{moe, "MXFP4_MOE", "blk.9.attn_q.weight", gguf.Q8_0, false},
		{odd, "Q4_K_M", "token_embd.weight", gguf.Q8_0, false},
		{odd, "Q4_K_M", "blk.9.attn_q.weight", gguf.Q5_0, true},
		{odd, "Q5_K_S", "blk.9.attn_q.weight", gguf.Q5_1, true},
		{odd, "Q2_K", "blk.9.attn_q.weight", gguf.Q4_0, true},
		{odd, "IQ4_XS", "blk.9.attn_q.weight", gguf.IQ4_NL, true},
		{narrow, "Q4_0", "blk.0.attn_q.weight", gguf.F16, true},
	} {
		plan, err := quantize.NewPlan(open(t, c.model.write(t)), mixture(t, c.mix), false)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, a := range plan.Tensors {
			if a.Name == c.tensor {
				found = true
				if a.Target != c.want || (a.Target != a.Wanted) != c.wantFallback {
					t.Errorf("%s %d×%d %s: %s is %v (%v wanted), want %v", c.model.arch, c.model.layers, c.model.cols, c.mix, c.tensor, a.Target, a.Wanted, c.want)
				}
			}
		}
		if !found {
			t.Errorf("no tensor %s", c.tensor)
		}
	}
}

func TestParseMixture(t *testing.T) {
	for name, want := range map[string]string{
		"q4_k_m": "", "Q4_K": "", "Mxfp4_moe": "",
		"IQ2_XS": "quantize: type IQ2_XS needs an importance matrix, which is not supported",
		"IQ3_S":  "quantize: type IQ3_S can be read, but not written",
		"Q4_2":   `quantize: unknown type "Q4_2"; there are F32 F16 BF16 Q8_0`,
	} {
		_, err := quantize.ParseMixture(name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
}

func TestQ2_K_SNeedsMatrix(t *testing.T) {
	model := shape{arch: "llama", layers: 4, heads: 8, keyHeads: 8, cols: 256}.write(t)
	_, err := quantize.NewPlan(open(t, model), mixture(t, "Q2_K_S"), false)
	if err == nil || !strings.Contains(err.Error(), `tensor "blk.0.attn_k.weight" as Q2_K needs an importance matrix`) {
		t.Errorf("error %v", err)
	}
}

func TestRequantize(t *testing.T) {
	q8 := quantised(t, stories, "Q8_0")
	_, err := quantize.NewPlan(q8, mixture(t, "Q4_0"), false)
	if !errors.Is(err, quantize.ErrRequantize) {
		t.Errorf("error %v", err)
	}
	if _, err := quantize.NewPlan(q8, mixture(t, "Q8_0"), false); err != nil {
		t.Errorf("to the type it has: %v", err)
	}
	if _, err := quantize.NewPlan(q8, mixture(t, "Q4_0"), true); err != nil {
		t.Errorf("allowed: %v", err)
	}
	if _, err := quantize.NewPlan(quantised(t, stories, "F16"), mixture(t, "Q4_0"), false); err != nil {
		t.Errorf("from F16: %v", err)
	}
}

// stays checks that a Write that fails with want leaves the folder as it is.
func stays(t *testing.T, plan *quantize.Plan, ctx context.Context, path, want string) {
	t.Helper()
	dir := filepath.Dir(path)
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := os.ReadFile(path)
	err = plan.Write(ctx, path, nil)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	after, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("the folder holds %v, was %v", after, before)
	}
	if now, _ := os.ReadFile(path); string(now) != string(old) {
		t.Error("the file has changed")
	}
}

func TestWriteRefusesItself(t *testing.T) {
	path := storiesCopy(t)
	if err := os.Symlink(path, path+".link"); err != nil {
		t.Fatal(err)
	}
	plan, err := quantize.NewPlan(open(t, path), mixture(t, "Q8_0"), false)
	if err != nil {
		t.Fatal(err)
	}
	stays(t, plan, t.Context(), path, "is the model itself")
	stays(t, plan, t.Context(), path+".link", "is the model itself")
}

func TestWriteCancelled(t *testing.T) {
	plan, err := quantize.NewPlan(open(t, stories), mixture(t, "Q8_0"), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	path := filepath.Join(t.TempDir(), "out.gguf")
	if err := os.WriteFile(path, []byte("what was there"), 0o644); err != nil {
		t.Fatal(err)
	}
	calls := 0
	err = plan.Write(ctx, path, func(done, total int64) {
		if calls++; calls == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || calls != 3 {
		t.Errorf("error %v after %d calls", err, calls)
	}
	stays(t, plan, ctx, path, "context canceled")
}

// TestWriteRefusesNaN: a model with a broken weight is named, not written.
func TestWriteRefusesNaN(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nan.gguf")
	w, err := gguf.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	data := make([]byte, 4*64*4)
	binary.LittleEndian.PutUint32(data[4*(64*2+5):], 0x7fc00000)
	err = errors.Join(w.Set("general.architecture", "llama"), w.Declare("blk.0.ffn_up.weight", gguf.F32, 64, 4),
		w.WriteTensor("blk.0.ffn_up.weight", data), w.Commit())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := quantize.NewPlan(open(t, path), mixture(t, "Q4_0"), false)
	if err != nil {
		t.Fatal(err)
	}
	stays(t, plan, t.Context(), filepath.Join(t.TempDir(), "out.gguf"), `tensor "blk.0.ffn_up.weight", row 2: quant: Q4_0: value 5 is NaN`)
}

func TestProgressEndsAtTotal(t *testing.T) {
	plan, err := quantize.NewPlan(open(t, stories), mixture(t, "Q4_0"), false)
	if err != nil {
		t.Fatal(err)
	}
	var last, total int64
	err = plan.Write(t.Context(), filepath.Join(t.TempDir(), "out.gguf"), func(d, n int64) {
		if d <= last {
			t.Errorf("progress from %d to %d", last, d)
		}
		last, total = d, n
	})
	if before, _ := plan.Size(); err != nil || last != total || total != before {
		t.Errorf("progress ended at %d of %d, the model has %d: %v", last, total, before, err)
	}
}
