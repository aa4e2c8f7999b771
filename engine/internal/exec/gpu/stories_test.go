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

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
)

// TestStory holds a greedy text over two blocks of the cache against the
// reference executor's.
func TestStory(t *testing.T) {
	f, p := archtest.Stories(t)
	r := ref.New(0)
	defer r.Close()
	want, err := archtest.NewStoryteller(t, r, p).Tell(archtest.Beginning, 40)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := device(t)
	e := New(d, f.Mappings())
	defer e.Close()
	got, err := archtest.NewStoryteller(t, e, p).Tell(archtest.Beginning, 40)
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
		{"Internal", emu.Internal, metal.CodeInternal, false},
		{"SubmissionsIgnored", emu.SubmissionsIgnored, metal.CodeIgnored, true},
		{"DeviceRemoved", emu.DeviceRemoved, metal.CodeDeviceRemoved, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine(t, emu.Options{})
			e := New(m.Device(), f.Mappings())
			defer e.Close()
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
			id := want[4]
			m.Inject(c.fault, 0)
			_, err = s.Next(id)
			var failure *metal.Error
			if !errors.As(err, &failure) || failure.Code != c.code || !strings.Contains(err.Error(), at) {
				t.Fatalf("error %v, want one of code %d that says %q", err, c.code, at)
			}
			if s.Runner.Result() != nil {
				t.Error("there is a result after an error")
			}
			if c.lasts {
				if _, err = s.Next(id); err == nil || !strings.Contains(err.Error(), "closed") {
					t.Errorf("the step after: error %v, want one that says the executor is closed", err)
				}
				other := archtest.NewStoryteller(t, e, p)
				if _, err = other.Next(1); err == nil {
					t.Error("another runner of the executor has no error")
				}
				return
			}
			story = append(story, id)
			for len(story) < len(want) {
				next, err := s.Next(story[len(story)-1])
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
	f, p := archtest.Stories(t)
	m := machine(t, emu.Options{Watchdog: time.Microsecond})
	e := New(m.Device(), f.Mappings())
	defer e.Close()
	_, err := archtest.NewStoryteller(t, e, p).Next(archtest.Beginning...)
	var failure *metal.Error
	if !errors.As(err, &failure) || failure.Code != metal.CodeTimeout {
		t.Errorf("error %v, want a timeout", err)
	}
}

// TestKeepKernels compiles the kernels once for two executors, and again when the
// file they are kept in is damaged.
func TestKeepKernels(t *testing.T) {
	f, p := archtest.Stories(t)
	m := machine(t, emu.Options{})
	dir := t.TempDir()
	run := func() {
		e := New(m.Device(), f.Mappings())
		defer e.Close()
		if err := e.KeepKernels(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := archtest.NewStoryteller(t, e, p).Next(archtest.Beginning...); err != nil {
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
	f, p := archtest.Stories(t)
	m := machine(t, emu.Options{Darwin: 22})
	e := New(m.Device(), f.Mappings())
	defer e.Close()
	if _, err := archtest.NewStoryteller(t, e, p).Tell(archtest.Beginning, 3); err != nil {
		t.Fatal(err)
	}
}
