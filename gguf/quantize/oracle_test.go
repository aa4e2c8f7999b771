package quantize_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quantize"
)

// tool runs one of llama.cpp's own tools, or skips the test.
func tool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	dir := os.Getenv("GOLLM_ORACLE")
	if dir == "" {
		t.Skip("needs llama.cpp in the folder GOLLM_ORACLE (make test-oracle)")
	}
	out, err := exec.Command(filepath.Join(dir, "tool"), args...).CombinedOutput()
	return string(out), err
}

// sameAsLlamaQuantize quantises model both ways to every mixture, and compares what
// the directories of the two files say.
func sameAsLlamaQuantize(t *testing.T, model string) {
	f := open(t, model)
	for _, mix := range quantize.Mixtures() {
		theirs := filepath.Join(t.TempDir(), "theirs.gguf")
		out, terr := tool(t, "llama-quantize", "--allow-requantize", model, theirs, mix.Name)
		plan, err := quantize.NewPlan(f, mix, true)
		if terr != nil || err != nil {
			if terr == nil || err == nil || mix.Name != "Q2_K_S" {
				t.Errorf("%s %s: our error %v, llama-quantize's %v\n%s", filepath.Base(model), mix.Name, err, terr, out[max(0, len(out)-300):])
			}
			continue
		}
		ours := filepath.Join(t.TempDir(), "ours.gguf")
		if err := plan.Write(t.Context(), ours, nil); err != nil {
			t.Error(err)
			continue
		}
		a, b := open(t, ours), open(t, theirs)
		if got, want := directory(a), directory(b); !slices.Equal(got, want) {
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("%s %s: ours %s, llama-quantize's %s", filepath.Base(model), mix.Name, got[i], want[i])
				}
			}
		}
		for _, p := range b.Pairs {
			if v, ok := a.Lookup(p.Key); !ok || fmt.Sprint(v) != fmt.Sprint(p.Value) {
				t.Errorf("%s %s: %s is %v, llama-quantize's %v", filepath.Base(model), mix.Name, p.Key, v, p.Value)
			}
		}
		if len(a.Pairs) != len(b.Pairs) {
			t.Errorf("%s %s: %d metadata pairs, llama-quantize's file has %d", filepath.Base(model), mix.Name, len(a.Pairs), len(b.Pairs))
		}
		// Types whose encoding leaves nothing to choose hold the same bytes.
		for _, x := range a.Tensors {
			switch x.Type {
			case gguf.F32, gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q8_0:
				if !bytes.Equal(x.Data, b.Tensor(x.Name).Data) {
					t.Errorf("%s %s: the bytes of %s, %v, differ", filepath.Base(model), mix.Name, x.Name, x.Type)
				}
			}
		}
		a.Close()
		b.Close()
		os.Remove(ours)
		os.Remove(theirs)
	}
}

func directory(f *gguf.File) []string {
	var list []string
	for _, t := range f.Tensors {
		list = append(list, fmt.Sprintf("%s %v %v", t.Name, t.Type, t.Dims))
	}
	return list
}

