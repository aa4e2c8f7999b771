package emu

import (
	"math/bits"
	"slices"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/internal/objc"
)

// encoder is the data of an MTLComputeCommandEncoder and of an MTLBlitCommandEncoder.
type encoder struct {
	obj      *object
	cb       *commandBuffer
	ended    bool
	serial   bool
	groups   int
	state    int // MTLCommandEncoderErrorState
	commands []command

	fences []fenceStep
	knows  history // encoders that have ended before this one begins

	samples    *object // MTLCounterSampleBuffer, or nil
	start, end int

	// The compute encoder's state, which a dispatch takes a copy of.
	pipeline    *object
	buffers     [kernel.MaxBuffers]bound
	threadgroup [kernel.MaxBuffers]int
}

// bound is one index of the buffer table.
type bound struct {
	obj    *object // MTLBuffer
	offset uint64
	bytes  []byte // setBytes, when obj is nil
}

func (b *bound) set() bool { return b.obj != nil || b.bytes != nil }

// memory is what a kernel sees.
func (b *bound) memory() []byte {
	if b.obj != nil {
		return b.obj.data.(*buffer).mem[b.offset:]
	}
	return b.bytes
}

// A command is one of: a dispatch, a barrier, a copy, a fill.
type command struct {
	dispatch *dispatch
	barrier  bool
	only     []*object // a barrier for these resources; nil: for all
	copy     *blit
}

type dispatch struct {
	pipeline       *object
	grid, threads  [3]int // threadgroups, threads of one
	exact          [3]int // dispatchThreads
	indirect       *object
	indirectOffset uint64
	buffers        [kernel.MaxBuffers]bound
	threadgroup    [kernel.MaxBuffers]int
}

type blit struct {
	dst, src     *object // src nil: a fill
	dstAt, srcAt uint64
	n            uint64
	value        byte
}

func (c *call) newEncoder(class string) (*encoder, bool) {
	cb, ok := c.recording()
	if !ok {
		return nil, false
	}
	if cb.open != nil {
		c.broke(EncoderOpen, "%s has not ended", cb.open.obj)
		return nil, false
	}
	e := &encoder{cb: cb, state: objc.MTLCommandEncoderErrorStatePending}
	e.obj = c.m.add(class, e)
	c.autorelease(e.obj)
	cb.open = e
	cb.steps = append(cb.steps, step{encoder: e})
	return e, true
}

func computeEncoder(c *call) uintptr {
	e, ok := c.newEncoder("MTLComputeCommandEncoder")
	if !ok {
		return 0
	}
	if c.msg == objc.CommandBufferComputeCommandEncoderWithDispatchType {
		e.serial = c.args[0].word == objc.MTLDispatchTypeSerial
		return e.obj.id
	}
	if !c.need(0) {
		return 0
	}
	desc := c.args[0].obj
	e.serial = desc.props[objc.ComputePassDescriptorSetDispatchType].word == objc.MTLDispatchTypeSerial
	if a := attachment(desc, 0); a != nil {
		if s := a.props[objc.ComputePassSampleBufferAttachmentDescriptorSetSampleBuffer].obj; s != nil {
			e.samples = s
			e.cb.use(c.m, s)
			e.start = int(a.props[objc.ComputePassSampleBufferAttachmentDescriptorSetStartOfEncoderSampleIndex].word)
			e.end = int(a.props[objc.ComputePassSampleBufferAttachmentDescriptorSetEndOfEncoderSampleIndex].word)
			if n := len(s.data.(*sampleBuffer).ticks); max(e.start, e.end) >= n || min(e.start, e.end) < 0 {
				c.broke(SampleIndex, "samples %d and %d of a buffer for %d", e.start, e.end, n)
				e.samples = nil
			}
		}
	}
	return e.obj.id
}

// encoder is the one a message is sent to, if it may still be encoded into.
func (c *call) encoder() (*encoder, bool) {
	e := c.self.data.(*encoder)
	if e.ended {
		c.broke(EncoderEnded, "endEncoding came before")
		return e, false
	}
	return e, true
}

