package arch

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
)

// Hyper are the hyper-parameters that all families share. Families with other
// values a layer keep those themselves.
type Hyper struct {
	Architecture string
	Layers       int
	Width        int // d
	Heads        int // H
	KVHeads      int // G
	KeyHead      int // D of queries and keys
	ValueHead    int // D of values
	FF           int // F; 0 where layers differ
	Vocab        int // V
	Context      int // context length of the training
	RopeDims     int

	Experts, ExpertsUsed int
}

// Common returns c; families embed Hyper to satisfy Family.
func (c *Hyper) Common() *Hyper { return c }

// loader reads keys and tensors and remembers the first thing that is wrong,
// so that a family's loading reads as a list of what it needs.
type loader struct {
	Hyper
	file *gguf.File
	used map[string]bool
	err  error
}

// maxLayers bounds what is reckoned a layer at a time before a tensor is seen.
const maxLayers = 10_000

func newLoader(f *gguf.File, architecture string) *loader {
	l := &loader{file: f, used: map[string]bool{}}
	c := &l.Hyper
	c.Architecture = architecture
	if c.Layers = l.count("block_count"); c.Layers < 1 || c.Layers > maxLayers {
		l.fail("key %q is %d: from 1 to %d layers make a model", l.key("block_count"), c.Layers, maxLayers)
		c.Layers = 0
	}
	if !l.flag("attention.causal", true) {
		l.fail("key %q is false: models that read text both ways are not supported", l.key("attention.causal"))
	}
	c.Width = l.count("embedding_length")
	c.Context = l.count("context_length")
	c.Heads = l.largest("attention.head_count", 0)
	c.KVHeads = l.largest("attention.head_count_kv", c.Heads)
	if c.Heads > 0 {
		c.KeyHead = l.number("attention.key_length", c.Width/c.Heads)
		c.ValueHead = l.number("attention.value_length", c.Width/c.Heads)
	}
	c.FF = l.largest("feed_forward_length", 0)
	if c.RopeDims = l.number("rope.dimension_count", c.KeyHead); c.RopeDims < 0 {
		l.fail("key %q is %d", l.key("rope.dimension_count"), c.RopeDims)
	}
	c.Experts = l.number("expert_count", 0)
	c.ExpertsUsed = l.largest("expert_used_count", 0)
	if tokens, err := gguf.Get[[]string](f, "tokenizer.ggml.tokens"); err == nil {
		c.Vocab = len(tokens)
	} else {
		c.Vocab = l.count("vocab_size")
	}
	if l.err == nil && (c.Width < 1 || c.Heads < 1 || c.KVHeads < 1 || c.KeyHead < 1 || c.ValueHead < 1) {
		l.fail("%d layers of width %d with %d heads of %d and %d KV heads of %d make no model", c.Layers, c.Width, c.Heads, c.KeyHead, c.KVHeads, c.ValueHead)
	}
	if l.err != nil {
		c.Layers = 0 // the tensors would only add noise
	}
	return l
}

func (l *loader) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// failed remembers err, if any, and reports whether there was one.
func (l *loader) failed(err error) bool {
	if err != nil && l.err == nil {
		l.err = err
	}
	return err != nil
}

// key is the full name of one of the architecture's keys.
func (l *loader) key(name string) string { return l.Architecture + "." + name }

func (l *loader) has(name string) bool {
	_, ok := l.file.Lookup(l.key(name))
	return ok
}

// number is an optional integer.
func (l *loader) number(name string, def int) int {
	v, err := gguf.GetOr(l.file, l.key(name), def)
	l.failed(err)
	return v
}

// count is a required integer.
func (l *loader) count(name string) int {
	v, err := gguf.Get[int](l.file, l.key(name))
	l.failed(err)
	return v
}

// float is an optional number.
func (l *loader) float(name string, def float64) float64 {
	v, err := gguf.GetOr(l.file, l.key(name), def)
	l.failed(err)
	return v
}

