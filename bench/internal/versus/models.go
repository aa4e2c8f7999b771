package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// model is a file that is measured.
type model struct {
	name, title string
	file        string
	from, typ   string // made by gollm quantize of this file to this type
}

// The two that testdata/fetch-models.sh fetches, and the random one.
const (
	smolLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
	gemma   = "gemma-3-270m-q4_k_m.gguf"
	random  = "random-1.1b.F16.gguf"
)

var models = list()

func list() (all []model) {
	for _, typ := range []string{"Q4_1", "Q4_0", "Q8_0", "Q4_K_M", "F16"} {
		m := model{name: "smollm2-135m-" + strings.ToLower(typ), title: "SmolLM2-135M " + typ,
			file: "SmolLM2-135M-Instruct." + typ + ".gguf", from: smolLM2, typ: typ}
		if m.file == m.from {
			m.from = ""
		}
		all = append(all, m)
	}
	all = append(all, model{name: "gemma-3-270m-q4_k_m", title: "gemma-3-270m Q4_K_M", file: gemma})
	for _, typ := range []string{"Q4_0", "Q8_0", "Q4_K_M"} {
		all = append(all, model{name: "random-1.1b-" + strings.ToLower(typ), title: "random llama 1.1B " + typ,
			file: "random-1.1b." + typ + ".gguf", from: random, typ: typ})
	}
	return all
}

// makeModels makes the files that are not in dir yet.
func makeModels(ctx context.Context, dir, gollm string) error {
	source := filepath.Join(dir, random)
	defer os.Remove(source) // 2 GB that nobody measures
	for _, m := range models {
		path := filepath.Join(dir, m.file)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if m.from == "" {
			return fmt.Errorf("%s is not in %s: make model fetches it", m.file, dir)
		}
		if _, err := os.Stat(source); err != nil && m.from == random {
			if err := writeRandom(source, tinyLlama); err != nil {
				return err
			}
		}
		if _, err := output(ctx, gollm, "quantize", "--allow-requantize", filepath.Join(dir, m.from), path, m.typ); err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}

// shape is the size of a llama. Heads are 64 wide.
type shape struct{ layers, width, heads, groups, ff, vocab int }

// tinyLlama is TinyLlama-1.1B's.
var tinyLlama = shape{22, 2048, 32, 4, 5632, 32000}

// writeRandom writes a model of random weights in float16, with a vocabulary that
// says nothing.
func writeRandom(path string, s shape) error {
	w, err := gguf.Create(path)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := setMetadata(w, s); err != nil {
		return err
	}
	type tensor struct {
		name string
		typ  gguf.Type
		dims []int
	}
	tensors := []tensor{
		{"token_embd.weight", gguf.F16, []int{s.width, s.vocab}},
		{"output_norm.weight", gguf.F32, []int{s.width}},
		{"output.weight", gguf.F16, []int{s.width, s.vocab}},
	}
	for i := range s.layers {
		for _, t := range []tensor{
			{"attn_norm", gguf.F32, []int{s.width}},
			{"attn_q", gguf.F16, []int{s.width, s.heads * 64}},
			{"attn_k", gguf.F16, []int{s.width, s.groups * 64}},
			{"attn_v", gguf.F16, []int{s.width, s.groups * 64}},
			{"attn_output", gguf.F16, []int{s.heads * 64, s.width}},
			{"ffn_norm", gguf.F32, []int{s.width}},
			{"ffn_gate", gguf.F16, []int{s.width, s.ff}},
			{"ffn_up", gguf.F16, []int{s.width, s.ff}},
			{"ffn_down", gguf.F16, []int{s.ff, s.width}},
		} {
			t.name = fmt.Sprintf("blk.%d.%s.weight", i, t.name)
			tensors = append(tensors, t)
		}
	}
	for _, t := range tensors {
		if err := w.Declare(t.name, t.typ, t.dims...); err != nil {
			return err
		}
	}
	// Rows are pieces of one long list of numbers: making 10⁹ of them takes longer
	// than writing them.
	r := rand.New(rand.NewPCG(1, 2))
	numbers := make([]float32, 1<<20)
	for i := range numbers {
		numbers[i] = float32(r.NormFloat64())
	}
	for _, t := range tensors {
		row := make([]float32, t.dims[0])
		b := make([]byte, t.typ.RowBytes(len(row)))
		rows := 1
		if len(t.dims) > 1 {
			rows = t.dims[1]
		}
		for range rows {
			from := numbers[r.IntN(len(numbers)-len(row)):]
			for i := range row {
				if row[i] = 1; t.typ == gguf.F16 {
					row[i] = from[i] / float32(math.Sqrt(float64(len(row))))
				}
			}
			if err := quant.Encode(t.typ, b, row); err != nil {
				return err
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	return w.Commit()
}

func setMetadata(w *gguf.Writer, s shape) error {
	tokens := []string{"<unk>", "<s>", "</s>"}
	types := []int32{2, 3, 3} // unknown, control
	for i := range 256 {
		tokens, types = append(tokens, fmt.Sprintf("<0x%02X>", i)), append(types, 6)
	}
	for i := len(tokens); i < s.vocab; i++ {
		tokens, types = append(tokens, fmt.Sprintf("t%d", i)), append(types, 1)
	}
	for _, p := range []gguf.Pair{
		{Key: "general.architecture", Value: "llama"},
		{Key: "general.name", Value: "random"},
		{Key: "general.file_type", Value: uint32(1)},
		{Key: "llama.block_count", Value: uint32(s.layers)},
		{Key: "llama.context_length", Value: uint32(2048)},
		{Key: "llama.embedding_length", Value: uint32(s.width)},
		{Key: "llama.feed_forward_length", Value: uint32(s.ff)},
		{Key: "llama.attention.head_count", Value: uint32(s.heads)},
		{Key: "llama.attention.head_count_kv", Value: uint32(s.groups)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
		{Key: "llama.rope.dimension_count", Value: uint32(64)},
		{Key: "llama.vocab_size", Value: uint32(s.vocab)},
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: tokens[:s.vocab]},
		{Key: "tokenizer.ggml.scores", Value: make([]float32, s.vocab)},
		{Key: "tokenizer.ggml.token_type", Value: types[:s.vocab]},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(1)},
		{Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)},
		{Key: "tokenizer.ggml.unknown_token_id", Value: uint32(0)},
	} {
		if err := w.Set(p.Key, p.Value); err != nil {
			return err
		}
	}
	return nil
}
