package emu

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/internal/objc"
)

// mapping is memory outside Go's heap, page-aligned.
type mapping struct {
	raw   []byte // what was mapped
	bytes []byte // the aligned part
}

// guard is what is left unused behind a buffer.
const guard = 64 << 10

func mapMemory(n, page int) (*mapping, error) {
	size := (n + page - 1) / page * page
	// Nothing else lies close behind: an access a little outside is outside every buffer.
	raw, err := syscall.Mmap(-1, 0, size+page+guard, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", n, err)
	}
	skip := -int(uintptr(unsafe.Pointer(&raw[0]))) & (page - 1)
	return &mapping{raw, raw[skip : skip+n : skip+size]}, nil
}

func (p *mapping) free() { _ = syscall.Munmap(p.raw) }

const (
	maxPoisoned    = 256 << 20 // bytes of a new buffer that are filled
	maxQuarantined = 64 << 20  // bytes of released buffers that stay mapped
)

// poison fills memory with a pattern that is a NaN as float, half and bfloat, and a number out of
// any range as an integer.
func poison(b []byte) {
	b = b[:min(len(b), maxPoisoned)]
	if len(b) == 0 {
		return
	}
	b[0] = 0xff
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// buffer is the data of an MTLBuffer.
type buffer struct {
	mem         []byte
	own         *mapping // nil: the program's memory
	options     uint64
	gpu         uint64  // gpuAddress
	deallocator uintptr // block, 0: none
	fixed       bool    // the program cannot write it either: a read-only mapping
	generation  uint64  // of changes by copies and fills

	writer  *encoder // the last that may have written it; with Options.Hazards
	readers history  // those that read it since
}

// size is what the buffer counts as.
func (b *buffer) size(page int) int64 { return int64((len(b.mem) + page - 1) / page * page) }

func (b *buffer) dealloc(m *Machine) {
	if x, ok := m.executor.(kernel.Caching); ok {
		x.Forget(b.gpu)
	}
	m.allocated -= b.size(m.opt.PageSize)
	if b.own == nil {
		if d := b.deallocator; d != 0 {
			p, n := uintptr(unsafe.Pointer(unsafe.SliceData(b.mem))), uintptr(len(b.mem))
			m.after = append(m.after, func() { invoke(d, p, n) })
		}
		return
	}
	// A program that still has the memory reads poison for a while, rather than crash.
	poison(b.mem)
	m.quarantine = append(m.quarantine, b.own)
	m.quarantined += int64(len(b.own.raw))
	for m.quarantined > maxQuarantined && len(m.quarantine) > 0 {
		m.quarantined -= int64(len(m.quarantine[0].raw))
		m.quarantine[0].free()
		m.quarantine = m.quarantine[1:]
	}
}

// readOnly tells whether memory is mapped without the right to write it, as a model's file is.
func readOnly(b []byte) bool {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return false
	}
	defer f.Close()
	lo := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	for hi, lines := lo+uint64(len(b)), bufio.NewScanner(f); lines.Scan(); {
		var from, to uint64
		var rights string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); n != 3 || to <= lo {
			continue
		}
		if from > lo || strings.Contains(rights, "w") {
			return false
		}
		if lo = to; lo >= hi {
			return true
		}
	}
	return false
}

// freeMemory unmaps everything when the machine is closed.
func (m *Machine) freeMemory() {
	for _, q := range m.quarantine {
		q.free()
	}
	m.quarantine = nil
	for _, o := range m.objects {
		if b, ok := o.data.(*buffer); ok && b.own != nil {
			b.own.free()
		}
	}
}

// newBuffer makes an MTLBuffer; bytes nil allocates n.
func (c *call) newBuffer(n uint64, options uint64, bytes []byte, deallocator uintptr) uintptr {
	m := c.m
	if n == 0 || n > uint64(m.opt.Chip.MaxBuffer) {
		c.broke(BufferLength, "length %d, want 1 to %d", n, m.opt.Chip.MaxBuffer)
		return 0
	}
	b := &buffer{mem: bytes, options: options, gpu: m.nextGPU, deallocator: deallocator}
	if _, ok := m.executor.(kernel.Caching); ok && bytes != nil {
		b.fixed = readOnly(bytes)
	}
	if bytes == nil {
		if m.allocated+int64(n) > m.opt.Chip.Memory {
			return 0 // as Metal: nil, and no reason
		}
		own, err := mapMemory(int(n), m.opt.PageSize)
		if err != nil {
			return 0
		}
		b.mem, b.own = own.bytes, own
		if !m.opt.KeepContents {
			poison(b.mem)
		}
	}
	size := b.size(m.opt.PageSize)
	m.nextGPU += uint64(size) + uint64(m.opt.PageSize)
	m.allocated += size
	return m.add("MTLBuffer", b).id
}

var bufferHandlers = map[objc.Message]func(*call) uintptr{
	objc.DeviceNewBufferWithLength: func(c *call) uintptr {
		return c.newBuffer(uint64(c.args[0].word), uint64(c.args[1].word), nil, 0)
	},
	objc.DeviceNewBufferWithBytesNoCopy: func(c *call) uintptr {
		p, n, page := c.args[0].word, c.args[1].word, uintptr(c.m.opt.PageSize)
		if p == 0 || p%page != 0 || n%page != 0 {
			c.broke(NoCopyAlignment, "pointer %#x and length %d must be multiples of %d (Options.PageSize)", p, n, page)
			return 0
		}
		if n == 0 || n > uintptr(c.m.opt.Chip.MaxBuffer) {
			c.broke(BufferLength, "length %d, want 1 to %d", n, c.m.opt.Chip.MaxBuffer)
			return 0
		}
		return c.newBuffer(uint64(n), uint64(c.args[2].word), bytesAt(p, int(n)), c.args[3].word)
	},
	objc.BufferContents: func(c *call) uintptr {
		b := c.self.data.(*buffer)
		if b.options&objc.MTLResourceStorageModePrivate != 0 {
			c.broke(PrivateContents, "the CPU cannot see a private buffer")
			return 0
		}
		return uintptr(unsafe.Pointer(unsafe.SliceData(b.mem)))
	},
	objc.BufferGpuAddress:      func(c *call) uintptr { return uintptr(c.self.data.(*buffer).gpu) },
	objc.ResourceAllocatedSize: func(c *call) uintptr { return uintptr(c.self.data.(*buffer).size(c.m.opt.PageSize)) },
	objc.ResourceSetLabel:      setLabel,
}
