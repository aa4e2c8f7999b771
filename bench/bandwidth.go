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
	preferHugePages(memory) // as gguf does for files
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
	const lines = bandwidthBytes / 8 / lineWords
	for i := range parts {
		parts[i] = memory[i*lines/len(parts)*lineWords : (i+1)*lines/len(parts)*lineWords]
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
		if sum != value*lines {
			panic("bench: memory reads as something else") // and the sums are used
		}
		if best == 0 || took < best {
			best = took
		}
	}
	return bandwidthBytes / max(best, 1).Seconds()
}

// lineWords is how many words memory is read by at a time: a cache line has as many, or
// twice as many on Apple's processors.
const lineWords = 8

// readAll adds up a word of each line of whole lines, four loads at a time that do not wait for each
// other. More would be no more memory, but work: a core then reads some 20 % slower.
func readAll(x []uint64) (sum uint64) {
	var a, b, c, d uint64
	for ; len(x) >= 4*lineWords; x = x[4*lineWords:] {
		p := (*[4 * lineWords]uint64)(unsafe.Pointer(&x[0]))
		a += p[0]
		b += p[lineWords]
		c += p[2*lineWords]
		d += p[3*lineWords]
	}
	for ; len(x) > 0; x = x[lineWords:] {
		sum += x[0]
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
