package cuda

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// copied is host memory and its copy on the GPU.
//
// A copy lives as long as its buffer, and is made anew when the binding's generation says that the
// program, or a blit, may have written the buffer. What kernels wrote comes back at Flush. By then the program may have
// written other bytes of the same buffer, which Metal allows; so the bytes come back that differ from
// those that were sent, and no others.
type copied struct {
	host       []byte
	sent       []byte // what the GPU was given; nil while no kernel may write
	gpu, size  uint64
	generation uint64
	private    bool // the program does not see it
	dirty      bool // a kernel may have written it
	used       uint64
}

// upload copies memory to the GPU, for one dispatch.
func (e *Executor) upload(host []byte) (*copied, error) {
	c := &copied{host: host}
	var err error
	if c.gpu, c.size, err = e.alloc(uint64(len(host))); err != nil {
		return nil, fmt.Errorf("%d bytes: %w", len(host), err)
	}
	if err := e.d.upload(c.gpu, host); err != nil {
		e.pool[c.size] = append(e.pool[c.size], c.gpu)
		return nil, err
	}
	return c, nil
}

// resident is the copy of a buffer, as the program left it and kernels since.
func (e *Executor) resident(b *kernel.Binding, writes bool) (*copied, error) {
	c := e.copies[b.Buffer]
	stale := c == nil || c.generation != b.Generation
	if c == nil {
		c = &copied{host: b.Whole, private: b.Private}
		var err error
		if c.gpu, c.size, err = e.alloc(uint64(len(c.host))); err != nil {
			return nil, fmt.Errorf("%d bytes: %w", len(c.host), err)
		}
		e.copies[b.Buffer] = c
	} else if stale {
		if err := e.writeBack(c); err != nil {
			return nil, err
		}
		c.sent = nil
	}
	c.generation, c.used = b.Generation, e.turn
	from := c.host
	if writes && c.sent == nil && !c.private {
		// Of what was sent before there is no record, and the program may have written since.
		c.sent, stale = bytes.Clone(c.host), true
		from = c.sent
	}
	if !stale {
		return c, nil
	}
	if err := e.d.upload(c.gpu, from); err != nil {
		delete(e.copies, b.Buffer)
		e.pool[c.size] = append(e.pool[c.size], c.gpu)
		return nil, err
	}
	return c, nil
}

// writeBack brings what kernels wrote to the host.
func (e *Executor) writeBack(c *copied) error {
	if !c.dirty {
		return nil
	}
	if c.sent == nil {
		c.dirty = false
		return e.d.download(c.host, c.gpu)
	}
	now := make([]byte, len(c.host))
	if err := e.d.download(now, c.gpu); err != nil {
		return err
	}
	const block = 4096
	for at := 0; at < len(now); at += block {
		end := min(at+block, len(now))
		if bytes.Equal(now[at:end], c.sent[at:end]) {
			continue
		}
		for i := at; i < end; i++ {
			if now[i] != c.sent[i] {
				c.host[i] = now[i]
			}
		}
	}
	c.dirty, c.sent = false, now
	return nil
}

// Flush writes back what kernels wrote.
func (e *Executor) Flush(buffers ...uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	release, err := e.d.enter()
	if err != nil {
		return err
	}
	defer release()
	for id, c := range e.copies {
		if len(buffers) == 0 && c.private || len(buffers) > 0 && !slices.Contains(buffers, id) {
			continue
		}
		if err := e.writeBack(c); err != nil {
			return fmt.Errorf("cuda: %w", err)
		}
	}
	return nil
}

// Forget drops the copy of a buffer.
func (e *Executor) Forget(buffer uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.copies[buffer]; c != nil {
		delete(e.copies, buffer)
		e.pool[c.size] = append(e.pool[c.size], c.gpu)
	}
}

// alloc finds GPU memory of at least n bytes. Where there is none it gives up what is pooled, then
// the copy that was not used for longest. Sizes up to 64 MiB are rounded to powers of two, to be
// found again.
func (e *Executor) alloc(n uint64) (gpu, size uint64, err error) {
	const page = 2 << 20
	if size = (n + page - 1) / page * page; n <= 64<<20 {
		for size = 4096; size < n; size *= 2 {
		}
	}
	if free := e.pool[size]; len(free) > 0 {
		e.pool[size] = free[:len(free)-1]
		return free[len(free)-1], size, nil
	}
	if gpu, err = e.d.alloc(size); err == nil {
		return gpu, size, nil
	}
	e.emptyPool()
	for {
		var again error
		if gpu, again = e.d.alloc(size); again == nil {
			return gpu, size, nil
		}
		ids := slices.DeleteFunc(slices.Collect(maps.Keys(e.copies)), func(id uint64) bool { return e.copies[id].used == e.turn })
		if len(ids) == 0 {
			return 0, 0, err
		}
		oldest := slices.MinFunc(ids, func(a, b uint64) int { return cmp.Compare(e.copies[a].used, e.copies[b].used) })
		if err := e.writeBack(e.copies[oldest]); err != nil {
			return 0, 0, err
		}
		e.d.free(e.copies[oldest].gpu)
		delete(e.copies, oldest)
	}
}

// emptyPool gives unused memory back.
func (e *Executor) emptyPool() {
	for _, ps := range e.pool {
		for _, p := range ps {
			e.d.free(p)
		}
	}
	e.pool = map[uint64][]uint64{}
}
