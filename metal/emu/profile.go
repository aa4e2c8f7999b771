package emu

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gollm/gollm/metal/internal/objc"
)

// sampleBuffer is the data of an MTLCounterSampleBuffer.
type sampleBuffer struct{ ticks []uint64 }

// maxSampleBytes is the most a counter sample buffer takes on Apple GPUs.
const maxSampleBytes = 32768

// sample takes the GPU's clock, in nanoseconds.
func (e *encoder) sample(m *Machine, i int) {
	if e.samples != nil {
		e.samples.data.(*sampleBuffer).ticks[i] = uint64(m.clock() * 1e9)
	}
}

// attachments is the data of an MTLComputePassDescriptor's sampleBufferAttachments.
type attachments struct{ list [4]*object }

func (a *attachments) dealloc(m *Machine) {
	for _, o := range a.list {
		m.drop(o)
	}
}

// passDescriptor is the data of an MTLComputePassDescriptor.
type passDescriptor struct{ attachments *object }

func (p *passDescriptor) dealloc(m *Machine) { m.drop(p.attachments) }

func attachment(desc *object, i int) *object {
	if a := desc.data.(*passDescriptor).attachments; a != nil {
		return a.data.(*attachments).list[i]
	}
	return nil
}

// capture is a GPU capture going on.
type capture struct {
	path string
	text strings.Builder
}

var profileHandlers = map[objc.Message]func(*call) uintptr{
	objc.ComputePassDescriptorComputePassDescriptor: func(c *call) uintptr {
		return c.autorelease(c.m.add("MTLComputePassDescriptor", &passDescriptor{})).id
	},
	objc.ComputePassDescriptorSetDispatchType: setProperty,
	objc.ComputePassDescriptorSampleBufferAttachments: func(c *call) uintptr {
		p := c.self.data.(*passDescriptor)
		if p.attachments == nil {
			p.attachments = c.m.owned(c.m.add("MTLComputePassSampleBufferAttachmentDescriptorArray", &attachments{}))
		}
		return c.lend(p.attachments)
	},
	objc.ComputePassSampleBufferAttachmentDescriptorArrayObjectAtIndexedSubscript: func(c *call) uintptr {
		a, i := c.self.data.(*attachments), c.args[0].word
		if i >= uintptr(len(a.list)) {
			c.broke(IndexRange, "sample buffer attachment %d, the last is %d", i, len(a.list)-1)
			return 0
		}
		if a.list[i] == nil {
			a.list[i] = c.m.owned(c.m.add("MTLComputePassSampleBufferAttachmentDescriptor", nil))
		}
		return c.lend(a.list[i])
	},
	objc.ComputePassSampleBufferAttachmentDescriptorSetSampleBuffer:              setProperty,
	objc.ComputePassSampleBufferAttachmentDescriptorSetStartOfEncoderSampleIndex: setProperty,
	objc.ComputePassSampleBufferAttachmentDescriptorSetEndOfEncoderSampleIndex:   setProperty,

	objc.DeviceCounterSets: func(c *call) uintptr {
		return c.autorelease(c.m.array([]*object{c.m.counters})).id
	},
	objc.CounterSetName: func(c *call) uintptr { return c.autorelease(c.m.string("timestamp")).id },
	objc.DeviceSupportsCounterSampling: func(c *call) uintptr {
		return boolWord(c.args[0].word == objc.MTLCounterSamplingPointAtStageBoundary)
	},
	objc.CounterSampleBufferDescriptorSetCounterSet:  setProperty,
	objc.CounterSampleBufferDescriptorSetStorageMode: setProperty,
	objc.CounterSampleBufferDescriptorSetSampleCount: setProperty,
	objc.DeviceNewCounterSampleBufferWithDescriptor: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		d := c.args[0].obj
		n := d.props[objc.CounterSampleBufferDescriptorSetSampleCount].word
		if d.props[objc.CounterSampleBufferDescriptorSetCounterSet].obj == nil || n < 1 || n > maxSampleBytes/8 {
			return c.fail(1, &nsError{domain: "MTLCounterErrorDomain", code: 1, text: "Cannot allocate sample buffer: invalid counter set or length"})
		}
		return c.m.add("MTLCounterSampleBuffer", &sampleBuffer{make([]uint64, n)}).id
	},
	objc.CounterSampleBufferResolveCounterRange: func(c *call) uintptr {
		s := c.self.data.(*sampleBuffer)
		at, n := c.args[0].loc, c.args[0].len
		if at+n > uint64(len(s.ticks)) || at+n < at {
			c.broke(SampleIndex, "range {%d, %d} of a buffer for %d", at, n, len(s.ticks))
			return 0
		}
		b := make([]byte, 0, 8*n)
		for _, t := range s.ticks[at : at+n] {
			b = binary.LittleEndian.AppendUint64(b, t)
		}
		return c.autorelease(c.m.add("NSData", &nsData{b})).id
	},
	objc.DeviceSampleTimestamps: func(c *call) uintptr {
		if c.need(0, 1) {
			ns := uintptr(c.m.clock() * 1e9)
			put(c.args[0].word, ns)
			put(c.args[1].word, ns)
		}
		return 0
	},

	objc.CaptureManagerSharedCaptureManager: func(c *call) uintptr { return c.m.captures.id },
	objc.CaptureManagerSupportsDestination: func(c *call) uintptr {
		return boolWord(c.args[0].word == objc.MTLCaptureDestinationGPUTraceDocument && !c.m.opt.NoCapture)
	},
	objc.CaptureDescriptorSetCaptureObject: setProperty,
	objc.CaptureDescriptorSetDestination:   setProperty,
	objc.CaptureDescriptorSetOutputURL:     setProperty,
	objc.CaptureManagerStartCaptureWithDescriptor: func(c *call) uintptr {
		if !c.need(0) {
			return 0
		}
		d := c.args[0].obj
		url := d.props[objc.CaptureDescriptorSetOutputURL].obj
		bad := func(code int, text string) uintptr {
			return c.fail(1, &nsError{domain: "MTLCaptureError", code: code, text: text})
		}
		switch {
		case c.m.opt.NoCapture:
			return bad(1, "Capture is not supported: MTL_CAPTURE_ENABLED is not set")
		case c.m.capturing != nil:
			return bad(2, "Capturing is already in progress")
		case url == nil || d.props[objc.CaptureDescriptorSetCaptureObject].obj == nil:
			return bad(3, "Capture descriptor has no output URL or no capture object")
		}
		path := url.data.(*nsURL).path
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return bad(3, "Output URL already exists: "+path)
		}
		c.m.capturing = &capture{path: path}
		return 1
	},
	objc.CaptureManagerStopCapture: func(c *call) uintptr {
		if t := c.m.capturing; t != nil {
			c.m.capturing = nil
			if os.MkdirAll(t.path, 0o755) == nil { // a .gputrace document is a folder
				_ = os.WriteFile(filepath.Join(t.path, "messages.txt"), []byte(t.text.String()), 0o644)
			}
		}
		return 0
	},
}
