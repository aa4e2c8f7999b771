package program

import (
	"reflect"

	"github.com/gollm/gollm/gguf"
)

// Op is one operation of a program: a pointer to one of the structs below.
// Executors switch on the concrete type.
type Op interface {
	// Reads and Writes list the tensors the op consumes and produces, for
	// liveness and hazards. KV layers are not tensors: see StoreKV, Attention.
	Reads() []Tensor
	Writes() []Tensor
}

// Linear is a projection's weights: Weight [in, out], an optional Bias [out]
// added to the product, and an optional Scale [1] the product is multiplied by
// before (the tensor-wide scale of NVFP4 weights). Of experts, Weight is
// [in, out, E], Bias [out, E] and Scale [E]. With ScaleBias, Scale multiplies
// the sum of product and bias.
type Linear struct {
	Weight, Bias, Scale *gguf.Tensor
	ScaleBias           bool
}

// Norm is a normalisation's weights: optional Weight and Bias of the width
// normalised, and the epsilon added under the root.
type Norm struct {
	Weight, Bias *gguf.Tensor
	Eps          float32
}

// Embed looks each token's row up in Table [d, V]. Out [n, d].
type Embed struct {
	Table *gguf.Tensor
	Out   Tensor
}

// EmbedPosition looks each token's position up in Table [d, context], for
// learned absolute positions (GPT-2). Out [n, d].
type EmbedPosition struct {
	Table *gguf.Tensor
	Out   Tensor
}

// RMSNorm scales each group of Group columns by 1/√(mean(x²)+ε), then by the
// weight: Zhang & Sennrich 2019. Group is the whole width, or the head width
// for norms on queries and keys; the weight has Group values or one for each
// column.
type RMSNorm struct {
	X     Tensor
	Norm  Norm
	Group int
	Out   Tensor
}

// LayerNorm subtracts each group's mean, divides by √(variance+ε), then
// applies weight and bias: Ba et al. 2016. Groups and weight sizes as RMSNorm.
type LayerNorm struct {
	X     Tensor
	Norm  Norm
	Group int
	Out   Tensor
}

// Project multiplies: Out[i,o] = Scale·Σ X[i,c]·W[o,c] + Bias[o]. X [·, in], Out
// [·, out], the weights [in, out].
type Project struct {
	X      Tensor
	Linear Linear
	Out    Tensor
}

// Add is the element-wise sum of equal shapes.
type Add struct{ A, B, Out Tensor }

// Mul is the element-wise product; B may have width 1, one factor for a row.
type Mul struct{ A, B, Out Tensor }

// Scale multiplies by a constant.
type Scale struct {
	X      Tensor
	Factor float32
	Out    Tensor
}

// ScaleByPosition multiplies the row of position p by
// 1 + Beta·ln(1 + ⌊(p+Offset)/Period⌋): the temperature that keeps attention
// sharp over long contexts in Llama 4 and Mistral 3.
type ScaleByPosition struct {
	X      Tensor
	Period int
	Offset int
	Beta   float32
	Out    Tensor
}

// Softcap squashes: Cap·tanh(x/Cap) (Gemma 2).
type Softcap struct {
	X   Tensor
	Cap float32
	Out Tensor
}

// Activation is an element-wise non-linearity.
type Activation uint8

const (
	SiLU        Activation = iota // x·σ(x)
	GELU                          // tanh approximation: 0.5x(1+tanh(√(2/π)(x+0.044715x³)))
	GELUErf                       // exact: 0.5x(1+erf(x/√2))
	ReLU                          // max(x, 0)
	ReLUSquared                   // max(x, 0)²
	Sigmoid                       // 1/(1+e⁻ˣ)
	Tanh                          // tanh x
	GPTOSS                        // GLU only: min(g,7)·σ(1.702·min(g,7))·(clamp(u,±7)+1)
)

var activationNames = [...]string{"silu", "gelu", "gelu_erf", "relu", "relu_squared", "sigmoid", "tanh", "gpt_oss"}

