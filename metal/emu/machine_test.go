package emu

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gollm/gollm/metal"
)

func TestEveryMessageHasAHandler(t *testing.T) {
	for _, m := range unhandled() {
		t.Errorf("%s", m)
	}
}

func TestVectorAdd(t *testing.T) {
	m := fake(t, Options{})
	d := m.Device()
	add := pipe(t, fakes(t, d), d, "add", nil, metal.PipelineOptions{Label: "add"})
	q := newQueue(t, d, metal.QueueOptions{Label: "q"})
	a, b, out := newBuffer(t, d, 1, 2, 3), newBuffer(t, d, 10, 20, 30), newBuffer(t, d, 0, 0, 0)
	if err := run(t, q, metal.ComputeOptions{Label: "enc"}, func(e *metal.ComputeEncoder) {
		e.SetPipeline(add)
		e.SetBuffers(0, metal.Binding{Buffer: a}, metal.Binding{Buffer: b}, metal.Binding{Buffer: out})
		e.DispatchThreads(metal.Size{Width: 3, Height: 1, Depth: 1}, metal.Size{Width: 2, Height: 1, Depth: 1})
	}); err != nil {
		t.Fatal(err)
	}
	if got := floats(out); !slices.Equal(got, []float32{11, 22, 33}) {
		t.Errorf("got %v", got)
	}
	if s := m.Stats(); s.Dispatches != 1 || s.CommandBuffers != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestDevice(t *testing.T) {
	chip, err := ChipNamed("M4 Max", 64*gib)
	if err != nil {
		t.Fatal(err)
	}
	d := fake(t, Options{Chip: chip}).Device()
	l := d.Limits()
	if d.Name() != "Apple M4 Max" || d.Architecture() != "applegpu_g16s" || !d.HasUnifiedMemory() || d.RegistryID() == 0 {
		t.Errorf("%q %q %t %d", d.Name(), d.Architecture(), d.HasUnifiedMemory(), d.RegistryID())
	}
	if l.RecommendedWorkingSet != 48*gib || l.MaxThreadgroupMemory != 32768 || l.MaxThreads != (metal.Size{Width: 1024, Height: 1024, Depth: 1024}) {
		t.Errorf("%+v", l)
	}
	if f := d.Families(); slices.Contains(f, metal.Apple10) || !slices.Contains(f, metal.Apple9) || !slices.Contains(f, metal.Metal4) {
		t.Errorf("families %v", f)
	}
	if _, err := ChipNamed("M1M", 0); err == nil {
		t.Error("chip M1M")
	}
	b := newBuffer(t, d, 1, 2)
	if d.AllocatedSize() != 16384 || b.AllocatedSize() != 16384 || b.GPUAddress() == 0 {
		t.Errorf("allocated %d, buffer %d at %#x", d.AllocatedSize(), b.AllocatedSize(), b.GPUAddress())
	}
}

func TestFreshBuffersAreNaN(t *testing.T) {
	d := fake(t, Options{}).Device()
	b := must[*metal.Buffer](t)(d.NewBuffer(64, metal.Shared))
	defer b.Release()
	for i, v := range floats(b) {
		if v == v {
			t.Errorf("float %d is %g", i, v)
		}
	}
}

func TestConstants(t *testing.T) {
	d := fake(t, Options{}).Device()
	l := fakes(t, d)
	p := pipe(t, l, d, "special", metal.Constants{3: uint32(77)}, metal.PipelineOptions{})
	out := newBuffer(t, d, 0)
	if err := run(t, newQueue(t, d, metal.QueueOptions{}), metal.ComputeOptions{Serial: true}, func(e *metal.ComputeEncoder) {
		e.SetPipeline(p)
		e.SetBuffer(0, out, 0)
		e.DispatchThreadgroups(metal.Size{Width: 1, Height: 1, Depth: 1}, metal.Size{Width: 1, Height: 1, Depth: 1})
	}); err != nil || floats(out)[0] != 77 {
		t.Errorf("got %v, %v", floats(out), err)
	}
	if _, err := l.Function("special", metal.Constants{3: int8(1)}); err == nil || !strings.Contains(err.Error(), "another type") {
		t.Errorf("wrong type: %v", err)
	}
	if _, err := l.Function("special", metal.Constants{3: 1}); err == nil || !strings.Contains(err.Error(), "type int ") {
		t.Errorf("Go type: %v", err)
	}
	if _, err := l.Function("nosuch", nil); err == nil || !strings.Contains(err.Error(), `"nosuch"`) {
		t.Errorf("no such function: %v", err)
	}
	f := must[*metal.Function](t)(l.Function("special", nil))
	defer f.Release()
	if _, err := d.NewPipeline(f, metal.PipelineOptions{}); err == nil || !strings.Contains(err.Error(), "has no value") {
		t.Errorf("constant without a value: %v", err)
	}
}

func TestPipelineReflection(t *testing.T) {
	d := fake(t, Options{}).Device()
	l := fakes(t, d)
	p := pipe(t, l, d, "shared", nil, metal.PipelineOptions{MaxThreads: 256, MultipleOfWidth: true})
	if p.MaxThreads() != 256 || p.Width() != 32 || p.StaticThreadgroupMemory() != 16384 {
		t.Errorf("%d %d %d", p.MaxThreads(), p.Width(), p.StaticThreadgroupMemory())
	}
	if n := l.Names(); !slices.Contains(n, "add") || len(n) != len(fakeKernels) {
		t.Errorf("names %v", n)
	}
}

func TestCompileErrorIsMetalsText(t *testing.T) {
	d := fake(t, Options{}).Device()
	_, err := d.NewLibrary("add\n#error use of undeclared identifier 'x'", metal.CompileOptions{Label: "bad"})
	var e *metal.Error
	if !errors.As(err, &e) || e.Text != "program_source:2:1: error: use of undeclared identifier 'x'" || e.Domain != libraryDomain {
		t.Errorf("%v", err)
	}
}

func TestLanguageVersionFallsBackOneStep(t *testing.T) {
	d := fake(t, Options{Darwin: 24}).Device()
	l := must[*metal.Library](t)(d.NewLibrary("add", metal.CompileOptions{Language: metal.MSL4_0}))
	defer l.Release()
	if l.Language() != metal.MSL3_2 {
		t.Errorf("language %s", l.Language())
	}
	old := fake(t, Options{Darwin: 22}).Device()
	if _, err := old.NewLibrary("add", metal.CompileOptions{Language: metal.MSL4_0}); err == nil || !strings.Contains(err.Error(), "metal3.2") {
		t.Errorf("two steps: %v", err)
	}
	for darwin, want := range map[int]metal.LanguageVersion{22: metal.MSL3_0, 23: metal.MSL3_1, 24: metal.MSL3_2, 25: metal.MSL4_0} {
		d := fake(t, Options{Darwin: darwin}).Device()
		l := must[*metal.Library](t)(d.NewLibrary("add", metal.CompileOptions{Math: metal.MathSafe, Precise: true}))
		if l.Language() != want {
			t.Errorf("Darwin %d: language %s, want %s", darwin, l.Language(), want)
		}
		l.Release()
	}
}

func TestMacros(t *testing.T) {
	d := fake(t, Options{}).Device()
	l := must[*metal.Library](t)(d.NewLibrary("KERNEL", metal.CompileOptions{Macros: map[string]string{"KERNEL": "add", "X": "1"}}))
	defer l.Release()
	if n := l.Names(); !slices.Equal(n, []string{"add"}) {
		t.Errorf("names %v", n)
	}
}

func TestLibraryFile(t *testing.T) {
	d := fake(t, Options{}).Device()
	path := filepath.Join(t.TempDir(), "k.metallib")
	if err := WriteLibrary(path, "add\nscale", metal.MSL3_1, nil); err != nil {
		t.Fatal(err)
	}
	l := must[*metal.Library](t)(d.OpenLibrary(path))
	defer l.Release()
	if n := l.Names(); !slices.Equal(n, []string{"add", "scale"}) {
		t.Errorf("names %v", n)
	}
	if _, err := d.OpenLibrary(path + ".none"); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, []byte("MTLB real one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.OpenLibrary(path); err == nil || !strings.Contains(err.Error(), "Invalid library file") {
		t.Errorf("real metallib: %v", err)
	}
}

// With barriers a concurrent encoder gives one result whatever the seed; without, the order differs
// between seeds, and with it the result.
func TestOrder(t *testing.T) {
	result := func(t *testing.T, seed uint64, barrier func(e *metal.ComputeEncoder, x, y *metal.Buffer)) float32 {
		d := fake(t, Options{Seed: seed}).Device()
		l := fakes(t, d)
		scale, add := pipe(t, l, d, "scale", nil, metal.PipelineOptions{}), pipe(t, l, d, "add", nil, metal.PipelineOptions{})
		x, y := newBuffer(t, d, 1), newBuffer(t, d, 10)
		one := metal.Size{Width: 1, Height: 1, Depth: 1}
		if err := run(t, newQueue(t, d, metal.QueueOptions{}), metal.ComputeOptions{}, func(e *metal.ComputeEncoder) {
			e.SetPipeline(scale)
			e.SetBuffer(0, x, 0)
			e.SetBytes(1, []byte{0, 0, 0, 0x40}) // 2
			e.DispatchThreads(one, one)
			barrier(e, x, y)
			e.SetPipeline(add)
			e.SetBuffers(0, metal.Binding{Buffer: x}, metal.Binding{Buffer: y}, metal.Binding{Buffer: x})
			e.DispatchThreads(one, one)
		}); err != nil {
			t.Fatal(err)
		}
		return floats(x)[0]
	}
	seen := map[float32]bool{}
	for seed := range uint64(16) {
		if v := result(t, seed+1, func(e *metal.ComputeEncoder, x, y *metal.Buffer) { e.Barrier() }); v != 12 {
			t.Fatalf("seed %d, barrier: %g", seed+1, v)
		}
		if v := result(t, seed+1, func(e *metal.ComputeEncoder, x, y *metal.Buffer) { e.BarrierFor(x) }); v != 12 {
			t.Fatalf("seed %d, barrier for x: %g", seed+1, v)
		}
		seen[result(t, seed+1, func(e *metal.ComputeEncoder, x, y *metal.Buffer) {})] = true
		seen[result(t, seed+1, func(e *metal.ComputeEncoder, x, y *metal.Buffer) { e.BarrierFor(y) })] = true
	}
	if !seen[12] || !seen[22] {
		t.Errorf("without a barrier: %v, want 12 and 22", seen)
	}
}

func TestBlitAndPrivate(t *testing.T) {
	d := fake(t, Options{}).Device()
	q := newQueue(t, d, metal.QueueOptions{})
	src, dst := newBuffer(t, d, 1, 2, 3, 4), newBuffer(t, d, 0, 0, 0, 0)
	p := must[*metal.Buffer](t)(d.NewBuffer(16, metal.Private))
	defer p.Release()
	if p.Bytes() != nil {
		t.Error("a private buffer has bytes")
	}
	cb := must[*metal.CommandBuffer](t)(q.CommandBuffer())
	defer cb.Release()
	err := cb.Blit("copies", func(e *metal.BlitEncoder) error {
		e.Copy(p, 0, src, 0, 16)
		e.Fill(p, 4, 4, 0)
		e.Copy(dst, 4, p, 0, 12)
		return nil
	})
	if err := errors.Join(err, cb.Commit(), cb.Wait()); err != nil {
		t.Fatal(err)
	}
	if got := floats(dst); !slices.Equal(got, []float32{0, 1, 0, 3}) {
		t.Errorf("got %v", got)
	}
}

func TestIndirectDispatch(t *testing.T) {
	m := fake(t, Options{})
	d := m.Device()
	p := pipe(t, fakes(t, d), d, "scale", nil, metal.PipelineOptions{})
	x := newBuffer(t, d, 1, 2, 3)
	grid := must[*metal.Buffer](t)(d.NewBuffer(16, metal.Shared))
	defer grid.Release()
	copy(grid.Bytes(), []byte{0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0})
	one := metal.Size{Width: 1, Height: 1, Depth: 1}
	if err := run(t, newQueue(t, d, metal.QueueOptions{}), metal.ComputeOptions{}, func(e *metal.ComputeEncoder) {
		e.PushGroup("scale")
		e.SetPipeline(p)
		e.SetBuffer(0, x, 0)
		e.SetBytes(1, []byte{0, 0, 0, 0x40})
		e.DispatchIndirect(grid, 4, one)
		e.Barrier()
		e.DispatchIndirect(grid, 0, one) // a grid of nothing
		e.PopGroup()
	}); err != nil {
		t.Fatal(err)
	}
	if got := floats(x); !slices.Equal(got, []float32{2, 4, 3}) || m.Stats().Dispatches != 1 {
		t.Errorf("got %v, %+v", got, m.Stats())
	}
}

func TestEvents(t *testing.T) {
	d := fake(t, Options{}).Device()
	q1, q2 := newQueue(t, d, metal.QueueOptions{}), newQueue(t, d, metal.QueueOptions{})
	ev := must[*metal.SharedEvent](t)(d.NewSharedEvent())
	defer ev.Release()
	a, b := must[*metal.CommandBuffer](t)(q1.CommandBuffer()), must[*metal.CommandBuffer](t)(q2.CommandBuffer())
	defer a.Release()
	defer b.Release()
	a.WaitFor(ev, 1) // by the other queue
	a.Signal(ev, 2)
	done := make(chan metal.Status, 1)
	a.OnCompleted(func(cb *metal.CommandBuffer) { done <- cb.Status() })
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := ev.Wait(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait before the signal: %v", err)
	}
	b.Signal(ev, 1)
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ev.Wait(context.Background(), 2), a.Wait(), b.Wait()); err != nil {
		t.Fatal(err)
	}
	if s := <-done; s != metal.Completed || ev.Value() != 2 {
		t.Errorf("handler saw %s, event at %d", s, ev.Value())
	}
	if s, e := a.GPUTime(); !(s > 0 && e >= s) {
		t.Errorf("GPU time %g to %g", s, e)
	}
}