var encoderHandlers = map[objc.Message]func(*call) uintptr{
	objc.CommandBufferComputeCommandEncoderWithDispatchType: computeEncoder,
	objc.CommandBufferComputeCommandEncoderWithDescriptor:   computeEncoder,
	objc.CommandBufferBlitCommandEncoder: func(c *call) uintptr {
		e, ok := c.newEncoder("MTLBlitCommandEncoder")
		if !ok {
			return 0
		}
		e.serial = true
		return e.obj.id
	},
	objc.CommandEncoderSetLabel: setLabel,
	objc.CommandEncoderEndEncoding: func(c *call) uintptr {
		e, ok := c.encoder()
		if !ok {
			return 0
		}
		if e.groups > 0 {
			c.broke(DebugGroups, "%d debug groups not popped", e.groups)
		}
		e.ended, e.cb.open = true, nil
		return 0
	},
	objc.CommandEncoderPushDebugGroup: func(c *call) uintptr {
		if e, ok := c.encoder(); ok && c.need(0) {
			e.groups++
		}
		return 0
	},
	objc.CommandEncoderPopDebugGroup: func(c *call) uintptr {
		if e, ok := c.encoder(); ok {
			if e.groups == 0 {
				c.broke(DebugGroups, "no debug group was pushed")
			} else {
				e.groups--
			}
		}
		return 0
	},

	objc.ComputeCommandEncoderSetComputePipelineState: func(c *call) uintptr {
		if e, ok := c.encoder(); ok && c.need(0) {
			e.pipeline = c.args[0].obj
			e.cb.use(c.m, e.pipeline)
		}
		return 0
	},
	objc.ComputeCommandEncoderSetBytes: func(c *call) uintptr {
		e, ok := c.encoder()
		n := c.args[1].word
		switch {
		case !ok || !c.index(BufferIndex, c.args[2].word):
		case n < 1 || n > maxSetBytes:
			c.broke(BytesLength, "length %d, want 1 to %d", n, maxSetBytes)
		case c.need(0):
			e.buffers[c.args[2].word] = bound{bytes: slices.Clone(bytesAt(c.args[0].word, int(n)))}
		}
		return 0
	},
	objc.ComputeCommandEncoderSetBuffer: func(c *call) uintptr {
		if e, ok := c.encoder(); ok && c.index(BufferIndex, c.args[2].word) {
			c.bind(e, int(c.args[2].word), c.args[0].obj, uint64(c.args[1].word))
		}
		return 0
	},
	objc.ComputeCommandEncoderSetBufferOffset: func(c *call) uintptr {
		e, ok := c.encoder()
		i := c.args[1].word
		if !ok || !c.index(BufferIndex, i) {
			return 0
		}
		if e.buffers[i].obj == nil {
			c.broke(NoBufferAtIndex, "no buffer is bound to index %d", i)
			return 0
		}
		c.bind(e, int(i), e.buffers[i].obj, uint64(c.args[0].word))
		return 0
	},
	objc.ComputeCommandEncoderSetBuffers: func(c *call) uintptr {
		e, ok := c.encoder()
		first, n := c.args[2].loc, c.args[2].len
		if !ok || n == 0 {
			return 0
		}
		if first+n > kernel.MaxBuffers || first+n < first {
			c.broke(BufferIndex, "range {%d, %d}, the last index is %d", first, n, kernel.MaxBuffers-1)
			return 0
		}
		if !c.need(1) {
			return 0
		}
		list, ok := c.objects(c.args[0].word, int(n), "MTLBuffer")
		if !ok {
			return 0
		}
		for i, o := range list {
			c.bind(e, int(first)+i, o, word(c.args[1].word, i))
		}
		return 0
	},
	objc.ComputeCommandEncoderSetThreadgroupMemoryLength: func(c *call) uintptr {
		e, ok := c.encoder()
		n, i := c.args[0].word, c.args[1].word
		switch {
		case !ok || !c.index(ThreadgroupIndex, i):
		case n%16 != 0:
			c.broke(ThreadgroupAlign, "length %d is no multiple of 16", n)
		case n > maxThreadgroupMemory:
			c.broke(ThreadgroupTotal, "length %d, the device has %d", n, maxThreadgroupMemory)
		default:
			e.threadgroup[i] = int(n)
		}
		return 0
	},
	objc.ComputeCommandEncoderDispatchThreadgroups: func(c *call) uintptr {
		if e, ok := c.encoder(); ok {
			grid, gok := c.dim("threadgroupsPerGrid", c.args[0].size)
			threads, tok := c.dim("threadsPerThreadgroup", c.args[1].size)
			if gok && tok {
				c.dispatch(e, &dispatch{grid: grid, threads: threads})
			}
		}
		return 0
	},
	objc.ComputeCommandEncoderDispatchThreads: func(c *call) uintptr {
		if e, ok := c.encoder(); ok {
			exact, gok := c.dim("threadsPerGrid", c.args[0].size)
			threads, tok := c.dim("threadsPerThreadgroup", c.args[1].size)
			if gok && tok {
				d := &dispatch{threads: threads, exact: exact}
				for i := range 3 {
					d.grid[i] = (exact[i] + threads[i] - 1) / threads[i]
				}
				c.dispatch(e, d)
			}
		}
		return 0
	},
	objc.ComputeCommandEncoderDispatchThreadgroupsWithIndirectBuffer: func(c *call) uintptr {
		e, ok := c.encoder()
		if !ok || !c.need(0) {
			return 0
		}
		o, at := c.args[0].obj, uint64(c.args[1].word)
		if n := uint64(len(o.data.(*buffer).mem)); at%4 != 0 || at+12 > n || at+12 < at {
			c.broke(IndirectOffset, "offset %d of a buffer of %d bytes: want a multiple of 4 with 12 bytes behind it", at, n)
			return 0
		}
		if threads, ok := c.dim("threadsPerThreadgroup", c.args[2].size); ok {
			e.cb.use(c.m, o)
			c.dispatch(e, &dispatch{threads: threads, indirect: o, indirectOffset: at})
		}
		return 0
	},
	objc.ComputeCommandEncoderMemoryBarrierWithScope: func(c *call) uintptr {
		if e, ok := c.encoder(); ok {
			c.m.stats.Barriers++
			e.commands = append(e.commands, command{barrier: true})
		}
		return 0
	},
	objc.ComputeCommandEncoderMemoryBarrierWithResources: func(c *call) uintptr {
		e, ok := c.encoder()
		if !ok {
			return 0
		}
		list, ok := c.objects(c.args[0].word, int(c.args[1].word), "MTLResource")
		if !ok {
			return 0
		}
		if len(list) == 0 || slices.Contains(list, nil) {
			c.broke(NilArgument, "a barrier for %d resources, some nil", len(list))
			return 0
		}
		c.m.stats.Barriers++
		e.commands = append(e.commands, command{barrier: true, only: list})
		return 0
	},

	objc.ComputeCommandEncoderUpdateFence:  useFence,
	objc.ComputeCommandEncoderWaitForFence: useFence,
	objc.BlitCommandEncoderUpdateFence:     useFence,
	objc.BlitCommandEncoderWaitForFence:    useFence,

	objc.BlitCommandEncoderCopyFromBuffer: func(c *call) uintptr {
		e, ok := c.encoder()
		if !ok || !c.need(0, 2) {
			return 0
		}
		b := &blit{src: c.args[0].obj, srcAt: uint64(c.args[1].word), dst: c.args[2].obj, dstAt: uint64(c.args[3].word), n: uint64(c.args[4].word)}
		if b.src == b.dst && b.srcAt < b.dstAt+b.n && b.dstAt < b.srcAt+b.n {
			c.broke(BlitRange, "the ranges at %d and %d of %s overlap", b.srcAt, b.dstAt, b.src)
			return 0
		}
		if c.blitRange(b.src, b.srcAt, b.n) && c.blitRange(b.dst, b.dstAt, b.n) {
			e.blit(c.m, b)
		}
		return 0
	},
	objc.BlitCommandEncoderFillBuffer: func(c *call) uintptr {
		e, ok := c.encoder()
		if !ok || !c.need(0) {
			return 0
		}
		b := &blit{dst: c.args[0].obj, dstAt: c.args[1].loc, n: c.args[1].len, value: byte(c.args[2].word)}
		if c.blitRange(b.dst, b.dstAt, b.n) {
			e.blit(c.m, b)
		}
		return 0
	},
}

