package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
)

// fed is a storyteller that can let its runner feed itself.
type fed struct{ *archtest.Storyteller }

func newFed(t *testing.T, e program.Executor, p *program.Program) fed {
	t.Helper()
	return fed{archtest.NewStoryteller(t, e, p)}
}

// feed starts a step at the next position: of a token, or without.
func (s fed) feed(tokens ...int32) error {
	at := s.Sequence.Len()
	if err := s.Sequence.Grow(1); err != nil {
		return err
	}
	return s.Runner.(program.Feeder).Feed(&program.Step{Tokens: tokens, Positions: []int32{int32(at)}, Sequences: []int32{0},
		Tables: [][]int32{s.Sequence.Table()}, Outputs: []int32{0}})
}

// picked waits for the oldest step, which read a token.
func (s fed) picked(read int32) (int32, error) {
	ids, err := s.Runner.(program.Feeder).Picked()
	if err != nil {
		s.Sequence.Truncate(len(s.Read))
		return 0, err
	}
	s.Read = append(s.Read, read)
	return ids[0], nil
}

// drop forgets the steps under way.
func (s fed) drop() {
	s.Runner.(program.Feeder).Drop()
	s.Sequence.Truncate(len(s.Read))
}

// tellFed is Tell, with a step always under way.
func (s fed) tellFed(prompt []int32, n int) (story []int32, err error) {
	id, err := s.Next(prompt...)
	if err == nil {
		err = s.feed(id)
	}
	for err == nil && len(story) < n {
		if err = s.feed(); err == nil {
			story = append(story, id)
			id, err = s.picked(id)
		}
	}
	s.drop()
	return story, err
}

// twins makes every second token's logit that of the one before it.
func twins(t *testing.T, f *gguf.File) {
	t.Helper()
	n := 0
	for _, tensor := range f.Tensors {
		if tensor.Name != "output.weight" && tensor.Name != "token_embd.weight" {
			continue
		}
		n++
		data, row := slices.Clone(tensor.Data), len(tensor.Data)/tensor.Rows()
		for i := 0; i+1 < tensor.Rows(); i += 2 {
			copy(data[(i+1)*row:(i+2)*row], data[i*row:(i+1)*row])
		}
		tensor.Data = data
	}
	if n == 0 {
		t.Fatal("no matrix of the output")
	}
}

// TestFeed holds a story that the GPU feeds itself against the one it is fed, and
// the reference executor's: past blocks of the cache and a plan for more pages, also where two tokens are always the likeliest.
func TestFeed(t *testing.T) {
	d, _ := device(t)
	for _, tied := range []bool{false, true} {
		f, p := archtest.Stories(t)
		if tied {
			twins(t, f)
		}
		r := ref.New(0)
		defer r.Close()
		want, err := archtest.NewStoryteller(t, r, p).Tell(archtest.Beginning, 70)
		if err != nil {
			t.Fatal(err)
		}
		if tied && slices.ContainsFunc(want, func(id int32) bool { return id%2 != 0 }) {
			t.Fatalf("the reference told %v", want)
		}
		e := New(d, f.Mappings())
		defer e.Close()
		s := newFed(t, e, p)
		got, err := s.tellFed(archtest.Beginning, 70)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("ties %v: fed %v, the reference %v", tied, got, want)
		}
		// The same again, from the middle on, fed and not.
		for _, tell := range []func([]int32, int) ([]int32, error){s.Tell, s.tellFed} {
			const back = 45
			s.Read = s.Read[:len(archtest.Beginning)+back]
			s.Sequence.Truncate(len(s.Read))
			again, err := tell(want[back:back+1], 20)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(again, want[back+1:back+21]) {
				t.Errorf("ties %v: from the middle %v, want %v", tied, again, want[back+1:back+21])
			}
		}
	}
}