// The GPU does not signal events when it fails; the package does it for it.
func TestFailureSignalsEvents(t *testing.T) {
	m := fake(t, Options{})
	d := m.Device()
	q := newQueue(t, d, metal.QueueOptions{})
	ev := must[*metal.SharedEvent](t)(d.NewSharedEvent())
	defer ev.Release()
	m.Inject(Timeout, 0)
	cb := must[*metal.CommandBuffer](t)(q.CommandBuffer())
	defer cb.Release()
	cb.Signal(ev, 5)
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := ev.Wait(ctx, 5); err != nil {
		t.Error(err)
	}
	if err := cb.Wait(); err == nil {
		t.Error("no error")
	}
}

func TestCommandBuffersAreRecycled(t *testing.T) {
	d := fake(t, Options{}).Device()
	q := newQueue(t, d, metal.QueueOptions{MaxCommandBuffers: 2})
	seen := map[*metal.CommandBuffer]bool{}
	for range 5 {
		cb := must[*metal.CommandBuffer](t)(q.CommandBuffer())
		seen[cb] = true
		if err := errors.Join(cb.Commit(), cb.Wait()); err != nil {
			t.Fatal(err)
		}
		cb.Release()
		cb.Release()
	}
	if len(seen) != 1 {
		t.Errorf("%d command buffers", len(seen))
	}
}

