package gpu

import (
	"reflect"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal/emu"
)

// TestPlannerIsRunner holds what is planned without a device to what a runner
// does on one: the same launches with the same barriers.
func TestPlannerIsRunner(t *testing.T) {
	f, p := archtest.Stories(t)
	limits := program.Limits{Tokens: 40, Outputs: 1}
	q, err := NewPlanner(p, gguf.F16, limits)
	if err != nil {
		t.Fatal(err)
	}
	e := New(machine(t, emu.Options{}).Device(), f.Mappings())
	defer e.Close()
	memory, err := program.NewKVMemory(e, p.KV, gguf.F16, 32, 4)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := e.Compile(p, memory, limits)
	if err != nil {
		t.Fatal(err)
	}
	r := compiled.(*runner)
	if got, want := q.Scratch.Activations+q.Scratch.Attention, int64(r.arena.Len()+r.parts.Len()); got != want {
		t.Errorf("scratch of %d bytes, the runner has %d", got, want)
	}
	if got, want := q.Scratch.Step, int64(r.step.buffer.Len()); got != want {
		t.Errorf("step buffer of %d bytes, the runner's has %d", got, want)
	}
	for _, s := range []shape{{1, 1, 4, 0, true}, {5, 1, 1, 1, false}, {40, 1, 2, 2, false}} {
		plan, err := r.lower(s)
		if err != nil {
			t.Fatal(err)
		}
		list, err := q.Step(s.tokens, s.outputs, 32*s.pages)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != len(plan.launches) {
			t.Errorf("%+v: %d launches planned, the runner has %d", s, len(list), len(plan.launches))
			continue
		}
		messages := plan.messages()
		for i, d := range list {
			l := plan.launches[i]
			if d.Messages != messages[i] {
				t.Errorf("%+v: launch %d: %d messages, the runner's %d", s, i, d.Messages, messages[i])
			}
			if d.Barrier != l.barrier {
				t.Errorf("%+v: launch %d: barrier %v, the runner's %v", s, i, d.Barrier, l.barrier)
			}
			d.Read = l.Read // of the cache, too
			if !reflect.DeepEqual(d.Launch, l.Launch) {
				t.Errorf("%+v: launch %d: %+v, the runner's is %+v", s, i, d.Launch, l.Launch)
			}
		}
	}
}

// TestPlannerCounts counts stories260K by hand: width 64, 5 layers, 8 heads of 8
// over 4 KV heads, 172 wide between, 512 tokens of vocabulary.
func TestPlannerCounts(t *testing.T) {
	_, p := archtest.Stories(t)
	q, err := NewPlanner(p, gguf.F16, program.Limits{Tokens: 8, Outputs: 1})
	if err != nil {
		t.Fatal(err)
	}
	const layer = 64*64*2 + 64*32*2 + 3*64*172
	for _, c := range []struct{ tokens, end, pairs int }{{1, 100, 100}, {8, 100, 93 + 94 + 95 + 96 + 97 + 98 + 99 + 100}} {
		want := int64(2*(5*layer*c.tokens+64*512) + 5*2*c.pairs*8*(8+8))
		if got := q.FLOPs(c.tokens, 1, c.end); got != want {
			t.Errorf("%d tokens before %d: %d FLOPs, want %d", c.tokens, c.end, got, want)
		}
	}
	list, err := q.Step(1, 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	var read int64
	for _, d := range list {
		if d.Op == "Attention" && d.Layer == 2 {
			read += d.Read
		}
	}
	// 100 keys and values of 32 float16, the queries.
	if want := int64(100*2*32*2 + 4*64); read != want {
		t.Errorf("attention of layer 2 reads %d bytes, want %d", read, want)
	}
}

func TestSeenFrom(t *testing.T) {
	for _, c := range []struct{ window, chunk, position, want int }{{0, 0, 100, 0}, {32, 0, 100, 69}, {32, 0, 10, 0}, {0, 64, 100, 64}} {
		if got := seenFrom(&program.Attention{Window: c.window, Chunk: c.chunk}, c.position); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// planned holds what is planned of a model to what a runner does, without its
// kernels.
func planned(t *testing.T, name string, p *program.Program, r *runner) {
	t.Helper()
	q, err := NewPlanner(p, gguf.F16, r.limits)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, s := range []shape{{1, 1, 2, 0, true}, {40, 1, 2, 2, false}} {
		plan, err := r.lower(s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list, err := q.Step(s.tokens, s.outputs, 32*s.pages)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same := len(list) == len(plan.launches)
		for i := 0; same && i < len(list); i++ {
			l := plan.launches[i]
			same = list[i].Barrier == l.barrier && list[i].Kernel == l.Kernel && list[i].Groups == l.Groups && list[i].Written == l.Written
		}
		if !same {
			t.Errorf("%s: %+v: what is planned is not what the runner does", name, s)
		}
	}
	if r.grouped.buffer != nil && int64(r.grouped.buffer.Len()) != q.Scratch.Experts {
		t.Errorf("%s: %d bytes planned for experts, the runner has %d", name, q.Scratch.Experts, r.grouped.buffer.Len())
	}
}