// TestFeedAhead feeds two steps while the GPU is kept from beginning.
func TestFeedAhead(t *testing.T) {
	f, p := archtest.Stories(t)
	d, _ := device(t)
	e := New(d, f.Mappings())
	defer e.Close()
	want, err := archtest.NewStoryteller(t, e, p).Tell(archtest.Beginning, 3)
	if err != nil {
		t.Fatal(err)
	}
	s := newFed(t, e, p)
	id, err := s.Next(archtest.Beginning...)
	if err != nil {
		t.Fatal(err)
	}
	event, err := d.NewSharedEvent()
	if err != nil {
		t.Fatal(err)
	}
	defer event.Release()
	r := s.Runner.(*runner)
	gate, err := r.queue.CommandBuffer()
	if err != nil {
		t.Fatal(err)
	}
	gate.WaitFor(event, 1)
	open := sync.OnceFunc(func() { event.Set(1) })
	defer open() // whatever happens, or nothing ends
	if err := gate.Commit(); err != nil {
		t.Fatal(err)
	}
	defer gate.Release()
	if err := errors.Join(s.feed(id), s.feed()); err != nil {
		t.Fatal(err)
	}
	if r.flying != 2 || r.flights[0].buffers[0].Status() >= metal.Completed || r.flights[1].buffers[0].Status() >= metal.Completed {
		t.Fatal("two steps are not under way")
	}
	if err := s.feed(); err == nil {
		t.Error("a third step was taken")
	}
	s.Sequence.Truncate(s.Sequence.Len() - 1)
	open()
	for i, read := range want[:2] {
		if got, err := s.picked(read); got != want[i+1] || err != nil {
			t.Errorf("step %d picked %d, %v; want %d", i, got, err, want[i+1])
		}
	}
	if _, err := r.Picked(); err == nil {
		t.Error("a step was picked from that was not fed")
	}
	// What was picked last is still there for a step without tokens.
	if err := s.feed(); err != nil {
		t.Error(err)
	}
	if err := s.feed(5); err == nil {
		t.Error("a step of a token was taken while one picks it")
	}
	s.drop()
	if err := s.feed(); err == nil {
		t.Error("a step without tokens was taken after what it reads was dropped")
	}
	none := &program.Step{Tokens: []int32{1}, Positions: []int32{0}, Sequences: []int32{0}, Tables: [][]int32{s.Sequence.Table()}}
	if err := r.Feed(none); err == nil || !strings.Contains(err.Error(), "outputs") {
		t.Errorf("a step without outputs: %v", err)
	}
}

// TestFeedMany feeds two sequences at once, whose tables outgrow the step buffer
// while steps are under way.
func TestFeedMany(t *testing.T) {
	f, p := archtest.Stories(t)
	d, _ := device(t)
	e := New(d, f.Mappings())
	defer e.Close()
	memory, err := program.NewKVMemory(e, p.KV, gguf.F16, 32, 8)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := e.Compile(p, memory, program.Limits{Tokens: 16, Outputs: 2})
	if err != nil {
		t.Fatal(err)
	}
	r := compiled.(*runner)
	tables := [][]int32{{3, 0, 6}, {1, 7, 2}}
	step := func(at int, tokens []int32) *program.Step {
		return &program.Step{Tokens: tokens, Positions: []int32{int32(at), int32(at + 20)}, Sequences: []int32{0, 1}, Tables: tables, Outputs: []int32{0, 1}}
	}
	read := func(q, from, n int) {
		s := &program.Step{Tables: tables}
		for i := range n {
			s.Tokens, s.Positions, s.Sequences = append(s.Tokens, int32(40*q+from+i+3)), append(s.Positions, int32(from+i)), append(s.Sequences, int32(q))
		}
		if err := r.Run(s); err != nil {
			t.Fatal(err)
		}
	}
	read(0, 0, 10)
	read(1, 0, 16)
	read(1, 16, 14)
	const steps = 60
	var want [][]int32
	last := []int32{7, 9}
	for i := range steps {
		if err := r.Run(step(10+i, last)); err != nil {
			t.Fatal(err)
		}
		v := len(r.Result()) / 2
		last = nil
		for q := range 2 {
			row := r.Result()[q*v : (q+1)*v]
			last = append(last, int32(slices.Index(row, slices.Max(row))))
		}
		want = append(want, last)
	}
	// Room for no table: they outgrow it every few steps.
	r.step.divide(r.limits, 1)
	was := r.step.buffer
	if r.step.buffer, err = r.step.allocate(); err != nil {
		t.Fatal(err)
	}
	was.Release()
	clear(r.plans)
	r.discard()
	grown := 0
	if err := r.Feed(step(10, []int32{7, 9})); err != nil {
		t.Fatal(err)
	}
	for i := range steps {
		room := r.step.tables.n
		if err := r.Feed(step(11+i, nil)); err != nil {
			t.Fatal(err)
		}
		if r.step.tables.n != room {
			grown++
		}
		got, err := r.Picked()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want[i]) {
			t.Fatalf("step %d picked %v, want %v", i, got, want[i])
		}
	}
	if grown == 0 {
		t.Error("the tables never outgrew their room with a step under way")
	}
	r.Drop()
}