func TestEncodingErrorStopsCommit(t *testing.T) {
	d := fake(t, Options{}).Device()
	q := newQueue(t, d, metal.QueueOptions{})
	cb := must[*metal.CommandBuffer](t)(q.CommandBuffer())
	defer cb.Release()
	mine := errors.New("mine")
	if err := cb.Compute(metal.ComputeOptions{}, func(*metal.ComputeEncoder) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	if err := cb.Commit(); !errors.Is(err, mine) {
		t.Error(err)
	}
	cb2 := must[*metal.CommandBuffer](t)(q.CommandBuffer())
	defer cb2.Release()
	if err := cb2.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
		e.SetBytes(0, make([]byte, 5000))
		e.SetBuffers(30, metal.Binding{}, metal.Binding{})
		return nil
	}); err == nil || !strings.Contains(err.Error(), "5000 bytes") {
		t.Error(err)
	}
}

// A panic inside an encoding function ends the encoder and drains the pool on its way.
func TestPanicWhileEncoding(t *testing.T) {
	d := fake(t, Options{}).Device()
	q := newQueue(t, d, metal.QueueOptions{})
	cb := must[*metal.CommandBuffer](t)(q.CommandBuffer())
	defer cb.Release()
	func() {
		defer func() { _ = recover() }()
		_ = cb.Compute(metal.ComputeOptions{}, func(*metal.ComputeEncoder) error { panic("mine") })
	}()
}

