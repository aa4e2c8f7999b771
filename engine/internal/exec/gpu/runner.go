package gpu

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/pipelines"
)

// runner is a compiled program: its memory on the device, and a plan for each
// shape of step that has come by.
type runner struct {
	e       *Executor
	whole   *program.Program // as it was given
	program *program.Program // fused
	limits  program.Limits
	kv      *program.KVMemory
	vocab   int

	layout   program.Layout
	queue    *metal.Queue
	resident *metal.ResidencySet // of all buffers; nil before macOS 15
	arena    *metal.Buffer       // activations
	hidden   place               // of a part of a program: what passes between it and the other
	parts    *metal.Buffer       // of attentions whose positions are split up; nil if none can be
	step     *stepBuffer
	grouped  grouped
	caches   []cache
	ropes    map[*program.Rope]rope

	plans map[shape]*plan
	clock uint64

	turn    int // of the step started last
	flights [turns]flight
	flying  int // how many steps are under way, that of turn the youngest
	picks   int // tokens that the step started last picks for the next one
	spare   spare
	result  []float32
	picked  []int32

	encoding encoding
	encoder  func(*metal.ComputeEncoder) error
}

var _ program.Feeder = (*runner)(nil)

// cache is where a layer's keys and values are.
type cache struct{ keys, values place }

// rope is a rotation's table of frequencies.
type rope struct {
	frequencies *metal.Buffer
	magnitude   float32
}