// TestFeedFaults makes the GPU fail with two steps under way, the older one or the
// younger. The error must tell the step; what was picked before stands, and
// where the system still takes work the story goes on from there.
func TestFeedFaults(t *testing.T) {
	f, p := archtest.Stories(t)
	for _, c := range []struct {
		name  string
		fault emu.Fault
		code  int
		lasts bool
	}{
		{"OutOfMemory", emu.OutOfMemory, metal.CodeOutOfMemory, false},
		{"Timeout", emu.Timeout, metal.CodeTimeout, false},
		{"PageFault", emu.PageFault, metal.CodePageFault, false},
		{"Interactivity", emu.Interactivity, metal.CodeInternal, false},
		{"SubmissionsIgnored", emu.SubmissionsIgnored, metal.CodeIgnored, true},
		{"DeviceRemoved", emu.DeviceRemoved, metal.CodeDeviceRemoved, true},
	} {
		for _, younger := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s/%d", c.name, younger), func(t *testing.T) {
				m := machine(t, emu.Options{Hazards: true})
				e := New(m.Device(), f.Mappings())
				defer e.Close()
				want, err := archtest.NewStoryteller(t, e, p).Tell(archtest.Beginning, 12)
				if err != nil {
					t.Fatal(err)
				}
				s := newFed(t, e, p)
				if _, err := s.tellFed(archtest.Beginning, 4); err != nil {
					t.Fatal(err)
				}
				known := 4 // tokens picked; the session has read all but the last
				m.Inject(c.fault, younger)
				if err := errors.Join(s.feed(want[known]), s.feed()); err != nil {
					t.Fatal(err)
				}
				for ; err == nil && known < len(want)-1; known++ {
					var id int32
					if id, err = s.picked(want[known]); err == nil && id != want[known+1] {
						t.Fatalf("picked %d after %d, want %d", id, want[known], want[known+1])
					}
					if err != nil {
						break
					}
				}
				var failure *metal.Error
				at := fmt.Sprintf("step of 1 tokens from position %d", len(archtest.Beginning)+4+younger)
				if !errors.As(err, &failure) || failure.Code != c.code || !strings.Contains(err.Error(), at) || known != 4+younger {
					t.Fatalf("error %v after %d tokens, want one of code %d that says %q", err, known, c.code, at)
				}
				if s.Runner.(*runner).flying != 0 || s.Runner.Result() != nil {
					t.Error("after the error a step is under way, or there is a result")
				}
				if err := s.feed(); err == nil {
					t.Error("a step without tokens was taken after the error")
				}
				s.Sequence.Truncate(len(s.Read))
				if c.lasts {
					if err = s.feed(want[known]); err == nil || !strings.Contains(err.Error(), "closed") {
						t.Errorf("the step after: error %v, want one that says the executor is closed", err)
					}
					return
				}
				id, err := s.Next(want[known])
				if err != nil || id != want[known+1] {
					t.Fatalf("after the error: %d, %v; want %d", id, err, want[known+1])
				}
				story, err := s.tellFed([]int32{id}, len(want)-known-2)
				if err != nil || !slices.Equal(story, want[known+2:]) {
					t.Errorf("told %v after the error, %v; want %v", story, err, want[known+2:])
				}
			})
		}
	}
}