func TestResidency(t *testing.T) {
	d := fake(t, Options{}).Device()
	q := newQueue(t, d, metal.QueueOptions{})
	b := newBuffer(t, d, 1)
	r := must[*metal.ResidencySet](t)(d.NewResidencySet("weights", 4))
	r.Add(b)
	r.Commit()
	r.Request()
	if r.Size() != 16384 {
		t.Errorf("size %d", r.Size())
	}
	q.AddResidencySet(r)
	r.KeepAlive(time.Millisecond, 5*time.Millisecond)
	if err := run(t, q, metal.ComputeOptions{}, func(*metal.ComputeEncoder) {}); err != nil {
		t.Error(err)
	}
	q.RemoveResidencySet(r)
	r.Remove(b)
	r.Commit()
	r.Release()
	r.Release()
	old := fake(t, Options{Darwin: 23}).Device()
	if _, err := old.NewResidencySet("x", 1); !errors.Is(err, metal.ErrNotSupported) {
		t.Errorf("macOS 14: %v", err)
	}
}

// heartbeats is a trace of which it keeps the heartbeats: R for a request of residency, E for its end.
type heartbeats struct {
	mu   sync.Mutex
	text []byte
}

func (h *heartbeats) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case bytes.Contains(line, []byte("requestResidency")):
		h.text = append(h.text, 'R')
	case bytes.Contains(line, []byte("endResidency")):
		h.text = append(h.text, 'E')
	}
	return len(line), nil
}