// String returns the activation's name.
func (a Activation) String() string { return activationNames[a] }

// Activate applies an activation to each element.
type Activate struct {
	X   Tensor
	Act Activation
	Out Tensor
}

// GLU is a gated linear unit: Out = act(Gate)·Up (Shazeer 2020). With GPTOSS it
// is that model's clamped variant.
type GLU struct {
	Gate, Up Tensor
	Act      Activation
	Out      Tensor
}

// RoPE rotates pairs of each head's first Rope.Dims columns by position: Su et
// al. 2021. X [n, heads·Head].
type RoPE struct {
	X    Tensor
	Head int // width of a head
	Rope *Rope
	Out  Tensor
}

// StoreKV writes each token's key and value rows to the layer's cache at the
// token's position. K [n, G·D], V [n, G·Dv].
type StoreKV struct {
	Layer int
	K, V  Tensor
}

// Attention is scaled dot-product attention of each token's query over the
// cached positions of its sequence, from its window's start to its own
// position: softmax(Scale·q·k)·v. H query heads share G KV heads in groups of
// H/G. Q [n, H·D], Out [n, H·Dv].
type Attention struct {
	Layer          int
	Q              Tensor
	Heads, KVHeads int
	Scale          float32
	Window         int          // most positions seen, the own included; 0 = all
	Chunk          int          // if > 0, only positions of the own chunk of this size
	Softcap        float32      // if > 0, scores pass through Softcap before the mask
	Sinks          *gguf.Tensor // [H]: a score that takes part in the softmax with no value (gpt-oss)
	ALiBi          float32      // if > 0, the largest bias of ALiBi slopes (Press et al. 2022)
	Out            Tensor
}

// Split copies Width columns of X from column From: parts of a fused
// projection.
type Split struct {
	X     Tensor
	From  int
	Width int
	Out   Tensor
}

// SelectOutputs keeps the rows that Step.Outputs names: X [n, w], Out [m, w].
type SelectOutputs struct{ X, Out Tensor }

// Gating is how router logits become expert weights.
type Gating uint8

const (
	GateSoftmax         Gating = iota // softmax over all experts, then the k largest
	GateSigmoid                       // sigmoid of each, then the k largest
	GateSoftmaxSelected               // the k largest logits, softmax over those
)

var gatingNames = [...]string{"softmax", "sigmoid", "softmax_selected"}

// String returns the gating's name.
func (g Gating) String() string { return gatingNames[g] }

// Route picks each token's experts: the k largest gated logits (the lower
// number first among equals). X [n, E]; Experts [n, k] of Index; Weights
// [n, k].
type Route struct {
	X         Tensor
	Gating    Gating
	Bias      *gguf.Tensor // [E], added for the choice only, not to the weights
	Normalise bool         // divide the chosen weights by their sum
	Scale     float32      // then multiply by this, if not 0
	Experts   Tensor
	Weights   Tensor
}

// ProjectExperts is Project by each token's experts. X is [n, in], the same for
// all experts of a token, or [n·k, in]; Out [n·k, out].
type ProjectExperts struct {
	X       Tensor
	Linear  Linear
	Experts Tensor
	Out     Tensor
}

// CombineExperts sums a token's experts by weight: X [n·k, d], Weights [n, k],
// Out [n, d].
type CombineExperts struct{ X, Weights, Out Tensor }

