package split_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/cpu"
	"github.com/gollm/gollm/engine/internal/exec/exectest"
	"github.com/gollm/gollm/engine/internal/exec/gpu"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/engine/internal/exec/split"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
)

// bound is the largest relative error of logits with a cache of float16.
const bound = 5e-3

// device is this system's GPU or, where there is none, the emulator's; then m is
// the machine.
func device(t *testing.T) (d *metal.Device, m *emu.Machine) {
	t.Helper()
	d, err := metal.Open()
	if err == nil {
		t.Cleanup(d.Release)
		return d, nil
	}
	if !errors.Is(err, metal.ErrUnavailable) {
		t.Fatal(err)
	}
	return emulated(t)
}

func emulated(t *testing.T) (*metal.Device, *emu.Machine) {
	t.Helper()
	if err := emu.CanCompile(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		fmt.Println("NOT TESTED: layers on CPU and GPU:", err)
		t.Skip(err)
	}
	m := emu.Test(t, emu.Options{Hazards: true, PageSize: os.Getpagesize()})
	return m.Device(), m
}

func twoRefs(layer int) exectest.Config {
	return exectest.Config{New: func() program.Executor { return split.New(ref.New(2), ref.New(2), layer) }}
}

func TestAllocations(t *testing.T) { exectest.Allocations(t, twoRefs(1)) }
func TestConcurrent(t *testing.T)  { exectest.Concurrent(t, twoRefs(1)) }
func TestStepSizes(t *testing.T)   { exectest.StepSizes(t, twoRefs(0)) }
func TestErrors(t *testing.T)      { exectest.Errors(t, twoRefs(1)) }

// TestCutFamilies cuts every family's program before every layer: the tensors of
// the layers before must be in the one part, those from it on in the other. Cut in
// the middle, two reference executors must give what one does, to the last bit.
func TestCutFamilies(t *testing.T) {
	for i, c := range archtest.Cases() {
		if c.Name == "command-r-dense-plus" || race && i%10 != 0 {
			continue // 64 layers of a family that is there twice; nothing here runs at the same time
		}
		t.Run(c.Name, func(t *testing.T) {
			f := c.Open(t, 1)
			p := archtest.Program(t, f, archtest.Length)
			for layer := range p.Layers() {
				first, rest, err := p.Cut(layer)
				if err != nil {
					t.Fatal(err)
				}
				if len(first.Ops)+len(rest.Ops) != len(p.Ops) || first.Layers() != layer || rest.Layers() != p.Layers()-layer {
					t.Fatalf("layer %d: parts of %d and %d ops, %d and %d layers; %d ops and %d layers before",
						layer, len(first.Ops), len(rest.Ops), first.Layers(), rest.Layers(), len(p.Ops), p.Layers())
				}
				for _, n := range layersOf(first) {
					if n >= layer {
						t.Errorf("cut before layer %d, the first part has a tensor of layer %d", layer, n)
					}
				}
				for _, n := range layersOf(rest) {
					if n < layer {
						t.Errorf("cut before layer %d, the rest has a tensor of layer %d", layer, n)
					}
				}
			}
			want := logits(t, ref.New(2), f)
			if got := logits(t, split.New(ref.New(2), ref.New(2), p.Layers()/2), f); !slices.EqualFunc(got, want, slices.Equal) {
				t.Errorf("cut before layer %d: other logits", p.Layers()/2)
			}
			for _, layer := range []int{-1, p.Layers()} {
				if _, _, err := p.Cut(layer); err == nil {
					t.Errorf("cut before layer %d of %d", layer, p.Layers())
				}
			}
		})
	}
}

// layersOf returns the layers in the names of a program's tensors.
func layersOf(p *program.Program) (list []int) {
	add := func(tensors ...*gguf.Tensor) {
		for _, t := range tensors {
			var n int
			if t != nil && strings.HasPrefix(t.Name, "blk.") {
				fmt.Sscanf(t.Name, "blk.%d.", &n)
				list = append(list, n)
			}
		}
	}
	for _, op := range p.Ops {
		add(program.Weight(op))
		switch op := op.(type) {
		case *program.RMSNorm:
			add(op.Norm.Weight, op.Norm.Bias)
		case *program.LayerNorm:
			add(op.Norm.Weight, op.Norm.Bias)
		case *program.Attention:
			add(op.Sinks)
		}
	}
	return list
}