// Compile implements program.Executor. kv must be memory of AllocateKV. It
// refuses a program with an op or a tensor type that the kernels do not have, and
// compiles every kernel that steps of 1 to 8 tokens and of limits.Tokens need.
func (e *Executor) Compile(p *program.Program, kv *program.KVMemory, limits program.Limits) (program.Runner, error) {
	r, err := e.newRunner(p, kv, limits)
	if err != nil {
		return nil, err
	}
	if err := r.compileKernels(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// newRunner is Compile but for the kernels.
func (e *Executor) newRunner(p *program.Program, kv *program.KVMemory, limits program.Limits) (*runner, error) {
	if err := kv.Check(p, limits); err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	fused := p.Fuse(canFuse)
	r := &runner{e: e, whole: p, program: fused, limits: limits, kv: kv, vocab: p.Vocab(), layout: fused.Layout(limits), ropes: map[*program.Rope]rope{}, plans: map[shape]*plan{}}
	// A generated token takes few command buffers: the lists are grown once.
	const most = 8
	for i := range r.flights {
		r.flights[i].buffers = make([]*metal.CommandBuffer, 0, most)
	}
	r.spare.buffers = make([]*metal.CommandBuffer, 0, most)
	r.encoder = func(enc *metal.ComputeEncoder) error {
		e := &r.encoding
		e.plan.encode(enc, e.from, e.to, &e.shift)
		return nil
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, errClosed
	}
	e.runners[r] = true
	e.mu.Unlock()
	if err := r.allocate(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// allocate checks the program and gives it memory.
func (r *runner) allocate() error {
	if err := Check(r.whole, r.kv.Type); err != nil {
		return err
	}
	if r.kv.BlockSize != shaders.AttentionPage && len(r.kv.Layers) > 0 {
		return fmt.Errorf("gpu: KV blocks of %d positions, the kernels have pages of %d", r.kv.BlockSize, shaders.AttentionPage)
	}
	for i, l := range r.kv.Layers {
		k, ok := r.e.memoryAt(l.K)
		v, ok2 := r.e.memoryAt(l.V)
		if !ok || !ok2 {
			return fmt.Errorf("gpu: KV layer %d is not in memory of this executor", i)
		}
		r.caches = append(r.caches, cache{k, v})
	}
	if !r.program.Hidden.None() {
		var ok bool
		if r.hidden, ok = r.e.memoryAt(bytesOf(r.kv.Hidden)); !ok {
			return errors.New("gpu: the hidden states are not in memory of this executor")
		}
	}
	if err := r.weights(); err != nil {
		return err
	}
	var err error
	if r.queue, err = r.e.device.NewQueue(metal.QueueOptions{Label: "gollm", Unretained: true}); err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	if r.arena, err = r.e.device.NewBuffer(max(4*r.layout.Size, 16), metal.Shared); err != nil {
		return fmt.Errorf("gpu: activations: %w", err)
	}
	r.arena.SetLabel("activations")
	if r.step, err = newStepBuffer(r.e.device, r.limits); err != nil {
		return err
	}
	return r.reside()
}

// weights gives a place to every tensor that is read as it is in the file,
// together, so that neighbours share buffers. It allocates the scratch memory of
// attention and experts, too.
func (r *runner) weights() error {
	parts := 0
	for i, op := range r.whole.Ops {
		switch op := op.(type) {
		case *program.Route:
			if err := r.experts(op); err != nil {
				return fmt.Errorf("gpu: op %d Route: %w", i, err)
			}
		case *program.Attention:
			parts = max(parts, r.attentionShape(op).MaxParts(r.limits.Tokens))
		}
	}
	if err := r.e.weights.bind(r.whole.Weights()); err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	if parts > 0 {
		var err error
		if r.parts, err = r.e.device.NewBuffer(4*parts, metal.Private); err != nil {
			return fmt.Errorf("gpu: scratch of attention: %w", err)
		}
		r.parts.SetLabel("attention parts")
	}
	return nil
}

// rotation describes a rope to its kernels, and makes its table.
func (l *lowering) rotation(p *program.Rope, head int) (shaders.Rotation, place, error) {
	t, ok := l.ropes[p]
	if !ok {
		factors, err := decode(p.Factors)
		if err != nil {
			return shaders.Rotation{}, place{}, err
		}
		frequencies, magnitude := p.Frequencies(factors)
		turns := shaders.Turns(frequencies)
		b, err := l.e.device.NewBuffer(max(4*len(turns), 16), metal.Shared|metal.Untracked)
		if err != nil {
			return shaders.Rotation{}, place{}, fmt.Errorf("frequencies: %w", err)
		}
		b.SetLabel("rope frequencies")
		copy(words(b), turns)
		t = rope{b, float32(magnitude)}
		l.ropes[p] = t
	}
	return shaders.Rotation{Head: head, Dims: p.Dims, Halves: p.Pairing == program.Halves, Magnitude: t.magnitude}, place{t.frequencies, 0, t.frequencies.Len()}, nil
}

func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

func words(b *metal.Buffer) []uint32 {
	mem := b.Bytes()
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/4)
}

// compileKernels makes the pipelines of the shapes that will come.
func (r *runner) compileKernels() error {
	var shapes []shape
	one := min(1, r.limits.Outputs)
	if one > 0 && r.program.Hidden.None() {
		shapes = append(shapes, shape{tokens: 1, outputs: 1, pages: 1, pick: true})
	}
	for n := 1; n <= min(shaders.MaxColumns, r.limits.Tokens); n++ {
		for m := 0; m <= min(n, r.limits.Outputs); m++ {
			shapes = append(shapes, shape{tokens: n, outputs: m, pages: 1, tiles: n / 2})
		}
	}
	shapes = append(shapes, shape{tokens: 1, outputs: one, pages: 1 << 20}) // split positions
	for _, pages := range []int{1, 1 << 20} {                               // prompts, and what follows long ones
		shapes = append(shapes, shape{tokens: min(shaders.AttentionTile, r.limits.Tokens), outputs: one, pages: pages, tiles: 1})
	}
	for _, n := range []int{groupTokens - 1, r.limits.Tokens} {
		n = min(n, r.limits.Tokens)
		shapes = append(shapes, shape{n, one, 1, n / 2, false}, shape{n, one, 1, 0, false}, shape{n, min(n, r.limits.Outputs), 1, n / 2, false})
	}
	var list []want
	seen := map[pipelines.Key]bool{}
	for _, s := range shapes {
		p, err := r.lower(s)
		if err != nil {
			return err
		}
		for i := range p.launches {
			if l := &p.launches[i]; !seen[l.key] {
				seen[l.key] = true
				list = append(list, want{l.key, l.what})
			}
		}
	}
	return r.e.kernels.compile(list)
}

// planOf returns the plan of a shape: from the cache, or made now.
func (r *runner) planOf(s shape) (*plan, error) {
	r.clock++
	if p := r.plans[s]; p != nil {
		p.used = r.clock
		return p, nil
	}
	p, err := r.lower(s)
	if err != nil {
		return nil, err
	}
	for i := range p.launches {
		l := &p.launches[i]
		if l.pipeline, err = r.e.kernels.Pipeline(l.key); err != nil {
			return nil, fmt.Errorf("gpu: %s: kernel %s: %w", l.what(), l.key.Kernel.Name, err)
		}
	}
	const most = 16
	if len(r.plans) >= most {
		oldest := shape{}
		for s, p := range r.plans {
			if o := r.plans[oldest]; o == nil || p.used < o.used {
				oldest = s
			}
		}
		delete(r.plans, oldest)
	}
	p.used = r.clock
	r.plans[s] = p
	return p, nil
}

// usable returns why no step can run any more, if so.
func (r *runner) usable() error {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	switch {
	case r.e.closed:
		return errClosed
	case !r.e.runners[r]:
		return errors.New("gpu: the runner is closed")
	case r.e.lost != nil:
		return fmt.Errorf("gpu: closed, since the GPU takes no more work after: %w", r.e.lost)
	}
	return nil
}

// Close gives the runner's memory on the device back. It must not be running.
func (r *runner) Close() error {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	if r.e.runners[r] {
		delete(r.e.runners, r)
		r.release()
	}
	return nil
}

func (r *runner) release() {
	for i := range r.flights {
		_ = r.flights[i].land() // nobody asks any more
	}
	r.flying = 0
	r.discard()
	if r.resident != nil {
		r.queue.RemoveResidencySet(r.resident)
		r.resident.Release()
	}
	for _, b := range []*metal.Buffer{r.arena, r.parts, r.grouped.buffer} {
		if b != nil {
			b.Release()
		}
	}
	if r.step != nil {
		r.step.buffer.Release()
	}
	for _, t := range r.ropes {
		t.frequencies.Release()
	}
	if r.queue != nil {
		r.queue.Release()
	}
	r.result = nil
}
