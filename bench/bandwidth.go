package bench

import (
	"math/rand/v2"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/gguf"
)

// bandwidthBytes is what Bandwidth reads: several times any cache.
const bandwidthBytes = 256 << 20

// Bandwidth measures how many bytes a second so many threads read from memory
// together, each a part of its own from end to end: the best of a few times.
func Bandwidth(threads int) float64 {
	memory := make([]uint64, bandwidthBytes/8)
	parts := make([][]uint64, max(1, threads))
	each := func(f func(part []uint64)) time.Duration {
		var group sync.WaitGroup
		start := time.Now()
		for i := range parts {
			group.Go(func() { f(parts[i]) })
		}
		group.Wait()
		return time.Since(start)
	}
	for i := range parts {
		parts[i] = memory[i*len(memory)/len(parts) : (i+1)*len(memory)/len(parts)]
	}
	// Memory that was never written may be one page of zeros.
	value := rand.Uint64()
	each(func(part []uint64) {
		for i := range part {
			part[i] = value
		}
	})
	var best time.Duration
	for range 4 {
		var mu sync.Mutex
		var sum uint64
		took := each(func(part []uint64) {
			s := readAll(part)
			mu.Lock()
			defer mu.Unlock()
			sum += s
		})
		if sum != value*uint64(len(memory)) {
			panic("bench: memory reads as something else") // and the sums are used
		}
		if best == 0 || took < best {
			best = took
		}
	}
	return bandwidthBytes / max(best, 1).Seconds()
}

// readAll adds all up, four loads at a time that do not wait for each other.
func readAll(x []uint64) (sum uint64) {
	var a, b, c, d uint64
	for ; len(x) >= 16; x = x[16:] {
		p := (*[16]uint64)(unsafe.Pointer(&x[0]))
		a += p[0] + p[1] + p[2] + p[3]
		b += p[4] + p[5] + p[6] + p[7]
		c += p[8] + p[9] + p[10] + p[11]
		d += p[12] + p[13] + p[14] + p[15]
	}
	for _, v := range x {
		sum += v
	}
	return sum + a + b + c + d
}

// tokenBytes is how many bytes of a model's weights generating a token reads: all
// but the table of embeddings, unless it is the output's too, and of experts those
// that are used.
func tokenBytes(m *engine.Model) int64 {
	f := m.File()
	architecture, _ := gguf.GetOr(f, "general.architecture", "")
	experts, _ := gguf.GetOr(f, architecture+".expert_count", int64(0))
	used, _ := gguf.GetOr(f, architecture+".expert_used_count", experts)
	untied := f.Tensor("output.weight") != nil
	var n int64
	for _, t := range f.Tensors {
		size := int64(len(t.Data))
		switch {
		case strings.HasPrefix(t.Name, "token_embd.") && untied, strings.HasPrefix(t.Name, "position_embd."):
		case strings.Contains(t.Name, "_exps.") && experts > 0:
			n += size * used / experts
		default:
			n += size
		}
	}
	return n
}
