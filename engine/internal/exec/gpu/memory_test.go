package gpu

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/arch/archtest"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal/emu"
)

// small is an M1 with little memory.
func small(t *testing.T, workingSet, buffer int64) *emu.Machine {
	t.Helper()
	chip, err := emu.ChipNamed("M1", 0)
	if err != nil {
		t.Fatal(err)
	}
	chip.WorkingSet, chip.MaxBuffer = workingSet, buffer
	return emu.Test(t, emu.Options{Chip: chip, PageSize: os.Getpagesize(), Hazards: true})
}

// TestMemory holds what is added up to what compiling takes of the device.
func TestMemory(t *testing.T) {
	f, p := archtest.Stories(t)
	d := small(t, 16<<20, 8<<20).Device()
	e := New(d, f.Mappings())
	defer e.Close()
	limits := program.Limits{Tokens: 16, Outputs: 1}
	need, err := e.Memory(p, gguf.F16, 128, limits)
	if err != nil {
		t.Fatal(err)
	}
	if weights := int64(260e3 * 4); need.Weights < weights || need.Weights > weights*5/4 {
		t.Errorf("weights of %d bytes, the model has 260 thousand floats", need.Weights)
	}
	if want := kv.Size(p.KV, gguf.F16, 128); need.KV != want {
		t.Errorf("a cache of %d bytes, it has %d", need.KV, want)
	}
	if need.WorkingSet != 16<<20 || need.Available != 16<<20 || need.MaxBuffer != 8<<20 || !need.Fits() {
		t.Errorf("%+v of a GPU of 16 MiB in buffers of 8", need)
	}
	memory, err := program.NewKVMemory(e, p.KV, gguf.F16, kv.BlockSize, 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.newRunner(p, memory, limits); err != nil {
		t.Fatal(err)
	}
	took := int64(d.AllocatedSize())
	// Weights are whole pages, vectors are beside.
	if took < need.Need() || took > need.Need()+256<<10 {
		t.Errorf("needs %d bytes, it took %d", need.Need(), took)
	}
	again, err := e.Memory(p, gguf.F16, 128, limits)
	if err != nil || again.Weights != 0 || again.Available != need.Available-took {
		t.Errorf("%+v, %v with the weights there", again, err)
	}
	if need, err = e.Memory(p, gguf.F16, 1<<20, limits); err != nil || need.Fits() || need.What != "a layer's KV cache" {
		t.Errorf("%+v, %v for a context of a million", need, err)
	}
	var unsupported *UnsupportedError
	if _, err = e.Memory(p, gguf.Q5_1, 128, limits); !errors.As(err, &unsupported) {
		t.Errorf("a cache in Q5_1: %v", err)
	}
}

// TestSmallBuffers runs a model whose weights take many buffers, which share the
// pages where they meet.
func TestSmallBuffers(t *testing.T) {
	if err := emu.CanCompile(); err != nil {
		t.Skip(err)
	}
	f, _ := archtest.Stories(t)
	tokens := archtest.Tokens(1, 512)[:20]
	var want [][]float32
	for _, limit := range []int64{8 << 20, 160 << 10} { // the largest tensor has 128 KiB
		e := New(small(t, 64<<20, limit).Device(), f.Mappings())
		s, err := archtest.NewSession(e, f, gguf.F16, len(tokens))
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Prompt(tokens)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		} else if !slices.EqualFunc(got, want, slices.Equal) {
			t.Error("other logits than with all weights in one buffer")
		}
		buffers, shared := e.matrices(), 0
		for i, b := range buffers {
			if i > 0 {
				before := buffers[i-1]
				if _, ok := within(b, before[len(before)-1:]); ok {
					shared++
				}
			}
			if int64(len(b)) > limit {
				t.Errorf("a buffer of %d bytes, more than %d", len(b), limit)
			}
		}
		if many := limit < 1<<20; many != (len(buffers) > 6) || many != (shared > 3) {
			t.Errorf("buffers of %d bytes: the matrices take %d, of which %d share a page with the one before", limit, len(buffers), shared)
		}
		s.Close()
		e.Close()
	}
}

// matrices are the buffers that matrices lie in, by address.
func (e *Executor) matrices() (list [][]byte) {
	for _, b := range e.weights.all() {
		for t, p := range e.weights.tensors {
			if p.buffer == b && len(t.Dims) > 1 {
				list = append(list, b.Bytes())
				break
			}
		}
	}
	at := func(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
	slices.SortFunc(list, func(a, b []byte) int { return cmp.Compare(at(a), at(b)) })
	return list
}

// TestTooLargeTensor has a tensor that no buffer can hold.
func TestTooLargeTensor(t *testing.T) {
	f, p := archtest.Stories(t)
	e := New(small(t, 64<<20, 100<<10).Device(), f.Mappings())
	defer e.Close()
	memory, err := program.NewKVMemory(e, p.KV, gguf.F16, kv.BlockSize, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Compile(p, memory, program.Limits{Tokens: 1, Outputs: 1})
	if err == nil || !strings.Contains(err.Error(), `tensor "token_embd.weight" has 131072 bytes, more than one buffer`) {
		t.Errorf("error %v", err)
	}
	need, err := e.Memory(p, gguf.F16, 32, program.Limits{Tokens: 1, Outputs: 1})
	if err != nil || need.Fits() || need.What != `tensor "token_embd.weight"` {
		t.Errorf("%+v, %v", need, err)
	}
}

// TestRefusedCache compiles over caches of types that there are no kernels for.
func TestRefusedCache(t *testing.T) {
	f, p := archtest.Stories(t)
	e := New(small(t, 64<<20, 64<<20).Device(), f.Mappings())
	defer e.Close()
	for _, typ := range []gguf.Type{gguf.Q4_0, gguf.Q5_1, gguf.BF16} {
		memory, err := program.NewKVMemory(e, p.KV, typ, kv.BlockSize, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Compile(p, memory, program.Limits{Tokens: 1, Outputs: 1})
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "KV cache type "+typ.String()) {
			t.Errorf("%s: %v", typ, err)
		}
		memory.Close()
	}
}