// flag is an optional boolean.
func (l *loader) flag(name string, def bool) bool {
	v, err := gguf.GetOr(l.file, l.key(name), def)
	l.failed(err)
	return v
}

// text is an optional string.
func (l *loader) text(name, def string) string {
	v, err := gguf.GetOr(l.file, l.key(name), def)
	l.failed(err)
	return v
}

// perLayer is an optional integer that may be given for each layer.
func (l *loader) perLayer(name string, def int) []int {
	out := slices.Repeat([]int{def}, max(l.Layers, 1))
	v, ok := l.file.Lookup(l.key(name))
	if !ok {
		return out
	}
	if _, err := gguf.Get[int](l.file, l.key(name)); err == nil {
		return slices.Repeat([]int{l.number(name, def)}, max(l.Layers, 1))
	}
	list, err := gguf.Get[[]int](l.file, l.key(name))
	if l.failed(err) {
		return out
	}
	if len(list) < l.Layers {
		l.fail("key %q: %d values (%T) for %d layers", l.key(name), len(list), v, l.Layers)
		return out
	}
	return list
}

// largest is an optional integer that may be given for each layer; it returns
// the largest. Families whose layers differ read perLayer.
func (l *loader) largest(name string, def int) int { return slices.Max(l.perLayer(name, def)) }

// optional returns a tensor if the file has it, checking its dimensions.
func (l *loader) optional(name string, dims ...int) *gguf.Tensor {
	t := l.file.Tensor(name)
	if t == nil {
		return nil
	}
	l.used[name] = true
	if _, ok := quant.Decoder(t.Type); !ok || slices.Contains([]gguf.Type{gguf.I8, gguf.I16, gguf.I32, gguf.I64}, t.Type) {
		l.fail("tensor %q has type %s, which is not a type of weights", name, t.Type)
	}
	// Trailing ones carry no information: [d] and [d, 1] are the same.
	have := t.Dims
	for len(have) > len(dims) && have[len(have)-1] == 1 {
		have = have[:len(have)-1]
	}
	if !slices.Equal(have, dims) {
		l.fail("tensor %q has shape %v, want %v", name, t.Dims, dims)
	}
	return t
}

// tensor returns a tensor that must be there.
func (l *loader) tensor(name string, dims ...int) *gguf.Tensor {
	t := l.optional(name, dims...)
	if t == nil {
		l.fail("tensor %q is missing", name)
	}
	return t
}

// linear loads NAME.weight [in, out] and, where the file has them, NAME.bias
// and NAME.scale.
func (l *loader) linear(name string, in, out int) program.Linear {
	return program.Linear{
		Weight: l.tensor(name+".weight", in, out),
		Bias:   l.optional(name+".bias", out),
		Scale:  l.optional(name+".scale", 1),
	}
}

// optionalLinear is linear where the weight may be missing.
func (l *loader) optionalLinear(name string, in, out int) (program.Linear, bool) {
	if l.file.Tensor(name+".weight") == nil {
		return program.Linear{}, false
	}
	return l.linear(name, in, out), true
}

// rmsNorm loads NAME.weight and the architecture's epsilon.
func (l *loader) rmsNorm(name string, width ...int) program.Norm {
	return program.Norm{Weight: l.tensor(name+".weight", width...), Eps: l.epsilon("attention.layer_norm_rms_epsilon")}
}

// layerNorm loads NAME.weight, NAME.bias if there is one, and the epsilon.
func (l *loader) layerNorm(name string, width ...int) program.Norm {
	return program.Norm{
		Weight: l.tensor(name+".weight", width...),
		Bias:   l.optional(name+".bias", width...),
		Eps:    l.epsilon("attention.layer_norm_epsilon"),
	}
}

