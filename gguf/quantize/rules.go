package quantize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gollm/gollm/gguf"
)

// The rules by which llama.cpp (v0.5.0, src/llama-quant.cpp) chooses tensor types,
// without an importance matrix. They are taste grown by measuring, and are
// kept so that a file of a given name is what users know by it.

// role is what a tensor does in a model, as far as the rules care.
type role int

const (
	other role = iota
	embedding
	output
	attnV // and the fused forms that hold V
	attnK
	attnOut
	ffnDown
)

func roleOf(name string) role {
	has := func(s string) bool { return strings.Contains(name, s) }
	switch {
	case name == "output.weight":
		return output
	case name == "token_embd.weight" || name == "per_layer_token_embd.weight":
		return embedding
	case has("attn_qkv.weight") || has("attn_kv_b.weight") || has("attn_v.weight"):
		return attnV
	case has("attn_k.weight"):
		return attnK
	case has("attn_output.weight"):
		return attnOut
	case has("ffn_down"):
		return ffnDown
	}
	return other
}

// kept are parts of names whose tensors stay as they are: too small to be worth it, or
// too delicate.
var kept = []string{
	"_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj",
	"ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight",
	"time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight",
	"time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight", "time_mix_a0.weight",
	"time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight", "time_mix_g2.weight",
	"time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight",
	"attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos",
	".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
}

// quantisable reports whether a tensor is a matrix of weights that may change type.
func quantisable(t *gguf.Tensor) bool {
	switch t.Type {
	case gguf.I8, gguf.I16, gguf.I32, gguf.I64:
		return false
	}
	matrix := slices.ContainsFunc(t.Dims[1:], func(n int) bool { return n > 1 })
	return matrix && strings.HasSuffix(t.Name, "weight") &&
		t.Name != "position_embd.weight" && t.Name != "token_types.weight" &&
		!slices.ContainsFunc(kept, func(s string) bool { return strings.Contains(t.Name, s) })
}

// rules choose the types of one model's tensors, which must be asked for in order.
type rules struct {
	mix     Mixture
	arch    string
	layers  int
	experts int
	gqa     int  // query heads that share a key head
	seventy bool // a model of the 70B class
	tied    bool // no output matrix: the embedding serves as one
	nV      int  // attnV tensors in the model

	v, down int // attnV and ffnDown tensors seen
}

func newRules(f *gguf.File, mix Mixture) (*rules, error) {
	arch, err := gguf.Get[string](f, "general.architecture")
	if err != nil {
		return nil, err
	}
	r := &rules{mix: mix, arch: arch, tied: f.Tensor("output.weight") == nil}
	if r.layers, err = gguf.GetOr(f, arch+".block_count", 0); err != nil {
		return nil, err
	}
	if r.experts, err = gguf.GetOr(f, arch+".expert_count", 0); err != nil {
		return nil, err
	}
	heads, err := firstOf(f, arch+".attention.head_count", 0)
	if err != nil {
		return nil, err
	}
	keyHeads, err := firstOf(f, arch+".attention.head_count_kv", heads)
	if err != nil {
		return nil, err
	}
	if keyHeads > 0 {
		r.gqa = heads / keyHeads
	}
	switch arch {
	case "llama":
		r.seventy = r.layers == 80 && heads != keyHeads
	case "qwen2", "olmo", "deci":
		r.seventy = r.layers == 80
	case "jais2":
		r.seventy = r.layers == 68
	}
	for _, t := range f.Tensors {
		if roleOf(t.Name) == attnV {
			r.nV++
		}
	}
	return r, nil
}

// firstOf returns a number, or of an array of numbers, one a layer, the first.
func firstOf(f *gguf.File, key string, def int) (int, error) {
	if v, ok := f.Lookup(key); ok {
		if kind, _, ok := gguf.KindOf(v); ok && kind == gguf.KindArray {
			list, err := gguf.Get[[]int](f, key)
			if err != nil || len(list) == 0 {
				return def, err
			}
			return list[0], nil
		}
	}
	return gguf.GetOr(f, key, def)
}

// choose returns the type t is to have, and the one the rules want.
func (r *rules) choose(t *gguf.Tensor) (typ, wanted gguf.Type, err error) {
	if !quantisable(t) {
		return t.Type, t.Type, nil
	}
	if r.mix.Base.BlockSize() == 1 { // F32, F16, BF16
		return r.mix.Base, r.mix.Base, nil
	}
	if wanted, err = r.wanted(t); err != nil {
		return 0, 0, err
	}
	return fallback(wanted, t.Cols()), wanted, nil
}

// wanted applies the rules, whatever the length of the rows.
func (r *rules) wanted(t *gguf.Tensor) (gguf.Type, error) {
	role := roleOf(t.Name)
	switch {
	case role == output, role == embedding && r.tied:
		if r.mix.Name == "MXFP4_MOE" || r.mix.Base == gguf.Q8_0 || r.arch == "falcon" || t.Cols()%r.mix.Base.BlockSize() != 0 {
			return gguf.Q8_0, nil
		}
		return gguf.Q6_K, nil
	case r.mix.Name == "MXFP4_MOE":
		if isExperts(t, r.arch) {
			return gguf.MXFP4, nil
		}
		return gguf.Q8_0, nil
	case role == attnV:
		typ := r.attentionV()
		r.v++
		return typ, nil
	case role == attnK && r.experts == 8:
		return gguf.Q8_0, nil
	case role == ffnDown:
		layer := r.down
		r.down++
		if r.experts > 1 { // several such tensors a layer
			if _, err := fmt.Sscanf(t.Name, "blk.%d.", &layer); err != nil {
				return 0, fmt.Errorf("tensor %q: no layer in its name", t.Name)
			}
			if layer < 0 || layer >= r.layers {
				return 0, fmt.Errorf("tensor %q: layer %d of a model of %d", t.Name, layer, r.layers)
			}
		}
		return r.feedForwardDown(layer), nil
	case role == attnOut:
		return r.attentionOutput(), nil
	}
	return r.mix.Base, nil
}