// logits runs a prompt of some tokens on an executor and closes it.
func logits(t *testing.T, e program.Executor, f *gguf.File) [][]float32 {
	t.Helper()
	defer e.Close()
	s, err := archtest.NewSession(e, f, gguf.F16, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows, err := s.Prompt(archtest.Tokens(1, s.Vocab)[:3])
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestFamilies runs models with every number of layers on the GPU, the others on
// either of the CPU's executors: the logits must be those of the reference on its
// own, whether the tokens come as a prompt, one by one, or with another sequence.
// The ways take turns over the layers; with GOLLM_LONG set each goes all ways.
func TestFamilies(t *testing.T) {
	d, _ := device(t)
	for _, name := range []string{"llama-dense-small", "gemma3-dense-layers", "gpt-oss-moe-real", "qwen3moe-moe-real"} {
		t.Run(name, func(t *testing.T) {
			f := archtest.Named(t, name).Open(t, 1)
			reference := ref.New(0)
			defer reference.Close()
			of, err := archtest.NewSession(reference, f, gguf.F16, archtest.Length)
			if err != nil {
				t.Fatal(err)
			}
			defer of.Close()
			tokens := archtest.Tokens(1, of.Vocab)[:36] // more than a page
			want, err := of.Prompt(tokens)
			if err != nil {
				t.Fatal(err)
			}
			for layer := range archtest.Program(t, f, archtest.Length).Layers() {
				if race && layer != 1 {
					continue
				}
				var first program.Executor = ref.New(0)
				if layer%2 == 1 {
					first = cpu.New(0, cpu.Options{})
				}
				e := split.New(first, gpu.New(d, f.Mappings()), layer)
				s, err := archtest.NewSession(e, f, gguf.F16, archtest.Length)
				if err != nil {
					t.Fatal(err)
				}
				few := tokens[:6]
				for i, way := range []func() ([][]float32, error){
					func() ([][]float32, error) { return s.Prompt(tokens) },
					func() ([][]float32, error) { return s.OneByOne(few) },
					func() ([][]float32, error) { return s.Shared(few, rand.New(rand.NewPCG(uint64(layer), 3))) },
				} {
					if i != layer%3 && os.Getenv("GOLLM_LONG") == "" {
						continue
					}
					got, err := way()
					if err == nil {
						_, err = archtest.Difference(got, want[:len(got)], bound)
					}
					if err != nil {
						t.Errorf("cut before layer %d, way %d: %v", layer, i, err)
					}
				}
				s.Close()
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestTwoGPUParts runs both parts on the GPU: it can be either.
func TestTwoGPUParts(t *testing.T) {
	d, _ := device(t)
	f, p := archtest.Stories(t)
	reference := ref.New(0)
	defer reference.Close()
	want, err := archtest.NewStoryteller(t, reference, p).Tell(archtest.Beginning, 12)
	if err != nil {
		t.Fatal(err)
	}
	e := gpu.New(d, f.Mappings())
	defer e.Close()
	got, err := archtest.NewStoryteller(t, split.New(e, e, 2), p).Tell(archtest.Beginning, 12)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %v, the reference %v", got, want)
	}
}

// TestStory tells a story over two blocks of the cache, with every number of
// layers on the GPU.
func TestStory(t *testing.T) {
	d, _ := device(t)
	f, p := archtest.Stories(t)
	reference := ref.New(0)
	defer reference.Close()
	want, err := archtest.NewStoryteller(t, reference, p).Tell(archtest.Beginning, 40)
	if err != nil {
		t.Fatal(err)
	}
	for layer := range p.Layers() {
		if race && layer != 2 {
			continue
		}
		e := split.New(ref.New(0), gpu.New(d, f.Mappings()), layer)
		got, err := archtest.NewStoryteller(t, e, p).Tell(archtest.Beginning, 40)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("cut before layer %d: told %v, the reference %v", layer, got, want)
		}
		e.Close()
	}
}

// TestSessions lets several sessions tell stories at once.
func TestSessions(t *testing.T) {
	d, _ := device(t)
	f, p := archtest.Stories(t)
	e := split.New(ref.New(2), gpu.New(d, f.Mappings()), 3)
	defer e.Close()
	want, err := archtest.NewStoryteller(t, e, p).Tell(archtest.Beginning, 10)
	if err != nil {
		t.Fatal(err)
	}
	type story struct {
		told []int32
		err  error
	}
	told := make(chan story)
	const n = 3
	for range n {
		s := archtest.NewStoryteller(t, e, p)
		go func() {
			ids, err := s.Tell(archtest.Beginning, 10)
			told <- story{ids, err}
		}()
	}
	for range n {
		if s := <-told; s.err != nil || !slices.Equal(s.told, want) {
			t.Errorf("told %v, %v; alone %v", s.told, s.err, want)
		}
	}
}

// TestFaults makes the GPU fail in the middle of a story: the step is an error
// that says which, and after it the story goes on as if nothing had been, unless
// the system takes no more work.
func TestFaults(t *testing.T) {
	f, p := archtest.Stories(t)
	for fault, lasts := range map[emu.Fault]bool{emu.OutOfMemory: false, emu.PageFault: false, emu.SubmissionsIgnored: true} {
		d, m := emulated(t)
		e := split.New(ref.New(0), gpu.New(d, f.Mappings()), 3)
		want, err := archtest.NewStoryteller(t, e, p).Tell(archtest.Beginning, 8)
		if err != nil {
			t.Fatal(err)
		}
		s := archtest.NewStoryteller(t, e, p)
		story, err := s.Tell(archtest.Beginning, 4)
		if err != nil {
			t.Fatal(err)
		}
		at := fmt.Sprintf("step of 1 tokens from position %d", len(s.Read))
		m.Inject(fault, 0)
		var failure *metal.Error
		if _, err = s.Next(want[4]); !errors.As(err, &failure) || !strings.Contains(err.Error(), at) {
			t.Fatalf("fault %d: error %v, want one that says %q", fault, err, at)
		}
		if s.Runner.Result() != nil {
			t.Errorf("fault %d: there is a result after an error", fault)
		}
		for story = append(story, want[4]); len(story) < len(want); {
			id, err := s.Next(story[len(story)-1])
			if err != nil {
				if !lasts || !strings.Contains(err.Error(), "closed") {
					t.Errorf("fault %d: the step after: %v", fault, err)
				}
				break
			}
			story = append(story, id)
		}
		if !lasts && !slices.Equal(story, want) {
			t.Errorf("fault %d: told %v around the error, %v without", fault, story, want)
		}
		e.Close()
	}
}

// broken is an executor whose steps from a position on fail.
type broken struct {
	program.Executor
	from int32
}

type brokenRunner struct {
	program.Runner
	from int32
}

var errBroken = errors.New("broken")

func (e broken) Compile(p *program.Program, kv *program.KVMemory, l program.Limits) (program.Runner, error) {
	r, err := e.Executor.Compile(p, kv, l)
	return brokenRunner{r, e.from}, err
}

func (r brokenRunner) Run(s *program.Step) error {
	if s.Positions[0] >= r.from {
		return errBroken
	}
	return r.Runner.Run(s)
}

// TestFirstFails has the first part fail: an error that says which step, and no
// result, neither of this step nor of the one before.
func TestFirstFails(t *testing.T) {
	_, p := archtest.Stories(t)
	e := split.New(broken{ref.New(1), 14}, ref.New(1), 2)
	defer e.Close()
	s := archtest.NewStoryteller(t, e, p)
	story, err := s.Tell(archtest.Beginning, 4)
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "step of 1 tokens from position 14") || len(story) != 3 {
		t.Errorf("%d tokens told, error %v", len(story), err)
	}
	if s.Runner.Result() != nil {
		t.Error("there is a result after an error")
	}
}

// TestRefused compiles what cannot be: a layer that is not there, memory that is
// another executor's.
func TestRefused(t *testing.T) {
	_, p := archtest.Stories(t)
	limits := program.Limits{Tokens: 4, Outputs: 1}
	for _, layer := range []int{-1, 5} {
		e := split.New(ref.New(1), ref.New(1), layer)
		memory, err := program.NewKVMemory(nil, p.KV, gguf.F16, kv.BlockSize, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Compile(p, memory, limits); err == nil || !strings.Contains(err.Error(), "no layer") {
			t.Errorf("layer %d of 5: %v", layer, err)
		}
		e.Close()
	}
	d, _ := device(t)
	f, _ := archtest.Stories(t)
	e := split.New(ref.New(1), gpu.New(d, f.Mappings()), 2)
	defer e.Close()
	memory, err := program.NewKVMemory(nil, p.KV, gguf.F16, kv.BlockSize, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Compile(p, memory, limits); err == nil || !strings.Contains(err.Error(), "from layer 2 on") || !strings.Contains(err.Error(), "not in memory of this executor") {
		t.Errorf("Go's memory for the GPU's layers: %v", err)
	}
}