func (e *encoder) blit(m *Machine, b *blit) {
	e.cb.use(m, b.src)
	e.cb.use(m, b.dst)
	e.commands = append(e.commands, command{copy: b})
}

func (c *call) blitRange(o *object, at, n uint64) bool {
	size := uint64(len(o.data.(*buffer).mem))
	if n == 0 || at+n > size || at+n < at {
		c.broke(BlitRange, "%d bytes at %d of %s, which has %d", n, at, o, size)
		return false
	}
	if at%4 != 0 || n%4 != 0 {
		c.broke(BlitAlignment, "%d bytes at %d: both must be multiples of 4", n, at)
		return false
	}
	return true
}

// word reads the i-th of a C array of NSUInteger.
func word(p uintptr, i int) uint64 {
	return *(*uint64)(objc.At(p + uintptr(8*i)))
}

func (c *call) index(r Rule, i uintptr) bool {
	if i >= kernel.MaxBuffers {
		c.broke(r, "index %d, the last is %d", i, kernel.MaxBuffers-1)
		return false
	}
	return true
}

// bind puts a buffer into the table; nil unbinds.
func (c *call) bind(e *encoder, i int, o *object, offset uint64) {
	if o == nil {
		e.buffers[i] = bound{}
		return
	}
	if n := uint64(len(o.data.(*buffer).mem)); offset >= n {
		c.broke(BufferOffset, "offset %d of %s, which has %d bytes", offset, o, n)
		return
	}
	e.buffers[i] = bound{obj: o, offset: offset}
	e.cb.use(c.m, o)
}