// isExperts reports whether t holds the matrices of several experts. In one family
// (BailingMoE 3) other tensors have three dimensions too.
func isExperts(t *gguf.Tensor, arch string) bool {
	if len(t.Dims) < 3 || t.Dims[2] <= 1 {
		return false
	}
	has := func(s string) bool { return strings.Contains(t.Name, s) }
	return arch != "bailingmoe3" || has("ffn_up") || has("ffn_gate") || has("ffn_down")
}

// moreBits picks the first and last eighth of the layers, and each third between.
func moreBits(layer, layers int) bool {
	return layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
}

func (r *rules) attentionV() gguf.Type {
	if r.experts == 8 { // small beside the experts
		return gguf.Q8_0
	}
	typ := r.mix.Base
	switch r.mix.Name {
	case "Q2_K":
		typ = gguf.Q3_K
		if r.gqa >= 4 {
			typ = gguf.Q4_K
		}
	case "Q2_K_S":
		if r.gqa >= 4 {
			typ = gguf.Q4_K
		}
	case "Q3_K_M":
		typ = gguf.Q4_K
		if r.v < 2 {
			typ = gguf.Q5_K
		}
	case "Q3_K_L":
		typ = gguf.Q5_K
	case "IQ4_NL", "IQ4_XS":
		if r.gqa >= 4 {
			typ = gguf.Q5_K
		}
	case "Q4_K_M", "Q5_K_M":
		if moreBits(r.v, r.nV) {
			typ = gguf.Q6_K
		}
	case "Q4_K_S":
		if r.v < 4 {
			typ = gguf.Q5_K
		}
	}
	if r.seventy && (typ == gguf.Q3_K || typ == gguf.Q4_K) {
		typ = gguf.Q5_K
	}
	return typ
}

func (r *rules) feedForwardDown(layer int) gguf.Type {
	falcon := r.arch == "falcon"
	more := moreBits(layer, r.layers)
	early := layer < r.layers/8
	switch r.mix.Name {
	case "Q2_K":
		return gguf.Q3_K
	case "Q2_K_S":
		if early {
			return gguf.Q4_K
		}
	case "Q3_K_M":
		switch {
		case layer < r.layers/16:
			return gguf.Q5_K
		case !falcon || more:
			return gguf.Q4_K
		}
	case "Q3_K_L":
		if falcon {
			return gguf.Q4_K
		}
		return gguf.Q5_K
	case "Q4_K_M":
		switch {
		case falcon && layer < r.layers/16, !falcon && more:
			return gguf.Q6_K
		case falcon && more:
			return gguf.Q5_K
		}
	case "Q4_K_S":
		if early && !falcon {
			return gguf.Q5_K
		}
	case "Q5_K_M":
		if more {
			return gguf.Q6_K
		}
	case "IQ4_NL", "IQ4_XS":
		if early {
			return gguf.Q5_K
		}
	}
	return r.mix.Base
}

func (r *rules) attentionOutput() gguf.Type {
	if r.arch == "falcon" {
		if r.mix.Name == "Q3_K_L" {
			return gguf.Q4_K
		}
		return r.mix.Base
	}
	if r.experts == 8 {
		switch r.mix.Name {
		case "Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "IQ4_NL", "IQ4_XS":
			return gguf.Q5_K
		}
		return r.mix.Base
	}
	switch r.mix.Name {
	case "Q2_K":
		return gguf.Q3_K
	case "Q3_K_M":
		return gguf.Q4_K
	case "Q3_K_L":
		return gguf.Q5_K
	}
	return r.mix.Base
}

// fallback returns the type for rows of n values: typ where they are whole blocks of it,
// else a type with shorter blocks, and at last F16.
func fallback(typ gguf.Type, n int) gguf.Type {
	for n%typ.BlockSize() != 0 {
		switch typ {
		case gguf.IQ4_XS:
			typ = gguf.IQ4_NL
		case gguf.Q2_K, gguf.Q3_K:
			typ = gguf.Q4_0
		case gguf.Q4_K:
			typ = gguf.Q5_0
		case gguf.Q5_K:
			typ = gguf.Q5_1
		case gguf.Q6_K:
			typ = gguf.Q8_0
		default:
			typ = gguf.F16
		}
	}
	return typ
}

// order compares names as llama.cpp does, whose rules count tensors in this
// order: what is in no layer first, then by layer, then by name.
func order(a, b *gguf.Tensor) int {
	la, lb := layerOf(a.Name), layerOf(b.Name)
	if la != lb {
		return la - lb
	}
	return strings.Compare(a.Name, b.Name)
}

func layerOf(name string) int {
	var n int
	if _, err := fmt.Sscanf(name, "blk.%d.", &n); err != nil {
		return -1
	}
	return n
}
