package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gollm/gollm/engine/chat"
	"github.com/gollm/gollm/engine/internal/arch"
	"github.com/gollm/gollm/engine/internal/exec/gpu"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/engine/tokenizer"
	"github.com/gollm/gollm/gguf"
)

// Options are the choices made when a model is loaded. The zero value is a
// good default.
type Options struct {
	// Context is the most tokens a session may hold. 0 takes the length the
	// model was trained with, but at most DefaultContext; negative takes the
	// trained length whatever it is.
	Context int
	// Batch is the most tokens of a prompt processed in one step, 0 for 512.
	// Larger steps are faster and need more scratch memory.
	Batch int
	// Threads is the number of CPU threads, 0 for one for each performance core
	// that this process may use. More than GOMAXPROCS are not used.
	Threads int
	// KVType is what keys and values are cached in: "f16", which "" means; "q8_0", about
	// half the memory, for models whose heads are multiples of 32; "f32", twice the
	// memory, for comparisons to the last digit.
	KVType string
	// Precise keeps activations as float32 where the CPU would round them to 15
	// bits, to multiply quantised weights as integers: slower, for comparisons to
	// the last digit.
	Precise bool
	// Device is where the model runs: see Devices. "" picks the best there is.
	Device string
	// GPULayers is how many layers run on the GPU, counted from the last. The output
	// goes with them; the embedding is the last to go, with one more than there are
	// layers. The others run on the CPU, over the same weights. 0 takes as many as
	// the GPU has kernels and memory for (see Placement.Why); NoLayers takes none.
	GPULayers int
	// Progress, if set, makes Load read all weights into memory once, and is told
	// of the bytes read so far. Otherwise pages are read when first needed.
	Progress func(done, total int64)
	// Compiling, if set, is told how many of the GPU's kernels are compiled, of those
	// a new session needs, while that takes longer than a second; at the end with
	// done equal to total. The next time they are found in the user's cache folder.
	Compiling func(done, total int)
}

// DefaultContext bounds the context that Options.Context 0 picks.
const DefaultContext = 8192

// Model is a loaded model. Its methods may be called from many goroutines.
type Model struct {
	file    *gguf.File
	family  arch.Family
	tok     *tokenizer.Tokenizer
	exec    program.Executor
	gpu     *device // nil when the CPU runs the model, as gpuExec is
	gpuExec *gpu.Executor
	place   Placement
	options Options // with the defaults filled in
	kvType  gguf.Type

	logits *program.Program

	templateOnce sync.Once
	template     *chat.Template
	templateErr  error
}

// Load opens the model at path, any part of it if it is split over several
// files, and checks that it is complete and of a known architecture. It is
// quick: weights are mapped, not read (but see Options.Progress).
func Load(ctx context.Context, path string, o Options) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := New(ctx, f, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	return m, nil
}

// New makes a model of an open file and takes the file over: Model.Close closes
// it. When New fails the file stays open.
func New(ctx context.Context, f *gguf.File, o Options) (*Model, error) {
	family, err := arch.Load(f)
	if err != nil {
		return nil, err
	}
	c := family.Common()
	switch {
	case o.Context < 0 || o.Context == 0 && c.Context <= DefaultContext:
		o.Context = c.Context
	case o.Context == 0:
		o.Context = DefaultContext
	}
	if o.Context > math.MaxInt32 {
		return nil, fmt.Errorf("engine: a context of %d tokens: positions are counted in 31 bits", o.Context)
	}
	if o.Batch <= 0 {
		o.Batch = 512
	}
	if o.Threads <= 0 {
		o.Threads = defaultThreads()
	}
	if o.Device != "" && !slices.Contains(Devices(), o.Device) {
		return nil, fmt.Errorf("engine: no device %q here (have %v)", o.Device, Devices())
	}
	if o.KVType == "" {
		o.KVType = "f16"
	}
	m := &Model{file: f, family: family, options: o}
	if m.kvType, err = gguf.ParseType(o.KVType); err != nil {
		return nil, fmt.Errorf("engine: KV cache: %w", err)
	}
	if m.tok, err = tokenizer.New(f); err != nil {
		return nil, err
	}
	if m.logits, err = arch.Program(family, arch.Options{Context: o.Context}, false); err != nil {
		return nil, fmt.Errorf("engine: %s: %w", f.Name(), err)
	}
	if err := m.logits.CheckKV(m.kvType); err != nil {
		return nil, fmt.Errorf("engine: %s: %w", f.Name(), err)
	}
	if err := m.open(); err != nil {
		return nil, fmt.Errorf("engine: %s: %w", f.Name(), err)
	}
	if o.Progress != nil {
		if err := gguf.Guard(func() error { return warm(ctx, f, o.Progress) }); err != nil {
			m.closeExecutor()
			return nil, fmt.Errorf("engine: load %s: %w", f.Name(), err)
		}
	}
	return m, nil
}