func (o *Embed) Reads() []Tensor           { return nil }
func (o *EmbedPosition) Reads() []Tensor   { return nil }
func (o *RMSNorm) Reads() []Tensor         { return []Tensor{o.X} }
func (o *LayerNorm) Reads() []Tensor       { return []Tensor{o.X} }
func (o *Project) Reads() []Tensor         { return []Tensor{o.X} }
func (o *Add) Reads() []Tensor             { return []Tensor{o.A, o.B} }
func (o *Mul) Reads() []Tensor             { return []Tensor{o.A, o.B} }
func (o *Scale) Reads() []Tensor           { return []Tensor{o.X} }
func (o *ScaleByPosition) Reads() []Tensor { return []Tensor{o.X} }
func (o *Softcap) Reads() []Tensor         { return []Tensor{o.X} }
func (o *Activate) Reads() []Tensor        { return []Tensor{o.X} }
func (o *GLU) Reads() []Tensor             { return []Tensor{o.Gate, o.Up} }
func (o *RoPE) Reads() []Tensor            { return []Tensor{o.X} }
func (o *StoreKV) Reads() []Tensor         { return []Tensor{o.K, o.V} }
func (o *Attention) Reads() []Tensor       { return []Tensor{o.Q} }
func (o *Split) Reads() []Tensor           { return []Tensor{o.X} }
func (o *SelectOutputs) Reads() []Tensor   { return []Tensor{o.X} }
func (o *Route) Reads() []Tensor           { return []Tensor{o.X} }
func (o *ProjectExperts) Reads() []Tensor  { return []Tensor{o.X, o.Experts} }
func (o *CombineExperts) Reads() []Tensor  { return []Tensor{o.X, o.Weights} }

func (o *Embed) Writes() []Tensor           { return []Tensor{o.Out} }
func (o *EmbedPosition) Writes() []Tensor   { return []Tensor{o.Out} }
func (o *RMSNorm) Writes() []Tensor         { return []Tensor{o.Out} }
func (o *LayerNorm) Writes() []Tensor       { return []Tensor{o.Out} }
func (o *Project) Writes() []Tensor         { return []Tensor{o.Out} }
func (o *Add) Writes() []Tensor             { return []Tensor{o.Out} }
func (o *Mul) Writes() []Tensor             { return []Tensor{o.Out} }
func (o *Scale) Writes() []Tensor           { return []Tensor{o.Out} }
func (o *ScaleByPosition) Writes() []Tensor { return []Tensor{o.Out} }
func (o *Softcap) Writes() []Tensor         { return []Tensor{o.Out} }
func (o *Activate) Writes() []Tensor        { return []Tensor{o.Out} }
func (o *GLU) Writes() []Tensor             { return []Tensor{o.Out} }
func (o *RoPE) Writes() []Tensor            { return []Tensor{o.Out} }
func (o *StoreKV) Writes() []Tensor         { return nil }
func (o *Attention) Writes() []Tensor       { return []Tensor{o.Out} }
func (o *Split) Writes() []Tensor           { return []Tensor{o.Out} }
func (o *SelectOutputs) Writes() []Tensor   { return []Tensor{o.Out} }
func (o *Route) Writes() []Tensor           { return []Tensor{o.Experts, o.Weights} }
func (o *ProjectExperts) Writes() []Tensor  { return []Tensor{o.Out} }
func (o *CombineExperts) Writes() []Tensor  { return []Tensor{o.Out} }

// Name returns the op's name, such as "RMSNorm".
func Name(op Op) string {
	if f, ok := op.(*Fused); ok {
		return f.Rule
	}
	return reflect.TypeOf(op).Elem().Name()
}

// Weight returns the tensor an op reads in the type the file has it in: a
// projection's weights or an embedding's table; nil for other ops. Vectors
// (norms, biases, sinks) are not meant: they are small, and may be converted.
func Weight(op Op) *gguf.Tensor {
	switch op := op.(type) {
	case *Embed:
		return op.Table
	case *EmbedPosition:
		return op.Table
	case *Project:
		return op.Linear.Weight
	case *ProjectExperts:
		return op.Linear.Weight
	}
	return nil
}

// Weights lists the tensors that Weight gives of the program's ops, each once.
func (p *Program) Weights() (list []*gguf.Tensor) {
	seen := map[*gguf.Tensor]bool{nil: true}
	for _, op := range p.Ops {
		if t := Weight(op); !seen[t] {
			seen[t] = true
			list = append(list, t)
		}
	}
	return list
}
