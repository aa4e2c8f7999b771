package gpu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gollm/gollm/engine/internal/arch"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
)

// storyteller is stories260K on an executor, with a cache of its own.
type storyteller struct {
	runner program.Runner
	seq    *kv.Sequence
	tokens []int32
}

func openStories(t *testing.T) (*gguf.File, *program.Program) {
	t.Helper()
	f, err := gguf.Open("../../../../testdata/stories260K.gguf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	m, err := arch.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	p, err := arch.Program(m, arch.Options{Context: 128}, false)
	if err != nil {
		t.Fatal(err)
	}
	return f, p
}

func newStoryteller(t *testing.T, e program.Executor, p *program.Program) *storyteller {
	t.Helper()
	pool, err := kv.New(e, p.KV, gguf.F16, 128)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Compile(p, pool.Memory(), program.Limits{Tokens: 16, Outputs: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &storyteller{runner: r, seq: pool.NewSequence(0)}
}

// next reads tokens and returns the likeliest that follows. An error leaves the
// story as it was.
func (s *storyteller) next(tokens ...int32) (int32, error) {
	if err := s.seq.Grow(len(tokens)); err != nil {
		return 0, err
	}
	step := &program.Step{Tokens: tokens, Tables: [][]int32{s.seq.Table()}, Outputs: []int32{int32(len(tokens) - 1)}}
	for i := range tokens {
		step.Positions = append(step.Positions, int32(len(s.tokens)+i))
		step.Sequences = append(step.Sequences, 0)
	}
	if err := s.runner.Run(step); err != nil {
		s.seq.Truncate(len(s.tokens))
		return 0, err
	}
	s.tokens = append(s.tokens, tokens...)
	logits := s.runner.Result()
	return int32(slices.Index(logits, slices.Max(logits))), nil
}

// tell returns n tokens after the prompt.
func (s *storyteller) tell(prompt []int32, n int) (story []int32, err error) {
	id, err := s.next(prompt...)
	for err == nil && len(story) < n {
		story = append(story, id)
		id, err = s.next(id)
	}
	return story, err
}

// prompt is some tokens of the vocabulary, the first that of the beginning.
var prompt = []int32{1, 403, 407, 261, 378, 432, 285, 388, 399, 411, 266, 401}

// TestStory holds a greedy text over two blocks of the cache against the
// reference executor's.
func TestStory(t *testing.T) {
	f, p := openStories(t)
	r := ref.New(0)
	defer r.Close()
	want, err := newStoryteller(t, r, p).tell(prompt, 40)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := device(t)
	e := New(d, f.Mappings())
	defer e.Close()
	got, err := newStoryteller(t, e, p).tell(prompt, 40)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %v, the reference %v", got, want)
	}
}

// TestFaults makes the GPU fail in the middle of a story. The step must be an
// error, and where the system still takes work, the same step again must go on as
// if nothing had been; where it takes none, every further step must say so.
func TestFaults(t *testing.T) {
	f, p := openStories(t)
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
		{"Internal", emu.Internal, metal.CodeInternal, false},
		{"SubmissionsIgnored", emu.SubmissionsIgnored, metal.CodeIgnored, true},
		{"DeviceRemoved", emu.DeviceRemoved, metal.CodeDeviceRemoved, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine(t, emu.Options{})
			e := New(m.Device(), f.Mappings())
			defer e.Close()
			want, err := newStoryteller(t, e, p).tell(prompt, 8)
			if err != nil {
				t.Fatal(err)
			}
			s := newStoryteller(t, e, p)
			story, err := s.tell(prompt, 4)
			if err != nil {
				t.Fatal(err)
			}
			at := fmt.Sprintf("step of 1 tokens from position %d", len(s.tokens))
			id := want[4]
			m.Inject(c.fault, 0)
			_, err = s.next(id)
			var failure *metal.Error
			if !errors.As(err, &failure) || failure.Code != c.code || !strings.Contains(err.Error(), at) {
				t.Fatalf("error %v, want one of code %d that says %q", err, c.code, at)
			}
			if s.runner.Result() != nil {
				t.Error("there is a result after an error")
			}
			if c.lasts {
				if _, err = s.next(id); err == nil || !strings.Contains(err.Error(), "closed") {
					t.Errorf("the step after: error %v, want one that says the executor is closed", err)
				}
				other := newStoryteller(t, e, p)
				if _, err = other.next(1); err == nil {
					t.Error("another runner of the executor has no error")
				}
				return
			}
			story = append(story, id)
			for len(story) < len(want) {
				next, err := s.next(story[len(story)-1])
				if err != nil {
					t.Fatalf("after the error: %v", err)
				}
				story = append(story, next)
			}
			if !slices.Equal(story, want) {
				t.Errorf("told %v around the error, %v without", story, want)
			}
		})
	}
}

// TestWatchdog lets the system end a step that takes too long.
func TestWatchdog(t *testing.T) {
	f, p := openStories(t)
	m := machine(t, emu.Options{Watchdog: time.Microsecond})
	e := New(m.Device(), f.Mappings())
	defer e.Close()
	_, err := newStoryteller(t, e, p).next(prompt...)
	var failure *metal.Error
	if !errors.As(err, &failure) || failure.Code != metal.CodeTimeout {
		t.Errorf("error %v, want a timeout", err)
	}
}

// TestKeepKernels compiles the kernels once for two executors, and again when the
// file they are kept in is damaged.
func TestKeepKernels(t *testing.T) {
	f, p := openStories(t)
	m := machine(t, emu.Options{})
	dir := t.TempDir()
	run := func() {
		e := New(m.Device(), f.Mappings())
		defer e.Close()
		if err := e.KeepKernels(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := newStoryteller(t, e, p).next(prompt...); err != nil {
			t.Fatal(err)
		}
	}
	run()
	first := m.Stats()
	run()
	second := m.Stats()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("kept in %v, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("not what was kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	run()
	third := m.Stats()
	if n := third.Pipelines - second.Pipelines; n != first.Pipelines {
		t.Errorf("with the file damaged %d pipelines were compiled, at first %d", n, first.Pipelines)
	}
	run()
	if n := m.Stats().Pipelines - third.Pipelines; n != 0 {
		t.Errorf("%d pipelines were compiled after the damaged file was written anew", n)
	}
	if first.Pipelines == 0 || second.Pipelines != first.Pipelines || second.ArchiveHits < first.Pipelines {
		t.Errorf("%d pipelines compiled, then %d more, %d found in the archive", first.Pipelines, second.Pipelines-first.Pipelines, second.ArchiveHits)
	}
}

// TestOldSystem tells a story on macOS 13: MSL 3.0, no residency sets.
func TestOldSystem(t *testing.T) {
	f, p := openStories(t)
	m := machine(t, emu.Options{Darwin: 22})
	e := New(m.Device(), f.Mappings())
	defer e.Close()
	if _, err := newStoryteller(t, e, p).tell(prompt, 3); err != nil {
		t.Fatal(err)
	}
}
