package emu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// cachingExecutor notes what an executor with a memory of its own is told.
type cachingExecutor struct {
	fakeExecutor
	calls      []string
	generation map[string][]uint64 // by the buffer's label
	private    map[string]bool
	id         map[uint64]string
}

func (e *cachingExecutor) name(ids []uint64) (names []string) {
	for _, id := range ids {
		names = append(names, e.id[id])
	}
	return names
}

func (e *cachingExecutor) Flush(buffers ...uint64) error {
	e.calls = append(e.calls, fmt.Sprint("flush ", e.name(buffers)))
	return nil
}

func (e *cachingExecutor) Forget(buffer uint64) {
	e.calls = append(e.calls, fmt.Sprint("forget ", e.name([]uint64{buffer})))
}

func (e *cachingExecutor) Run(ctx context.Context, d *kernel.Dispatch) error {
	e.calls = append(e.calls, "run "+d.Kernel.Name())
	for _, b := range d.Buffers {
		if b.Buffer != 0 && !slices.Contains(e.generation[b.Label], b.Generation) {
			e.id[b.Buffer], e.private[b.Label] = b.Label, b.Private
			e.generation[b.Label] = append(e.generation[b.Label], b.Generation)
		}
	}
	return e.fakeExecutor.Run(ctx, d)
}

// TestCachingExecutor: what an executor must send again, bring back and forget.
func TestCachingExecutor(t *testing.T) {
	x := &cachingExecutor{generation: map[string][]uint64{}, private: map[string]bool{}, id: map[uint64]string{}}
	m := Test(t, Options{compiler: fakeCompiler{}, executor: x, PageSize: os.Getpagesize()})
	d := m.Device()
	add := pipe(t, fakes(t, d), d, "add", nil, metal.PipelineOptions{})
	q := newQueue(t, d, metal.QueueOptions{})

	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, make([]byte, os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	f := must[*os.File](t)(os.Open(path))
	defer f.Close()
	mapped := must[[]byte](t)(syscall.Mmap(int(f.Fd()), 0, os.Getpagesize(), syscall.PROT_READ, syscall.MAP_SHARED))
	defer syscall.Munmap(mapped)
	weights := must[*metal.Buffer](t)(d.NewBufferNoCopy(mapped, metal.Shared, nil))
	weights.SetLabel("weights")
	shared, private := newBuffer(t, d, 1, 2), must[*metal.Buffer](t)(d.NewBuffer(8, metal.Private))
	shared.SetLabel("shared")
	private.SetLabel("private")
	defer private.Release()

	for range 2 {
		if err := run(t, q, metal.ComputeOptions{}, func(e *metal.ComputeEncoder) {
			e.SetPipeline(add)
			e.SetBuffers(0, metal.Binding{Buffer: weights}, metal.Binding{Buffer: shared}, metal.Binding{Buffer: private})
			e.DispatchThreads(metal.Size{Width: 2, Height: 1, Depth: 1}, metal.Size{Width: 2, Height: 1, Depth: 1})
			e.Barrier()
			e.DispatchThreads(metal.Size{Width: 2, Height: 1, Depth: 1}, metal.Size{Width: 2, Height: 1, Depth: 1})
		}); err != nil {
			t.Fatal(err)
		}
	}
	for label, n := range map[string]int{"weights": 1, "shared": 2, "private": 1} {
		if len(x.generation[label]) != n {
			t.Errorf("%s: generations %v, want %d", label, x.generation[label], n)
		}
	}
	if x.private["shared"] || x.private["weights"] || !x.private["private"] {
		t.Errorf("private: %v", x.private)
	}
	want := []string{"run add", "run add", "flush []", "run add", "run add", "flush []"}
	if !slices.Equal(x.calls, want) {
		t.Errorf("calls %q, want %q", x.calls, want)
	}

	// A blit reads and writes the host's memory, and the private buffer is another then.
	x.calls = nil
	cb := must[*metal.CommandBuffer](t)(q.CommandBuffer())
	defer cb.Release()
	if err := cb.Blit("", func(e *metal.BlitEncoder) error {
		e.Copy(private, 0, shared, 0, 8)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := cb.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"flush [shared private]", "flush []"}; !slices.Equal(x.calls, want) {
		t.Errorf("calls %q, want %q", x.calls, want)
	}
	if err := run(t, q, metal.ComputeOptions{}, func(e *metal.ComputeEncoder) {
		e.SetPipeline(add)
		e.SetBuffers(0, metal.Binding{Buffer: shared}, metal.Binding{Buffer: shared}, metal.Binding{Buffer: private})
		e.DispatchThreads(metal.Size{Width: 1, Height: 1, Depth: 1}, metal.Size{Width: 1, Height: 1, Depth: 1})
	}); err != nil || len(x.generation["private"]) != 2 {
		t.Errorf("%v; after the copy the private buffer's generations are %v", err, x.generation["private"])
	}
	x.calls = nil
	weights.Release()
	if want := []string{"forget [weights]"}; !slices.Equal(x.calls, want) {
		t.Errorf("calls %q, want %q", x.calls, want)
	}
}