// wait returns when the beats are as wanted.
func (h *heartbeats) wait(t *testing.T, want string) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		text := string(h.text)
		h.mu.Unlock()
		if regexp.MustCompile(want).MatchString(text) {
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("requests and ends %s, want %s", text, want)
		}
	}
}

// The heartbeat ends residency when the set is idle and begins again at a touch, not before.
func TestHeartbeat(t *testing.T) {
	var beats heartbeats
	m := fake(t, Options{Trace: &beats})
	r := must[*metal.ResidencySet](t)(m.Device().NewResidencySet("s", 1))
	defer r.Release()
	r.KeepAlive(time.Millisecond, 20*time.Millisecond)
	beats.wait(t, "^R+E")
	time.Sleep(5 * time.Millisecond) // in which nothing may happen
	beats.wait(t, "^R+E$")
	r.Touch()
	beats.wait(t, "^R+ER+E$")
}

func TestArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipelines")
	build := func(t *testing.T, o Options) (Stats, *metal.BinaryArchive) {
		m := fake(t, o)
		d := m.Device()
		a := must[*metal.BinaryArchive](t)(d.OpenArchive(path))
		t.Cleanup(a.Release)
		l := fakes(t, d)
		for _, k := range []string{"add", "scale"} {
			pipe(t, l, d, k, nil, metal.PipelineOptions{Label: k, Archive: a})
		}
		if err := a.Save(); err != nil {
			t.Fatal(err)
		}
		return m.Stats(), a
	}
	if s, a := build(t, Options{}); s.Pipelines != 2 || a.Rebuilt() != nil {
		t.Errorf("first: %+v, %v", s, a.Rebuilt())
	}
	if s, a := build(t, Options{}); s.ArchiveHits != 2 || s.Pipelines != 0 || a.Rebuilt() != nil {
		t.Errorf("second: %+v, %v", s, a.Rebuilt())
	}
	if s, a := build(t, Options{Darwin: 24}); s.ArchiveHits != 0 || a.Rebuilt() == nil {
		t.Errorf("another system: %+v, %v", s, a.Rebuilt())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-3] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if s, a := build(t, Options{Darwin: 24}); s.Pipelines != 2 || a.Rebuilt() == nil || !strings.Contains(a.Rebuilt().Error(), "damaged") {
		t.Errorf("damaged: %+v, %v", s, a.Rebuilt())
	}
	if s, a := build(t, Options{Darwin: 24}); s.ArchiveHits != 2 || a.Rebuilt() != nil {
		t.Errorf("after rebuilding: %+v, %v", s, a.Rebuilt())
	}
}

