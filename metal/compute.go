package metal

import (
	"fmt"
	"unsafe"

	"github.com/gollm/gollm/metal/internal/objc"
)

// ComputeOptions say how the dispatches of one encoder run.
type ComputeOptions struct {
	Label string
	// Serial runs one dispatch after another, as Metal's encoders do by default. Otherwise they run at the
	// same time, but for barriers.
	Serial bool
	// Timestamps, if set, takes the GPU's clock when the encoder starts and ends, at these indices.
	Timestamps *Timestamps
	Start, End int
}

// Compute encodes dispatches: it opens an encoder, calls f and ends the encoder, whatever f does. An
// error of f, or of the encoder, is returned, and makes Commit fail.
func (cb *CommandBuffer) Compute(o ComputeOptions, f func(*ComputeEncoder) error) error {
	s := cb.q.d.enter()
	defer s.leave()
	id := s.computeEncoder(cb.id, o)
	if id == 0 {
		return cb.fail(fmt.Errorf("metal: command buffer %q: no compute encoder", cb.op))
	}
	s.Send(objc.NSObjectRetain, id)
	s.setLabel(objc.CommandEncoderSetLabel, id, o.Label)
	e := &cb.compute
	e.start(cb.c, id)
	defer func() {
		s.Send(objc.CommandEncoderEndEncoding, id)
		s.Release(id)
		e.id = 0
	}()
	if err := f(e); err != nil {
		return cb.fail(err)
	}
	return cb.fail(e.err)
}

// fail keeps the first error for Commit.
func (cb *CommandBuffer) fail(err error) error {
	if cb.err == nil {
		cb.err = err
	}
	return err
}

// computeEncoder opens an autoreleased encoder.
func (s scope) computeEncoder(cb uintptr, o ComputeOptions) uintptr {
	kind := uintptr(objc.MTLDispatchTypeConcurrent)
	if o.Serial {
		kind = objc.MTLDispatchTypeSerial
	}
	if o.Timestamps == nil {
		return s.Send(objc.CommandBufferComputeCommandEncoderWithDispatchType, cb, kind)
	}
	desc := s.Send(objc.ComputePassDescriptorComputePassDescriptor, s.Runtime().ClassID("MTLComputePassDescriptor"))
	s.Send(objc.ComputePassDescriptorSetDispatchType, desc, kind)
	at := s.Send(objc.ComputePassSampleBufferAttachmentDescriptorArrayObjectAtIndexedSubscript,
		s.Send(objc.ComputePassDescriptorSampleBufferAttachments, desc), 0)
	s.Send(objc.ComputePassSampleBufferAttachmentDescriptorSetSampleBuffer, at, o.Timestamps.id)
	s.Send(objc.ComputePassSampleBufferAttachmentDescriptorSetStartOfEncoderSampleIndex, at, uintptr(o.Start))
	s.Send(objc.ComputePassSampleBufferAttachmentDescriptorSetEndOfEncoderSampleIndex, at, uintptr(o.End))
	return s.Send(objc.CommandBufferComputeCommandEncoderWithDescriptor, cb, desc)
}

// MaxIndex is the last index of the buffer table and of the threadgroup memory table.
const MaxIndex = 30

// ComputeEncoder encodes dispatches. It is valid inside the function it was given to. Its methods send
// a message each, except that what is set already is not set again.
type ComputeEncoder struct {
	c        *objc.Caller
	id       uintptr
	err      error
	pipeline uintptr
	bound    [MaxIndex + 1]binding // what the buffer table holds; a zero id: not known
}

type binding struct{ id, offset uintptr }

func (e *ComputeEncoder) start(c *objc.Caller, id uintptr) { *e = ComputeEncoder{c: c, id: id} }

func (e *ComputeEncoder) fail(format string, a ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("metal: encode: "+format, a...)
	}
}

// SetPipeline sets the kernel of the dispatches that follow.
func (e *ComputeEncoder) SetPipeline(p *Pipeline) {
	if p.id == e.pipeline && p.id != 0 {
		return
	}
	e.pipeline = p.id
	e.c.Send(objc.ComputeCommandEncoderSetComputePipelineState, e.id, p.id)
}