// optionalLayerNorm is layerNorm, or nil where the weight is missing.
func (l *loader) optionalLayerNorm(name string, width ...int) *program.Norm {
	if l.file.Tensor(name+".weight") == nil {
		return nil
	}
	n := l.layerNorm(name, width...)
	return &n
}

func (l *loader) epsilon(name string) float32 {
	v, err := gguf.Get[float32](l.file, l.key(name))
	l.failed(err)
	return v
}

// embedding loads the token table.
func (l *loader) embedding() *gguf.Tensor {
	return l.tensor("token_embd.weight", l.Width, l.Vocab)
}

// output loads the projection onto the vocabulary: its own, or the token table
// where the file has none.
func (l *loader) output() program.Linear {
	if out, ok := l.optionalLinear("output", l.Width, l.Vocab); ok {
		return out
	}
	return program.Linear{Weight: l.embedding(), Bias: l.optional("output.bias", l.Vocab)}
}

// block names a tensor of layer i.
func block(i int, name string) string { return fmt.Sprintf("blk.%d.%s", i, name) }

// checkAllUsed refuses a file with tensors the family did not ask for: its
// forward pass would not be the one the file was made for.
//
// Scales of quantised inputs (NVFP4) are not needed: activations stay float.
func (l *loader) checkAllUsed() {
	l.ignore(".input_scale")
	for _, t := range l.file.Tensors {
		if !l.used[t.Name] {
			l.fail("tensor %q is not part of the architecture", t.Name)
		}
	}
}

// ignore marks tensors that some files hold and no forward pass needs.
func (l *loader) ignore(suffixes ...string) {
	for _, t := range l.file.Tensors {
		for _, s := range suffixes {
			if strings.HasSuffix(t.Name, s) {
				l.used[t.Name] = true
			}
		}
	}
}

// ignorePrefix is ignore by the beginning of the name.
func (l *loader) ignorePrefix(prefix string) {
	for _, t := range l.file.Tensors {
		if strings.HasPrefix(t.Name, prefix) {
			l.used[t.Name] = true
		}
	}
}

// rope reads the architecture's rotary embedding. factors may name per-pair
// divisors, or be nil.
func (l *loader) rope(pairing program.Pairing, factors *gguf.Tensor) *program.Rope {
	r := &program.Rope{
		Dims:    l.RopeDims,
		Pairing: pairing,
		Base:    l.float("rope.freq_base", 10000),
		Factors: factors,
	}
	factor := l.float("rope.scaling.factor", l.float("rope.scale_linear", 0))
	if factor == 0 {
		factor = 1
	}
	// A negative weight of YaRN's extrapolation means that the kind decides.
	yarn := l.float("rope.scaling.yarn_ext_factor", -1)
	kind := l.text("rope.scaling.type", "linear")
	switch kind {
	case "none":
		factor = 1
	case "linear", "longrope":
	case "yarn":
		if yarn < 0 {
			yarn = 1
		}
	default:
		l.fail("key %q: unknown rope scaling %q", l.key("rope.scaling.type"), kind)
	}
	r.FreqScale = 1 / factor
	r.AttnFactor = l.float("rope.scaling.yarn_attn_factor", 1)
	if yarn > 0 {
		r.Yarn = &program.Yarn{
			ExtFactor:   yarn,
			BetaFast:    l.float("rope.scaling.yarn_beta_fast", 32),
			BetaSlow:    l.float("rope.scaling.yarn_beta_slow", 1),
			OrigContext: l.number("rope.scaling.original_context_length", l.Context),
		}
		// Frequencies multiplies by 1+0.1·ln(factor), YaRN's temperature. Files
		// with a log multiplier divide it out again, in whole or in part.
		r.AttnFactor = 1
		if m := l.float("rope.scaling.yarn_log_multiplier", 0); m != 0 && factor > 1 {
			r.AttnFactor = 1 / (1 + 0.1*m*math.Log(factor))
		}
	}
	r.AttnFactor *= l.float("rope.scaling.attn_factor", 1)
	return r
}
