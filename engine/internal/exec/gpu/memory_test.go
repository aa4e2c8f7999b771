package gpu

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal/emu"
)

// TestMemory asks for more and more context on a GPU of a few megabytes.
func TestMemory(t *testing.T) {
	f, p := openStories(t)
	chip, err := emu.ChipNamed("M1", 0)
	if err != nil {
		t.Fatal(err)
	}
	chip.WorkingSet = 4 << 20
	m := emu.Test(t, emu.Options{Chip: chip, PageSize: os.Getpagesize()})
	e := New(m.Device(), f.Mappings())
	defer e.Close()
	limits := program.Limits{Tokens: 16, Outputs: 1}
	size := func(positions int) int64 { return kv.Size(p.KV, gguf.F16, positions) }

	need := e.Memory(p, size(128), limits)
	if weights := int64(260e3 * 4); need.Weights < weights || need.Weights > weights*5/4 {
		t.Errorf("weights of %d bytes, the model has 260 thousand floats", need.Weights)
	}
	if err := e.CheckMemory(p, 128, size, limits); err != nil {
		t.Errorf("a context of 128: %v", err)
	}
	err = e.CheckMemory(p, 1<<20, size, limits)
	if err == nil {
		t.Fatal("a context of a million has no error")
	}
	for _, part := range []string{"1048576 tokens", "working set of 4.0 MB", "iogpu.wired_limit_mb="} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v\ndoes not say %q", err, part)
		}
	}
	var fits int
	if _, text, ok := strings.Cut(err.Error(), "a context of "); ok {
		_, text, _ = strings.Cut(text, "a context of ") // the second is the advice
		fmt.Sscanf(text, "%d fits", &fits)
	}
	if fits < 128 || e.CheckMemory(p, fits, size, limits) != nil || e.CheckMemory(p, fits+kv.BlockSize, size, limits) == nil {
		t.Errorf("%v\nis wrong about what fits", err)
	}
	limits.Tokens = 1 << 20
	if err = e.CheckMemory(p, 1<<20, size, limits); err == nil || !strings.Contains(err.Error(), "no context") {
		t.Errorf("steps of a million tokens: %v", err)
	}
}