// SetBuffer binds a buffer, from an offset in bytes, to [[buffer(index)]]. A nil buffer unbinds.
func (e *ComputeEncoder) SetBuffer(index int, b *Buffer, offset int) {
	var now binding
	if b != nil {
		now = binding{b.id, uintptr(offset)}
	}
	if uint(index) <= MaxIndex {
		was := &e.bound[index]
		if *was == now && now.id != 0 {
			return
		}
		if was.id == now.id && now.id != 0 { // Metal need not look at the buffer again
			was.offset = now.offset
			e.c.Send(objc.ComputeCommandEncoderSetBufferOffset, e.id, now.offset, uintptr(index))
			return
		}
		*was = now
	}
	e.c.Send(objc.ComputeCommandEncoderSetBuffer, e.id, now.id, now.offset, uintptr(index))
}

// Binding is a buffer from an offset in bytes.
type Binding struct {
	Buffer *Buffer
	Offset int
}

// SetBuffers binds buffers to the indices from first on, with at most one message: for those from the
// first to the last that are not bound already. It is the cheapest way to give a kernel its arguments.
func (e *ComputeEncoder) SetBuffers(first int, list ...Binding) {
	if first < 0 || first+len(list) > MaxIndex+1 {
		e.fail("buffers %d to %d: the last index is %d", first, first+len(list)-1, MaxIndex)
		return
	}
	c := e.c
	from, to := len(list), 0 // what is not bound
	for i := range list {
		l := &list[i]
		var now binding
		if l.Buffer != nil {
			now = binding{l.Buffer.id, uintptr(l.Offset)}
		}
		if e.bound[first+i] != now || now.id == 0 {
			from, to = min(from, i), i+1
		}
		c.Objects[i], c.Numbers[i] = now.id, now.offset
	}
	switch {
	case to <= from:
		return
	case to == from+1:
		e.SetBuffer(first+from, list[from].Buffer, list[from].Offset)
		return
	}
	for i := from; i < to; i++ {
		e.bound[first+i] = binding{c.Objects[i], c.Numbers[i]}
	}
	const word = unsafe.Sizeof(uintptr(0))
	c.Send(objc.ComputeCommandEncoderSetBuffers, e.id, c.ObjectsAddr()+word*uintptr(from), c.NumbersAddr()+word*uintptr(from), uintptr(first+from), uintptr(to-from))
}

// SetBytes copies up to 4096 bytes for [[buffer(index)]].
func (e *ComputeEncoder) SetBytes(index int, b []byte) {
	c := e.c
	if len(b) > len(c.Bytes) {
		e.fail("set bytes %d: %d bytes, at most %d", index, len(b), len(c.Bytes))
		return
	}
	if uint(index) <= MaxIndex {
		e.bound[index] = binding{}
	}
	n := copy(c.Bytes[:], b)
	c.Send(objc.ComputeCommandEncoderSetBytes, e.id, c.BytesAddr(), uintptr(n), uintptr(index))
}

// SetThreadgroupMemory gives [[threadgroup(index)]] n bytes, a multiple of 16.
func (e *ComputeEncoder) SetThreadgroupMemory(index, n int) {
	e.c.Send(objc.ComputeCommandEncoderSetThreadgroupMemoryLength, e.id, uintptr(n), uintptr(index))
}

func (z Size) dim() objc.Dim {
	return objc.Dim{W: uint64(z.Width), H: uint64(z.Height), D: uint64(z.Depth)}
}

// DispatchThreadgroups runs the kernel on a grid of threadgroups of so many threads each.
func (e *ComputeEncoder) DispatchThreadgroups(grid, threads Size) {
	sizes := [2]objc.Dim{grid.dim(), threads.dim()}
	e.c.SendSizes(objc.ComputeCommandEncoderDispatchThreadgroups, e.id, &sizes, 2)
}

// DispatchThreads runs the kernel on a grid of threads, in threadgroups of the size threads; the last ones
// may be partial.
func (e *ComputeEncoder) DispatchThreads(grid, threads Size) {
	sizes := [2]objc.Dim{grid.dim(), threads.dim()}
	e.c.SendSizes(objc.ComputeCommandEncoderDispatchThreads, e.id, &sizes, 2)
}

