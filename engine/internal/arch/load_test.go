package arch_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch"
	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/engine/internal/testmodel"
	"github.com/gollm/gollm/gguf"
)

// writeZeros writes a described model with zeros for weights: quicker, for tests
// that look at names and shapes only.
func writeZeros(t *testing.T, d *testmodel.Description) *gguf.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	w, err := gguf.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, p := range d.Metadata {
		if err := w.Set(p.Key, p.Value); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range d.Tensors {
		if err := w.Declare(x.Name, x.Type, x.Dims...); err != nil {
			t.Fatal(err)
		}
	}
	zeros := make([]byte, 1<<16)
	for _, x := range d.Tensors {
		for left := (&gguf.Tensor{Type: x.Type, Dims: x.Dims}).RowBytes() * (&gguf.Tensor{Dims: x.Dims}).Rows(); left > 0; {
			n, err := w.Write(zeros[:min(left, len(zeros))])
			if err != nil {
				t.Fatal(err)
			}
			left -= n
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// optional are tensors that a model may come without, all but those that a
// family cannot do without.
func optional(architecture, name string) bool {
	switch architecture + " " + strings.TrimPrefix(name, "blk.0.") {
	case "gpt-oss attn_output.bias", "gpt-oss ffn_gate_inp.bias", "gpt-oss ffn_down_exps.bias", "gpt-oss ffn_gate_exps.bias", "gpt-oss ffn_up_exps.bias":
		return false
	case "falcon attn_norm_2.weight", "stablelm attn_q_norm.weight", "stablelm attn_k_norm.weight", "stablelm ffn_norm.weight":
		return true
	}
	return strings.HasSuffix(name, "scale") || strings.HasPrefix(name, "rope_") ||
		name == "output.weight" || name == "cls.output.weight" || strings.HasSuffix(name, ".bias")
}

func TestMissingTensor(t *testing.T) {
	for _, name := range arch.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := smallest(t, name)
			if _, err := arch.Load(writeZeros(t, d)); err != nil {
				t.Fatalf("the whole model: %v", err)
			}
			for i, x := range d.Tensors {
				if optional(name, x.Name) || strings.HasPrefix(x.Name, "blk.1.") {
					continue
				}
				without := *d
				without.Tensors = slices.Delete(slices.Clone(d.Tensors), i, i+1)
				_, err := arch.Load(writeZeros(t, &without))
				// What is missing without q, k and v in one is q.
				missing := strings.Replace(x.Name, "attn_qkv", "attn_q", 1)
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("tensor %q is missing", missing)) {
					t.Errorf("without %s: %v", x.Name, err)
				}
			}
		})
	}
}

// smallest returns the description of llama.cpp's tiny model of an architecture.
func smallest(t *testing.T, architecture string) *testmodel.Description {
	t.Helper()
	for _, c := range archtest.Cases() {
		d, err := c.Describe()
		if err != nil {
			t.Fatal(err)
		}
		if d.Metadata[0].Value == architecture {
			return d
		}
	}
	t.Fatalf("no case of architecture %q", architecture)
	return nil
}

func TestWrongTensor(t *testing.T) {
	for _, name := range arch.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := writeZeros(t, smallest(t, name))
			for _, x := range f.Tensors {
				if strings.HasSuffix(x.Name, ".input_scale") || x.Name == "cls.output.weight" {
					continue // passed over
				}
				refused := func(what string) {
					t.Helper()
					_, err := arch.Load(f)
					if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("tensor %q", x.Name)) {
						t.Errorf("%s with %s: %v", x.Name, what, err)
					}
				}
				old := *x
				for i := range x.Dims {
					x.Dims = slices.Clone(old.Dims)
					x.Dims[i]++
					refused(fmt.Sprintf("dims %v for %v", x.Dims, old.Dims))
				}
				x.Dims = append(slices.Clone(old.Dims), 2)
				refused("a dimension more")
				*x = old
				x.Type = gguf.I32
				refused("integers")
				*x = old
			}
		})
	}
}

func TestStrangeTensor(t *testing.T) {
	d := smallest(t, "llama")
	d.Tensors = append(d.Tensors, testmodel.Tensor{Name: "blk.0.attn_gate.weight", Type: gguf.F32, Dims: []int{4}})
	_, err := arch.Load(writeZeros(t, d))
	if err == nil || !strings.Contains(err.Error(), `tensor "blk.0.attn_gate.weight" is not part of the architecture`) {
		t.Error(err)
	}
}

func TestUnknownArchitecture(t *testing.T) {
	d := smallest(t, "llama")
	d.Set("general.architecture", "mamba3")
	_, err := arch.Load(writeZeros(t, d))
	if err == nil || !strings.Contains(err.Error(), `unknown architecture "mamba3"`) || !strings.Contains(err.Error(), "qwen2moe") {
		t.Error(err)
	}
	d.Delete(func(key string) bool { return key == "general.architecture" })
	_, err = arch.Load(writeZeros(t, d))
	if err == nil || !strings.Contains(err.Error(), "general.architecture") {
		t.Error(err)
	}
}