func TestTimestamps(t *testing.T) {
	d := fake(t, Options{}).Device()
	ts := must[*metal.Timestamps](t)(d.NewTimestamps(4))
	defer ts.Release()
	if err := run(t, newQueue(t, d, metal.QueueOptions{}), metal.ComputeOptions{Timestamps: ts, Start: 1, End: 2},
		func(*metal.ComputeEncoder) {}); err != nil {
		t.Fatal(err)
	}
	v := must[[]uint64](t)(ts.Resolve())
	if v[0] != 0 || v[1] == 0 || v[2] < v[1] || v[3] != 0 {
		t.Errorf("readings %v", v)
	}
	if cpu, gpu := d.Clocks(); cpu == 0 || gpu < v[2] {
		t.Errorf("clocks %d %d", cpu, gpu)
	}
	if _, err := d.NewTimestamps(5000); err == nil {
		t.Error("5000 timestamps")
	}
}

func TestCapture(t *testing.T) {
	d := fake(t, Options{}).Device()
	path := filepath.Join(t.TempDir(), "x.gputrace")
	stop := must[func()](t)(d.StartCapture(path))
	if _, err := d.StartCapture(path + "2"); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("second capture: %v", err)
	}
	q := newQueue(t, d, metal.QueueOptions{Label: "captured"})
	if err := run(t, q, metal.ComputeOptions{}, func(*metal.ComputeEncoder) {}); err != nil {
		t.Fatal(err)
	}
	stop()
	b, err := os.ReadFile(filepath.Join(path, "messages.txt"))
	if err != nil || !strings.Contains(string(b), `-[MTLCommandQueue setLabel:] "captured"`) {
		t.Errorf("%v: %s", err, b)
	}
	if _, err := d.StartCapture(path); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("existing path: %v", err)
	}
	no := fake(t, Options{NoCapture: true}).Device()
	if _, err := no.StartCapture(path); !errors.Is(err, metal.ErrNotSupported) {
		t.Errorf("not enabled: %v", err)
	}
}

func TestNoCopy(t *testing.T) {
	d := fake(t, Options{}).Device()
	q := newQueue(t, d, metal.QueueOptions{})
	p := pipe(t, fakes(t, d), d, "scale", nil, metal.PipelineOptions{})
	mem, err := mapMemory(2*16384, 16384)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.free()
	released := make(chan bool, 1)
	b := must[*metal.Buffer](t)(d.NewBufferNoCopy(mem.bytes, metal.Shared, func() { released <- true }))
	copy(mem.bytes[16384:], []byte{0, 0, 0x80, 0x3f})
	cb := must[*metal.CommandBuffer](t)(q.CommandBuffer())
	ev := must[*metal.SharedEvent](t)(d.NewSharedEvent())
	defer ev.Release()
	cb.WaitFor(ev, 1)
	one := metal.Size{Width: 1, Height: 1, Depth: 1}
	if err := cb.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
		e.SetPipeline(p)
		e.SetBuffer(0, b, 16384)
		e.SetBytes(1, []byte{0, 0, 0, 0x40})
		e.DispatchThreads(one, one)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := cb.Commit(); err != nil {
		t.Fatal(err)
	}
	b.Release() // the command buffer keeps it
	select {
	case <-released:
		t.Fatal("released while the command buffer uses it")
	default:
	}
	ev.Set(1)
	if err := cb.Wait(); err != nil {
		t.Fatal(err)
	}
	cb.Release()
	<-released
	if mem.bytes[16384+3] != 0x40 {
		t.Error("the kernel did not see the mapped memory")
	}
}