// DispatchIndirect runs the kernel on a grid of threadgroups that the GPU reads when it comes to it:
// three uint32 in b at an offset that is a multiple of 4.
func (e *ComputeEncoder) DispatchIndirect(b *Buffer, offset int, threads Size) {
	sizes := [2]objc.Dim{threads.dim()}
	e.c.SendSizes(objc.ComputeCommandEncoderDispatchThreadgroupsWithIndirectBuffer, e.id, &sizes, 1, b.id, uintptr(offset))
}

// Barrier makes what the dispatches before it wrote to any buffer visible to those after it, which
// wait for it.
func (e *ComputeEncoder) Barrier() {
	e.c.Send(objc.ComputeCommandEncoderMemoryBarrierWithScope, e.id, objc.MTLBarrierScopeBuffers)
}

// BarrierFor is Barrier for these buffers alone.
func (e *ComputeEncoder) BarrierFor(list ...*Buffer) {
	c := e.c
	if len(list) > len(c.Objects) {
		e.Barrier()
		return
	}
	for i, b := range list {
		c.Objects[i] = b.id
	}
	c.Send(objc.ComputeCommandEncoderMemoryBarrierWithResources, e.id, c.ObjectsAddr(), uintptr(len(list)))
}

// WaitFence holds what this encoder does until the encoders that updated the fence so far have ended.
// It comes before the encoder's dispatches.
func (e *ComputeEncoder) WaitFence(f *Fence) {
	e.c.Send(objc.ComputeCommandEncoderWaitForFence, e.id, f.id)
}

// UpdateFence lets encoders that wait for the fence from here on follow this one.
func (e *ComputeEncoder) UpdateFence(f *Fence) {
	e.c.Send(objc.ComputeCommandEncoderUpdateFence, e.id, f.id)
}

// PushGroup and PopGroup bracket dispatches under a name that captures and errors show.
func (e *ComputeEncoder) PushGroup(name string) {
	str := e.c.String(name)
	e.c.Send(objc.CommandEncoderPushDebugGroup, e.id, str)
	e.c.Release(str)
}

// PopGroup ends the group PushGroup began.
func (e *ComputeEncoder) PopGroup() { e.c.Send(objc.CommandEncoderPopDebugGroup, e.id) }

// BlitEncoder encodes copies and fills. It is valid inside the function it was given to.
type BlitEncoder struct {
	c  *objc.Caller
	id uintptr
}

// Blit encodes copies and fills, as Compute does dispatches.
func (cb *CommandBuffer) Blit(label string, f func(*BlitEncoder) error) error {
	s := cb.q.d.enter()
	defer s.leave()
	id := s.Send(objc.CommandBufferBlitCommandEncoder, cb.id)
	if id == 0 {
		return cb.fail(fmt.Errorf("metal: command buffer %q: no blit encoder", cb.op))
	}
	s.Send(objc.NSObjectRetain, id)
	s.setLabel(objc.CommandEncoderSetLabel, id, label)
	e := &cb.blit
	*e = BlitEncoder{cb.c, id}
	defer func() {
		s.Send(objc.CommandEncoderEndEncoding, id)
		s.Release(id)
		e.id = 0
	}()
	return cb.fail(f(e))
}

// WaitFence and UpdateFence are as a ComputeEncoder's.
func (e *BlitEncoder) WaitFence(f *Fence)   { e.c.Send(objc.BlitCommandEncoderWaitForFence, e.id, f.id) }
func (e *BlitEncoder) UpdateFence(f *Fence) { e.c.Send(objc.BlitCommandEncoderUpdateFence, e.id, f.id) }

// Copy copies n bytes between two buffers. Offsets and n are multiples of 4.
func (e *BlitEncoder) Copy(dst *Buffer, dstOffset int, src *Buffer, srcOffset, n int) {
	e.c.Send(objc.BlitCommandEncoderCopyFromBuffer, e.id, src.id, uintptr(srcOffset), dst.id, uintptr(dstOffset), uintptr(n))
}

// Fill sets n bytes of a buffer. Offset and n are multiples of 4.
func (e *BlitEncoder) Fill(b *Buffer, offset, n int, value byte) {
	e.c.Send(objc.BlitCommandEncoderFillBuffer, e.id, b.id, uintptr(offset), uintptr(n), uintptr(value))
}