// warm touches every page of the weights once, in file order, so that they are
// in memory before the first token.
func warm(ctx context.Context, f *gguf.File, progress func(done, total int64)) error {
	const page, report = 4096, 16 << 20
	var done, total int64
	for _, t := range f.Tensors {
		total += int64(len(t.Data))
	}
	sum := byte(0)
	for _, t := range f.Tensors {
		for at := 0; at < len(t.Data); at += page {
			sum ^= t.Data[at]
			if at%report == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
				progress(done+int64(at), total)
			}
		}
		done += int64(len(t.Data))
	}
	runtime.KeepAlive(sum)
	progress(total, total)
	return nil
}

// Close releases the model and closes its file. No session of it may be used
// afterwards.
func (m *Model) Close() error { return errors.Join(m.closeExecutor(), m.file.Close()) }

func (m *Model) closeExecutor() error {
	err := m.exec.Close()
	if m.gpu != nil {
		err = errors.Join(err, m.gpu.close())
	}
	return err
}

// Info is what can be said of a model.
type Info struct {
	Name          string // general.name, or the file's name
	Architecture  string // general.architecture
	Parameters    int64  // values in all tensors
	Bytes         int64  // of all tensors
	Type          string // the type most of the weights have, such as "Q4_K"
	Layers        int
	Width         int // of the hidden states
	Vocab         int
	TrainContext  int    // context length of the training
	Context       int    // most tokens of a session
	Batch         int    // most tokens of a prompt processed in one step
	KVType        string // what keys and values are cached in, as ggml names it
	KVBytes       int64  // keys and values of a full session
	Threads       int
	HasTemplate   bool // there is a chat template
	BitsPerWeight float64
	Placement
}

// Info describes the model.
func (m *Model) Info() Info {
	c := m.family.Common()
	i := Info{
		Architecture: c.Architecture,
		Layers:       c.Layers,
		Width:        c.Width,
		Vocab:        c.Vocab,
		TrainContext: c.Context,
		Context:      m.options.Context,
		Batch:        m.options.Batch,
		KVType:       strings.ToLower(m.kvType.String()),
		KVBytes:      kv.Size(m.logits.KV, m.kvType, m.options.Context),
		Placement:    m.place,
		Threads:      m.options.Threads,
	}
	i.Name, _ = gguf.GetOr(m.file, "general.name", m.file.Name())
	bytes := map[gguf.Type]int64{}
	var most int64
	for _, t := range m.file.Tensors {
		n := int64(len(t.Data))
		i.Parameters += int64(t.Elements())
		i.Bytes += n
		if bytes[t.Type] += n; bytes[t.Type] > most {
			most, i.Type = bytes[t.Type], t.Type.String()
		}
	}
	i.BitsPerWeight = float64(i.Bytes) * 8 / float64(max(i.Parameters, 1))
	_, i.HasTemplate = m.file.Lookup("tokenizer.chat_template")
	return i
}

// File returns the model's file, for its metadata.
func (m *Model) File() *gguf.File { return m.file }

// Tokenizer returns the model's tokenizer.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tok }

// Encode turns text into the tokens of a prompt: special tokens in the text
// are recognised, and the model's BOS token is put before where it wants one.
func (m *Model) Encode(text string) []int32 {
	return m.tok.Encode(text, tokenizer.Options{AddSpecial: true, ParseSpecial: true})
}

// Decode turns tokens back into text; control tokens are left out.
func (m *Model) Decode(tokens []int32) string { return m.tok.Decode(tokens, tokenizer.DecodeOptions{}) }