// Metadata that asks for what no family does is refused by its key.
func TestUnsupported(t *testing.T) {
	for _, c := range []struct {
		architecture, key string
		value             any
	}{
		{"llama", "attention.causal", false},
		{"qwen3moe", "expert_group_count", uint32(2)},
		{"llama", "rope.scaling.type", "su"},
		{"llama", "block_count", uint32(0)},
		{"llama", "rope.dimension_count", int32(-2)},
		{"llama", "attention.head_count_kv", uint32(0)},
		{"qwen2moe", "expert_used_count", uint32(3)},
		{"granite", "logit_scale", float32(0)},
		{"glm4", "nextn_predict_layers", uint32(2)},
		{"glm4", "rope.dimension_sections", []int32{8, 8, 8, 40}},
	} {
		d := smallest(t, c.architecture)
		d.Set(c.architecture+"."+c.key, c.value)
		_, err := arch.Load(writeZeros(t, d))
		if err == nil || !strings.Contains(err.Error(), c.key) && c.key != "attention.head_count_kv" {
			t.Errorf("%s.%s = %v: %v", c.architecture, c.key, c.value, err)
		}
	}
}

// A model is refused before memory is taken for it.
func TestLoadTakesLittleMemory(t *testing.T) {
	for _, name := range []string{"llama", "gpt-oss"} {
		f := writeZeros(t, smallest(t, name))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := arch.Load(f); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 256<<10 {
			t.Errorf("%s: loading %d bytes of model took %d bytes", name, f.Size(), n)
		}
	}
}

// Whatever stands in the metadata, a model loads or is refused, and one that
// loads runs: nothing panics. Each run of the test tries a third of the changes.
func TestOddMetadata(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	odd := []any{
		uint32(0), uint32(1), uint32(3), uint32(255), uint32(math.MaxUint32), int32(-1), int64(math.MinInt64), uint64(math.MaxUint64),
		float32(0), float32(-1), float32(1e30), float32(math.NaN()), "odd", true, []int32{}, []int32{1}, []int32{0, -1}, []float32{1, 2}, []string{"odd"},
	}
	e := ref.New(1)
	t.Cleanup(func() { e.Close() })
	for i, name := range arch.Names() {
		if race && i%8 != int(seed%8) { // nothing here runs at the same time
			continue
		}
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			f := writeZeros(t, smallest(t, name))
			loaded := 0
			for i, p := range f.Pairs {
				if !strings.HasPrefix(p.Key, name+".") {
					continue
				}
				for _, v := range odd {
					if random.IntN(3) > 0 {
						continue
					}
					f.Pairs[i].Value = v
					run := random.IntN(20) == 0
					func() {
						defer func() {
							if r := recover(); r != nil {
								t.Errorf("%s = %v (%T): panic: %v", p.Key, v, v, r)
							}
						}()
						m, err := arch.Load(f)
						if err != nil {
							return
						}
						if _, err := arch.Program(m, arch.Options{Context: 4096}, false); err != nil {
							return
						}
						loaded++
						if run {
							s, err := archtest.NewSession(e, f, gguf.F32, 4)
							if err != nil {
								return
							}
							s.Prompt([]int32{1, 2, 3})
						}
					}()
				}
				f.Pairs[i].Value = p.Value
			}
			if loaded == 0 {
				t.Error("nothing loaded: the test tests nothing")
			}
		})
	}
}

// Experts' gate and up in one matrix are what they are apart.
func TestMergedExperts(t *testing.T) {
	e := ref.New(0)
	t.Cleanup(func() { e.Close() })
	for _, name := range []string{"llama-moe", "qwen3moe-moe-real", "gpt-oss-moe"} {
		apart := archtest.Named(t, name).Open(t, 1)
		merged := mergeExperts(t, apart)
		var logits [2][][]float32
		for i, f := range []*gguf.File{apart, merged} {
			s, err := archtest.NewSession(e, f, gguf.F32, archtest.Length)
			if err != nil {
				t.Fatal(err)
			}
			if logits[i], err = s.Prompt(archtest.Tokens(1, s.Vocab)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := archtest.Difference(logits[1], logits[0], 1e-6); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// mergeExperts writes f again with ffn_gate_up_exps in place of ffn_gate_exps and
// ffn_up_exps.
func mergeExperts(t *testing.T, f *gguf.File) *gguf.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "merged.gguf")
	w, err := gguf.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.CopyMetadata(f); err != nil {
		t.Fatal(err)
	}
	type tensor struct {
		name string
		dims []int
		data []byte
	}
	var out []tensor
	for _, x := range f.Tensors {
		switch {
		case strings.Contains(x.Name, "ffn_up_exps"):
		case strings.Contains(x.Name, "ffn_gate_exps.scale"):
			// A merged matrix has one scale for both: f gets the same for up.
			f.Tensor(strings.Replace(x.Name, "gate", "up", 1)).Data = x.Data
			out = append(out, tensor{strings.Replace(x.Name, "gate", "gate_up", 1), x.Dims, x.Data})
		case strings.Contains(x.Name, "ffn_gate_exps.input_scale"):
		case strings.Contains(x.Name, "ffn_gate_exps"):
			up := f.Tensor(strings.Replace(x.Name, "gate", "up", 1))
			experts := x.Dims[len(x.Dims)-1]
			n := len(x.Data) / experts
			var b []byte
			for e := range experts {
				b = append(b, x.Data[e*n:(e+1)*n]...)
				b = append(b, up.Data[e*n:(e+1)*n]...)
			}
			dims := slices.Clone(x.Dims)
			dims[len(dims)-2] *= 2
			out = append(out, tensor{strings.Replace(x.Name, "gate", "gate_up", 1), dims, b})
		default:
			out = append(out, tensor{x.Name, x.Dims, x.Data})
		}
	}
	for _, x := range out {
		if err := w.Declare(x.name, gguf.F32, x.dims...); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range out {
		if err := w.WriteTensor(x.name, x.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	merged, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { merged.Close() })
	return merged
}
