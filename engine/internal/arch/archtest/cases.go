package archtest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gollm/gollm/engine/internal/testmodel"
)

// A Case is a tiny model: one of llama.cpp's own for the architecture, or a
// variant of it.
type Case struct {
	Name string
	// What says what the case exercises, where the name does not.
	What string

	base   string // file in testdata/families, without .json
	change func(edit)
}

// Describe returns the model's description.
func (c Case) Describe() (*testmodel.Description, error) {
	root, err := root()
	if err != nil {
		return nil, err
	}
	d, err := testmodel.Load(root + "/testdata/families/" + c.base + ".json")
	if err == nil && c.change != nil {
		c.change(edit{d})
	}
	return d, err
}

// Write writes the model with the seed's weights.
func (c Case) Write(path string, seed uint64) error {
	d, err := c.Describe()
	if err != nil {
		return err
	}
	return testmodel.Write(path, d, seed)
}

// Vocab returns the size of the model's vocabulary.
func (c Case) Vocab() (int, error) {
	d, err := c.Describe()
	if err != nil {
		return 0, err
	}
	return len(edit{d}.value("tokenizer.ggml.tokens").([]string)), nil
}

// Cases returns all cases by name.
func Cases() []Case {
	var out []Case
	for _, base := range bases {
		out = append(out, Case{Name: base, base: base})
	}
	for _, v := range variants {
		out = append(out, Case{v.base + "-" + v.name, v.what, v.base, v.change})
	}
	slices.SortFunc(out, func(a, b Case) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Deep returns a variant of a case of n narrow layers, width 32 and 4 heads of 16,
// for what depends on the number. No logits are recorded of it.
func (c Case) Deep(n int) Case {
	change := c.change
	c.change = func(e edit) {
		if change != nil {
			change(e)
		}
		e.clean().unset("attention.sliding_window_pattern").heads(4, 2, 16).narrow(32, 48).layers(n)
	}
	return c
}

// bases are llama.cpp's own tiny models: testdata/families.
var bases = []string{
	"cohere2-dense", "command-r-dense", "falcon-dense", "gemma-dense", "gemma2-dense", "gemma3-dense",
	"glm4-dense", "gpt-oss-moe", "gpt2-dense", "gptneox-dense", "granite-dense", "granite-moe", "granitemoe-dense",
	"granitemoe-moe", "llama-dense", "llama-moe", "mistral3-dense", "mistral3-moe", "olmo2-dense",
	"olmoe-moe", "phi2-dense", "phi3-dense", "qwen2-dense", "qwen2moe-moe", "qwen3-dense",
	"qwen3moe-moe", "smollm3-dense", "stablelm-dense", "starcoder2-dense",
}

// variants are what real models of a family have and its tiny model has not:
// shared KV heads, tied output, more experts than are used, stretched contexts.
var variants = []struct {
	base, name string
	what       string
	change     func(edit)
}{
	{"cohere2-dense", "layers", "three windows to one layer that sees all, shared KV heads, scaled logits", func(e edit) {
		e.clean().unset("attention.sliding_window_pattern").layers(5).heads(4, 2, 64).set("attention.sliding_window", 8).set("logit_scale", 0.0625)
	}},
	{"command-r-dense", "scale", "scaled logits, shared KV heads", func(e edit) { e.clean().heads(8, 2, 32).set("logit_scale", 0.0625) }},
	{"command-r-dense", "plus", "64 layers, which have norms on queries and keys: R+", func(e edit) {
		e.clean().heads(2, 1, 16).narrow(32, 48).layers(64)
		for i := range 64 {
			e.add(fmt.Sprintf("blk.%d.attn_q_norm.weight", i), 16, 2).add(fmt.Sprintf("blk.%d.attn_k_norm.weight", i), 16, 1)
		}
	}},
	{"falcon-dense", "7b", "one norm a layer, one KV head, tied output", func(e edit) { e.drop("attn_norm_2").heads(8, 1, 32).tie() }},
	{"gemma-dense", "2b", "one KV head, heads wider together than the model", func(e edit) { e.clean().heads(8, 1, 64) }},
	{"gemma2-dense", "layers", "alternating windows, shared KV heads", func(e edit) {
		e.layers(4).heads(4, 2, 64).set("attention.sliding_window", 8)
	}},
	{"gemma3-dense", "layers", "one layer in six sees all, shared KV heads", func(e edit) {
		e.unset("attention.sliding_window_pattern").layers(7).heads(4, 1, 64).set("attention.sliding_window", 8)
	}},
	{"gemma3-dense", "stretched", "a stretched rotary embedding of its own where a layer sees all, tied output", func(e edit) {
		e.tie().set("rope.freq_base", 1e6).set("rope.scaling.factor", 8.0).set("attention.sliding_window", 8)
	}},
	{"gemma3-dense", "plain", "no windows, squashed logits", func(e edit) {
		e.set("attention.sliding_window", 0).set("final_logit_softcapping", 5.0)
	}},
	{"glm4-dense", "text", "adjacent pairs, half of each head turning, shared KV heads", func(e edit) {
		e.heads(8, 2, 32).turning(16).set("rope.dimension_sections", []int32{0, 0, 0, 0})
	}},
	{"glm4-dense", "ahead", "a last layer that guesses ahead and is not used", func(e edit) {
		e.clean().layers(3).set("nextn_predict_layers", 1).
			add("blk.2.nextn.eh_proj.weight", 512, 256).add("blk.2.nextn.enorm.weight", 256).add("blk.2.nextn.hnorm.weight", 256)
	}},
	{"gpt-oss-moe", "real", "three of eight experts, shared KV heads, YaRN, a short window", func(e edit) {
		e.layers(3).experts(8, 3).heads(8, 2, 64).yarn(32, 16).set("attention.sliding_window", 8).
			set("attention.sliding_window_pattern", 2)
	}},
	{"gpt2-dense", "tied", "tied output", func(e edit) { e.tie() }},
	{"gptneox-dense", "pythia", "attention and network side by side, a quarter of each head turning", func(e edit) {
		e.heads(8, 8, 32).turning(8).set("use_parallel_residual", true)
	}},
	{"granite-dense", "scales", "all four constants, shared KV heads, tied output", func(e edit) {
		e.clean().tie().heads(8, 2, 32).set("embedding_scale", 12.0).set("attention.scale", 0.0625).
			set("residual_scale", 0.22).set("logit_scale", 8.0)
	}},
	{"granite-dense", "nope", "no rotary embedding", func(e edit) { e.set("rope.scaling.finetuned", false) }},
	{"granite-dense", "longrope", "divisors for a context beyond the training's", func(e edit) {
		e.drop("rope_freqs").set("rope.scaling.type", "longrope").set("rope.scaling.original_context_length", 16).
			add("rope_factors_long.weight", 64).add("rope_factors_short.weight", 64)
	}},
	{"granitemoe-moe", "real", "three of eight experts, no shared one", func(e edit) {
		e.clean().experts(8, 3).set("expert_shared_feed_forward_length", 0).drop("_shexp").set("residual_scale", 0.22)
	}},
	{"llama-dense", "small", "shared KV heads, tied output, no biases: SmolLM, Llama 3.2", func(e edit) {
		e.clean().tie().heads(8, 2, 32)
	}},
	{"llama-dense", "plain", "no rotary divisors: Llama 2, Mistral 7B", func(e edit) { e.clean().drop("rope_freqs") }},
	{"llama-dense", "linear", "interpolated positions", func(e edit) { e.drop("rope_freqs").set("rope.scaling.factor", 4.0) }},
	{"llama-dense", "longrope", "divisors for a context beyond the training's", func(e edit) {
		e.drop("rope_freqs").set("rope.scaling.type", "longrope").set("rope.scaling.original_context_length", 16).
			add("rope_factors_long.weight", 64).add("rope_factors_short.weight", 64)
	}},
	{"llama-dense", "yarn", "YaRN", func(e edit) { e.drop("rope_freqs").yarn(4, 16) }},
	{"llama-dense", "fused", "queries, keys and values in one matrix", func(e edit) { e.heads(4, 2, 64).fuseQKV() }},
	{"llama-moe", "mixtral", "two of eight experts, shared KV heads", func(e edit) { e.clean().experts(8, 2).heads(8, 2, 32) }},
	{"mistral3-dense", "real", "YaRN with a log multiplier, queries that grow with the position", func(e edit) {
		e.drop("rope_freqs").heads(8, 2, 32).yarn(16, 8).set("attention.temperature_scale", 0.1).
			set("rope.scaling.yarn_log_multiplier", 0.5).set("rope.scaling.yarn_beta_fast", 4.0).set("rope.scaling.yarn_beta_slow", 0.25)
	}},
	{"mistral3-moe", "experts", "two of eight experts", func(e edit) { e.experts(8, 2) }},
	{"olmo2-dense", "olmo3", "three windows to one layer that sees all, YaRN there, shared KV heads", func(e edit) {
		e.unset("attention.sliding_window_pattern").layers(5).heads(4, 2, 64).yarn(8, 16).set("attention.sliding_window", 8)
	}},
	{"olmo2-dense", "plain", "no windows", func(e edit) { e.set("attention.sliding_window", 0) }},
	{"olmoe-moe", "real", "three of eight experts", func(e edit) { e.experts(8, 3) }},
	{"phi3-dense", "long", "divisors for a context beyond the training's", func(e edit) {
		e.set("rope.scaling.original_context_length", 16).set("rope.scaling.attn_factor", 1.19)
	}},
	{"phi3-dense", "real", "part of each head turning, one matrix for queries, keys and values, shared KV heads", func(e edit) {
		e.clean().heads(4, 2, 64).turning(48).fuseQKV().drop("qkv.bias")
	}},
	{"phi2-dense", "partial", "part of each head turning", func(e edit) { e.heads(4, 4, 64).turning(24) }},
	{"qwen2-dense", "small", "shared KV heads, tied output", func(e edit) { e.drop("output.bias").tie().heads(8, 2, 32) }},
	{"qwen2moe-moe", "real", "three of eight experts, shared KV heads", func(e edit) { e.experts(8, 3).heads(8, 2, 32) }},
	{"qwen3-dense", "wide", "heads wider together than the model, tied output", func(e edit) {
		e.clean().tie().drop("cls.output").heads(8, 2, 64)
	}},
	{"qwen3moe-moe", "real", "three of eight experts, heads wider together than the model", func(e edit) {
		e.clean().experts(8, 3).heads(8, 2, 64)
	}},
	{"smollm3-dense", "layers", "a layer in four without rotary embedding, shared KV heads, tied output", func(e edit) {
		e.clean().tie().layers(5).heads(8, 2, 32)
	}},
	{"stablelm-dense", "3b", "a quarter of each head turning, no norms on queries and keys", func(e edit) {
		e.heads(8, 8, 32).turning(8).drop("attn_q_norm", "attn_k_norm")
	}},
	{"stablelm-dense", "12b", "norms on queries and keys, no second norm, shared KV heads", func(e edit) {
		e.heads(8, 2, 32).turning(8).drop("ffn_norm")
	}},
	{"starcoder2-dense", "3b", "shared KV heads, tied output", func(e edit) { e.heads(8, 2, 32).tie() }},
}
