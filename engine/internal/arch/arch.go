// Package arch knows the model families: for each, which hyper-parameters and
// tensors its GGUF files hold and what its forward pass is. One file a family;
// its Hidden method is the model, top to bottom.
//
// docs/ADDING-A-FAMILY.md walks through adding one.
package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// Options are the choices a forward pass depends on beside the weights.
type Options struct {
	// Context is the longest sequence the program will see: some families
	// choose their rotary factors by it.
	Context int
}

// A Family is a model's forward pass, with the weights it was loaded with.
type Family interface {
	// Common returns the hyper-parameters every family has.
	Common() *Hyper
	// Hidden appends the pass from token ids to the final normalised hidden
	// states [m, d].
	Hidden(b *program.Builder, o Options) program.Tensor
	// Logits appends the projection of hidden states onto the vocabulary [m, V].
	Logits(b *program.Builder, hidden program.Tensor) program.Tensor
}

// families maps general.architecture to its loader.
var families = map[string]func(*loader) Family{
	"cohere2":    loadCohere2,
	"command-r":  loadCommandR,
	"falcon":     loadFalcon,
	"gemma":      loadGemma,
	"gemma2":     loadGemma2,
	"gemma3":     loadGemma3,
	"glm4":       loadGLM4,
	"gpt-oss":    loadGPTOSS,
	"gpt2":       loadGPT2,
	"gptneox":    loadGPTNeoX,
	"granite":    loadGranite,
	"granitemoe": loadGraniteMoE,
	"llama":      loadLlama,
	"mistral3":   loadMistral3,
	"olmo2":      loadOLMo2,
	"olmoe":      loadOLMoE,
	"phi2":       loadPhi2,
	"phi3":       loadPhi3,
	"qwen2":      loadQwen2,
	"qwen2moe":   loadQwen2MoE,
	"qwen3":      loadQwen3,
	"qwen3moe":   loadQwen3MoE,
	"smollm3":    loadSmolLM3,
	"stablelm":   loadStableLM,
	"starcoder2": loadStarcoder2,
}

// Names returns the architectures that can be loaded, sorted.
func Names() []string { return slices.Sorted(maps.Keys(families)) }

// Load reads the model's hyper-parameters and checks that every tensor the
// family needs is there, of the right shape and of a type that can be
// decoded, and that none is left over. It allocates nothing in proportion to
// the weights.
func Load(f *gguf.File) (Family, error) {
	name, err := gguf.Get[string](f, "general.architecture")
	if err != nil {
		return nil, err
	}
	load, ok := families[name]
	if !ok {
		return nil, fmt.Errorf("%s: unknown architecture %q (known: %s)", f.Name(), name, strings.Join(Names(), ", "))
	}
	l := newLoader(f, name)
	m := load(l)
	l.checkAllUsed()
	if l.err != nil {
		return nil, fmt.Errorf("%s: %s model: %w", f.Name(), name, l.err)
	}
	return m, nil
}

// Program builds the family's forward pass to logits, or to hidden states if
// embeddings is set.
func Program(m Family, o Options, embeddings bool) (*program.Program, error) {
	b := program.NewBuilder()
	out := m.Hidden(b, o)
	if !embeddings {
		out = m.Logits(b, out)
	}
	p, err := b.Build(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Common().Architecture, err)
	}
	return p, nil
}