func open(t *testing.T, path string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestStories260KOracle(t *testing.T) { sameAsLlamaQuantize(t, stories) }

// TestTinyModelsOracle takes some of llama.cpp's tiny random models, or those whose names
// GOLLM_ARCHS (a regular expression) matches.
func TestTinyModelsOracle(t *testing.T) {
	dir := t.TempDir()
	archs := os.Getenv("GOLLM_ARCHS")
	if archs == "" {
		archs = "^(qwen3moe|gemma3|mamba)$"
	}
	if out, err := tool(t, "test-llama-archs", "-o", dir, "-s", strconv.Itoa(rand.IntN(1000)), "-a", archs); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	models, err := filepath.Glob(filepath.Join(dir, "*.gguf"))
	if err != nil || len(models) == 0 {
		t.Fatalf("no models: %v", err)
	}
	t.Logf("%d models", len(models))
	for _, m := range models {
		t.Run(filepath.Base(m), func(t *testing.T) { sameAsLlamaQuantize(t, m) })
	}
}

// shape is a model that is nothing but a directory: enough for the rules.
type shape struct {
	arch                            string
	layers, heads, keyHeads         int
	experts                         int
	cols                            int
	tied, fusedQKV, sharedWithGates bool
}

func (s shape) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), fmt.Sprintf("%s-%d-%d-%d.gguf", s.arch, s.layers, s.experts, s.cols))
	w, err := gguf.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	set := func(key string, v any) {
		if err := w.Set(strings.ReplaceAll(key, "*", s.arch), v); err != nil {
			t.Fatal(err)
		}
	}
	set("general.architecture", s.arch)
	set("*.block_count", uint32(s.layers))
	set("*.context_length", uint32(128))
	set("*.embedding_length", uint32(s.cols))
	set("*.feed_forward_length", uint32(s.cols))
	set("*.attention.head_count", uint32(s.heads))
	set("*.attention.head_count_kv", uint32(s.keyHeads))
	set("*.attention.layer_norm_rms_epsilon", float32(1e-5))
	set("*.attention.layer_norm_epsilon", float32(1e-5))
	set("*.vocab_size", uint32(2))
	if s.experts > 0 {
		set("*.expert_count", uint32(s.experts))
		set("*.expert_used_count", uint32(2))
	}
	type decl struct {
		name string
		dims []int
	}
	var tensors []decl
	add := func(name string, dims ...int) { tensors = append(tensors, decl{name, dims}) }
	add("token_embd.weight", s.cols, 2)
	if !s.tied {
		add("output.weight", s.cols, 2)
	}
	add("output_norm.weight", s.cols)
	for i := range s.layers {
		b := fmt.Sprintf("blk.%d.", i)
		add(b+"attn_norm.weight", s.cols)
		if s.fusedQKV {
			add(b+"attn_qkv.weight", s.cols, 2)
		} else {
			add(b+"attn_q.weight", s.cols, 2)
			add(b+"attn_k.weight", s.cols, 2)
			add(b+"attn_v.weight", s.cols, 2)
		}
		add(b+"attn_output.weight", s.cols, 2)
		if s.experts > 0 {
			add(b+"ffn_gate_inp.weight", s.cols, s.experts)
			for _, n := range []string{"gate", "up", "down"} {
				add(b+"ffn_"+n+"_exps.weight", s.cols, 2, s.experts)
				if s.sharedWithGates {
					add(b+"ffn_"+n+"_shexp.weight", s.cols, 2)
				}
			}
			continue
		}
		add(b+"ffn_gate.weight", s.cols, 2)
		add(b+"ffn_up.weight", s.cols, 2)
		add(b+"ffn_down.weight", s.cols, 2)
		add(b+"ffn_down.bias", s.cols)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, d := range tensors {
		if err := w.Declare(d.name, gguf.F32, d.dims...); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range tensors {
		n := 4
		for _, v := range d.dims {
			n *= v
		}
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(r.IntN(256))
			if i%4 == 3 {
				data[i] = 0x3c | data[i]&0x80 // of magnitude 0.01 or so
			}
		}
		if err := w.WriteTensor(d.name, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return path
}

// shapes reach every rule.
var shapes = []shape{
	{arch: "llama", layers: 32, heads: 32, keyHeads: 8, cols: 256},
	{arch: "llama", layers: 80, heads: 64, keyHeads: 8, cols: 256},
	{arch: "llama", layers: 80, heads: 64, keyHeads: 64, cols: 256},
	{arch: "qwen2", layers: 80, heads: 8, keyHeads: 8, cols: 256},
	{arch: "llama", layers: 32, heads: 32, keyHeads: 8, experts: 8, cols: 256},
	{arch: "qwen2moe", layers: 24, heads: 16, keyHeads: 16, experts: 60, sharedWithGates: true, cols: 256},
	{arch: "falcon", layers: 32, heads: 71, keyHeads: 1, fusedQKV: true, tied: true, cols: 256},
	{arch: "falcon", layers: 60, heads: 128, keyHeads: 8, fusedQKV: true, cols: 512},
	{arch: "llama", layers: 16, heads: 9, keyHeads: 3, tied: true, cols: 576},
	{arch: "qwen2", layers: 24, heads: 14, keyHeads: 2, tied: true, cols: 896},
	{arch: "llama", layers: 3, heads: 4, keyHeads: 4, cols: 40},
}

func TestRulesOracle(t *testing.T) {
	tool(t, "llama-quantize", "--help") // skips, if there is no tool
	for _, s := range shapes {
		model := s.write(t)
		t.Run(filepath.Base(model), func(t *testing.T) {
			t.Parallel()
			sameAsLlamaQuantize(t, model)
		})
	}
}
