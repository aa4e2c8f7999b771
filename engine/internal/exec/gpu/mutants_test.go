package gpu

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
)

var mutants = flag.Int("mutants", 8, "how many changes of a plan TestMutants tries, of each kind")

// TestMutants changes plans in a way a mistake in lowering would: a barrier
// left out, two buffers swapped, less threadgroup memory. Each change must be
// seen: by a rule of Metal's that is broken, an error of the GPU, or other
// logits.
func TestMutants(t *testing.T) {
	canCompile(t)
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	_, p := archtest.Stories(t)
	m, err := emu.Open(emu.Options{PageSize: os.Getpagesize(), Hazards: true, Seed: seed | 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e := New(m.Device(), nil) // with weights of its own, that can be put back
	defer e.Close()
	memory, err := program.NewKVMemory(e, p.KV, gguf.F16, 32, 8)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := e.Compile(p, memory, program.Limits{Tokens: 150, Outputs: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := compiled.(*runner)
	table := []int32{6, 2, 7, 0, 5, 3} // no position is its own slot
	step := func(from, n int) *program.Step {
		s := &program.Step{Tables: [][]int32{table}, Outputs: []int32{int32(n - 1)}}
		for i := range n {
			s.Tokens = append(s.Tokens, int32((from+i)*37%512))
			s.Positions = append(s.Positions, int32(from+i))
			s.Sequences = append(s.Sequences, 0)
		}
		return s
	}
	if err := r.Run(step(0, 150)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, n int // positions that no step before has written
		pick    bool
	}{{150, 1, false}, {151, 12, false}, {163, 1, true}, {164, 4, false}} { // split positions, tiles of rows, a token picked, columns
		n, s := c.n, step(c.from, c.n)
		// run returns the step's logits and the token picked.
		run := func() ([]float32, int32, error) {
			if !c.pick {
				err := r.Run(s)
				return r.Result(), 0, err
			}
			if err := r.Feed(s); err != nil {
				return nil, 0, err
			}
			picked, err := r.Picked()
			if err != nil {
				return nil, 0, err
			}
			at := r.tensor(r.program.Result, 1)
			logits := words(r.arena)[at.offset/4:][:at.size/4]
			return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(logits))), len(logits)), picked[0], nil
		}
		before := r.contents()
		logits, token, err := run()
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(logits)
		var plan *plan
		for shape, p := range r.plans {
			if shape.tokens == n && shape.pick == c.pick {
				plan = p
			}
		}
		// seen reports whether the plan as it is now is found out. What depends on the
		// order of dispatches may go well by chance: several orders are tried.
		seen := func() bool {
			for range 6 {
				restore(before)
				r.discard() // what the plan as it was encoded
				logits, picked, err := run()
				if err != nil || picked != token || len(m.TakeViolations()) > 0 {
					return true
				}
				for i, v := range logits {
					if !(math.Abs(float64(v-want[i])) < 1e-3) {
						return true
					}
				}
			}
			return false
		}
		if seen() {
			t.Fatalf("steps of %d tokens: the plan itself is found out", n)
		}
		var barriers, swaps, shorts []func() (undo func(), what string)
		for i := range plan.launches {
			l := &plan.launches[i]
			name := fmt.Sprintf("launch %d, %s", i, l.key.Kernel.Name)
			if l.barrier && i > 0 {
				barriers = append(barriers, func() (func(), string) {
					l.barrier = false
					return func() { l.barrier = true }, name + ": without its barrier"
				})
			}
			for j := range l.bindings {
				for k := range j {
					a, b := &l.bindings[j], &l.bindings[k]
					if a.place == b.place {
						continue
					}
					swaps = append(swaps, func() (func(), string) {
						a.place, b.place = b.place, a.place
						return func() { a.place, b.place = b.place, a.place }, fmt.Sprintf("%s: buffers %d and %d swapped", name, a.index, b.index)
					})
				}
			}
			if n := l.Shared; n >= 32 {
				shorts = append(shorts, func() (func(), string) {
					l.Shared = n / 2 &^ 15
					return func() { l.Shared = n }, name + ": half the threadgroup memory"
				})
			}
		}
		for _, list := range [][]func() (func(), string){barriers, swaps, shorts} {
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			for _, mutate := range list[:min(*mutants, len(list))] {
				undo, what := mutate()
				if !seen() {
					t.Errorf("steps of %d tokens: %s: nothing is seen of it", n, what)
				}
				undo()
			}
		}
		t.Logf("steps of %d tokens: up to %d of %d barriers, %d swaps, %d sizes", n, *mutants, len(barriers), len(swaps), len(shorts))
		restore(before)
		r.discard() // what the plan as it was encoded
		m.TakeViolations()
		if seen() {
			t.Errorf("steps of %d tokens: the plan is not what it was", n)
		}
	}
}

// contents copies all that a step does not write anew: weights, KV memory,
// frequencies.
func (r *runner) contents() map[*metal.Buffer][]byte {
	copies := map[*metal.Buffer][]byte{}
	list := append(slices.Collect(maps.Keys(r.e.memory)), r.e.weights.buffers...)
	for _, t := range r.ropes {
		list = append(list, t.frequencies)
	}
	for _, b := range list {
		copies[b] = slices.Clone(b.Bytes())
	}
	return copies
}

// restore puts them back.
func restore(copies map[*metal.Buffer][]byte) {
	for b, c := range copies {
		copy(b.Bytes(), c)
	}
}