func (c *call) dim(name string, d objc.Dim) (z [3]int, ok bool) {
	if d.W == 0 || d.H == 0 || d.D == 0 {
		c.broke(ZeroSize, "%s is {%d %d %d}", name, d.W, d.H, d.D)
		return z, false
	}
	if hi, n := bits.Mul64(d.W, d.H); hi != 0 || n > 1<<40 || d.D > 1<<20 {
		c.broke(ThreadgroupSize, "%s is {%d %d %d}", name, d.W, d.H, d.D)
		return z, false
	}
	return [3]int{int(d.W), int(d.H), int(d.D)}, true
}

// dispatch checks a dispatch against the kernel and what is bound, and records it.
func (c *call) dispatch(e *encoder, d *dispatch) {
	if e.pipeline == nil {
		c.broke(PipelineUnset, "setComputePipelineState: must come before")
		return
	}
	p := e.pipeline.data.(*pipeline)
	k := p.kernel
	n := d.threads[0] * d.threads[1] * d.threads[2]
	switch {
	case max(d.threads[0], d.threads[1], d.threads[2]) > maxThreads || n > p.threads:
		c.broke(ThreadgroupSize, "threadsPerThreadgroup %v makes %d threads, pipeline %q allows %d", d.threads, n, e.pipeline.label, p.threads)
		return
	case p.whole && n%k.ExecutionWidth() != 0:
		c.broke(ThreadgroupWidth, "%d threads are no multiple of %d, as pipeline %q promised", n, k.ExecutionWidth(), e.pipeline.label)
		return
	}
	total := k.StaticThreadgroupMemory()
	for _, a := range k.Args() {
		if a.Kind == kernel.ArgThreadgroup {
			if e.threadgroup[a.Index] == 0 && !a.Unused {
				c.broke(ThreadgroupUnset, "kernel %q: argument %q [[threadgroup(%d)]] has no length", k.Name(), a.Name, a.Index)
				return
			}
			continue
		}
		b := &e.buffers[a.Index]
		if !b.set() {
			if a.Unused {
				continue
			}
			c.broke(BufferUnbound, "kernel %q: argument %q [[buffer(%d)]] has nothing bound", k.Name(), a.Name, a.Index)
			return
		}
		if b.obj != nil && a.ElemAlign > 1 && b.offset%uint64(a.ElemAlign) != 0 {
			c.broke(OffsetAlignment, "kernel %q: argument %q [[buffer(%d)]]: offset %d of %s is no multiple of %d, the alignment of %s",
				k.Name(), a.Name, a.Index, b.offset, b.obj, a.ElemAlign, a.Type)
			return
		}
		if have := len(b.memory()); have < a.ElemSize {
			c.broke(BufferTooSmall, "kernel %q: argument %q [[buffer(%d)]] has %d bytes, a %s takes %d",
				k.Name(), a.Name, a.Index, have, a.Type, a.ElemSize)
			return
		}
	}
	for _, n := range e.threadgroup {
		total += n
	}
	if total > maxThreadgroupMemory {
		c.broke(ThreadgroupTotal, "kernel %q: %d bytes of threadgroup memory, %d of them declared in the kernel; the device has %d",
			k.Name(), total, k.StaticThreadgroupMemory(), maxThreadgroupMemory)
		return
	}
	d.pipeline, d.buffers, d.threadgroup = e.pipeline, e.buffers, e.threadgroup
	e.commands = append(e.commands, command{dispatch: d})
}
