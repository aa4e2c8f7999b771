package metal

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/gollm/gollm/metal/internal/objc"
)

// ResourceOptions say where a buffer lives and who keeps its users in order; they are or'ed.
type ResourceOptions uint

const (
	Shared        ResourceOptions = objc.MTLResourceStorageModeShared         // one memory for CPU and GPU
	Private       ResourceOptions = objc.MTLResourceStorageModePrivate        // the GPU's alone; filled by a blit or a kernel
	WriteCombined ResourceOptions = objc.MTLResourceCPUCacheModeWriteCombined // the CPU writes it and never reads it
	// Untracked leaves hazards between encoders to the caller (a Fence, a SharedEvent), as those within
	// a concurrent encoder always are.
	Untracked ResourceOptions = objc.MTLResourceHazardTrackingModeUntracked
)

// Buffer is memory a kernel can use.
type Buffer struct {
	d   *Device
	id  uintptr
	len int
	mem []byte
}

// NewBuffer allocates n bytes. Their contents are undefined.
func (d *Device) NewBuffer(n int, o ResourceOptions) (*Buffer, error) {
	c := d.enter()
	defer c.leave()
	id := c.Send(objc.DeviceNewBufferWithLength, d.id, uintptr(n), uintptr(o))
	if id == 0 {
		return nil, fmt.Errorf("metal: buffer of %d bytes: no memory for it (one buffer may have %d)",
			n, d.word(objc.DeviceMaxBufferLength, d.id))
	}
	return d.buffer(c.Caller, id, n, o), nil
}

// NewBufferNoCopy makes a buffer of memory the caller has, without a copy: mem must begin at and
// span whole pages (16 KiB on Apple silicon), and be mapped memory, not Go's heap.
//
// Lifetime: mem must stay mapped until the buffer and every command buffer that uses it are gone.
// That moment is when Metal calls release, once, on a thread of its own or inside Release; unmap
// there. release may be nil for memory that outlives the device.
func (d *Device) NewBufferNoCopy(mem []byte, o ResourceOptions, release func()) (*Buffer, error) {
	if len(mem) == 0 {
		return nil, fmt.Errorf("metal: buffer over mapped memory: it is empty")
	}
	var block uintptr
	if release != nil {
		block = d.rt.NewBlock("v24@?0^v8Q16", func(_, _ uintptr) {
			objc.FreeBlock(block)
			release()
		})
	}
	c := d.enter()
	defer c.leave()
	p := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	id := c.Send(objc.DeviceNewBufferWithBytesNoCopy, d.id, p, uintptr(len(mem)), uintptr(o), block)
	runtime.KeepAlive(mem)
	if id == 0 {
		if block != 0 {
			objc.FreeBlock(block)
		}
		return nil, fmt.Errorf("metal: buffer over mapped memory at %#x, %d bytes: refused; "+
			"both must be multiples of the page size and the length at most %d",
			p, len(mem), d.word(objc.DeviceMaxBufferLength, d.id))
	}
	b := d.buffer(c.Caller, id, len(mem), o)
	b.mem = mem
	return b, nil
}

func (d *Device) buffer(c *objc.Caller, id uintptr, n int, o ResourceOptions) *Buffer {
	b := &Buffer{d: d, id: id, len: n}
	if o&Private == 0 {
		if p := c.Send(objc.BufferContents, id); p != 0 {
			b.mem = unsafe.Slice((*byte)(objc.At(p)), n)
		}
	}
	return b
}

// Len is the buffer's length in bytes.
func (b *Buffer) Len() int { return b.len }

// Bytes is the buffer's memory, nil for a Private one. It is valid until Release, and is the GPU's
// between the Commit of a command buffer that uses it and its completion.
func (b *Buffer) Bytes() []byte { return b.mem }

// SetLabel names the buffer in captures and messages.
func (b *Buffer) SetLabel(label string) {
	s := b.d.enter()
	defer s.leave()
	s.setLabel(objc.ResourceSetLabel, b.id, label)
}

// GPUAddress is the buffer's address for kernels that follow pointers (macOS 13).
func (b *Buffer) GPUAddress() uint64 { return uint64(b.d.word(objc.BufferGpuAddress, b.id)) }

// AllocatedSize is the memory the buffer takes, at least Len.
func (b *Buffer) AllocatedSize() int { return int(b.d.word(objc.ResourceAllocatedSize, b.id)) }

// Release gives the buffer up.
func (b *Buffer) Release() {
	b.mem = nil
	b.d.release(&b.id)
}
