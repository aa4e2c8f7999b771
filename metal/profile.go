package metal

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/gollm/gollm/metal/internal/objc"
)

// Timestamps is room for readings of the GPU's clock, taken when encoders start and end.
type Timestamps struct {
	d  *Device
	id uintptr
	n  int
}

// NewTimestamps makes room for n readings.
func (d *Device) NewTimestamps(n int) (*Timestamps, error) {
	s := d.enter()
	defer s.leave()
	if !s.Bool(objc.DeviceSupportsCounterSampling, d.id, objc.MTLCounterSamplingPointAtStageBoundary) {
		return nil, fmt.Errorf("metal: timestamps: sampling at stage boundaries: %w", ErrNotSupported)
	}
	set := s.counterSet(d.id, "timestamp") // MTLCommonCounterSetTimestamp
	if set == 0 {
		return nil, fmt.Errorf("metal: timestamps: counter set: %w", ErrNotSupported)
	}
	desc := s.New("MTLCounterSampleBufferDescriptor")
	defer s.Release(desc)
	s.Send(objc.CounterSampleBufferDescriptorSetCounterSet, desc, set)
	s.Send(objc.CounterSampleBufferDescriptorSetStorageMode, desc, objc.MTLStorageModeShared)
	s.Send(objc.CounterSampleBufferDescriptorSetSampleCount, desc, uintptr(n))
	id := s.Send(objc.DeviceNewCounterSampleBufferWithDescriptor, d.id, desc, s.OutAddr(0))
	if id == 0 {
		return nil, failure(s.Caller, fmt.Sprintf("%d timestamps", n), s.Out[0])
	}
	return &Timestamps{d: d, id: id, n: n}, nil
}

func (s scope) counterSet(dev uintptr, name string) uintptr {
	list := s.Send(objc.DeviceCounterSets, dev)
	if list == 0 {
		return 0
	}
	for i := range s.Send(objc.NSArrayCount, list) {
		set := s.Send(objc.NSArrayObjectAtIndex, list, i)
		if s.GoString(s.Send(objc.CounterSetName, set)) == name {
			return set
		}
	}
	return 0
}

// TimestampError stands for a reading that failed (MTLCounterErrorValue).
const TimestampError = ^uint64(0)

// Resolve copies the readings, in the GPU's ticks, after the command buffers that took them have
// completed. One not taken is 0 or TimestampError.
func (t *Timestamps) Resolve() ([]uint64, error) {
	s := t.d.enter()
	defer s.leave()
	data := s.Send(objc.CounterSampleBufferResolveCounterRange, t.id, 0, uintptr(t.n))
	if data == 0 || int(s.Send(objc.NSDataLength, data)) < 8*t.n {
		return nil, fmt.Errorf("metal: resolve %d timestamps: Metal gave no data", t.n)
	}
	b := unsafe.Slice((*byte)(objc.At(s.Send(objc.NSDataBytes, data))), 8*t.n)
	ticks := make([]uint64, t.n)
	for i := range ticks {
		ticks[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return ticks, nil
}

// Release gives the readings up.
func (t *Timestamps) Release() { t.d.release(&t.id) }

// Clocks reads the CPU's clock (nanoseconds) and the GPU's (ticks) at one moment. Two readings give
// the GPU's rate.
func (d *Device) Clocks() (cpu, gpu uint64) {
	c := d.enter()
	defer c.leave()
	c.Send(objc.DeviceSampleTimestamps, d.id, c.OutAddr(0), c.OutAddr(1))
	return uint64(c.Out[0]), uint64(c.Out[1])
}

// StartCapture records the device's work into a .gputrace document at path, which must not exist,
// until stop is called. The process must have been started with MTL_CAPTURE_ENABLED=1.
func (d *Device) StartCapture(path string) (stop func(), err error) {
	s := d.enter()
	defer s.leave()
	m := s.Send(objc.CaptureManagerSharedCaptureManager, s.Runtime().ClassID("MTLCaptureManager"))
	if !s.Bool(objc.CaptureManagerSupportsDestination, m, objc.MTLCaptureDestinationGPUTraceDocument) {
		return nil, fmt.Errorf("metal: capture to %s: %w (set MTL_CAPTURE_ENABLED=1 before the program starts)", path, ErrNotSupported)
	}
	desc := s.New("MTLCaptureDescriptor")
	defer s.Release(desc)
	s.Send(objc.CaptureDescriptorSetCaptureObject, desc, d.id)
	s.Send(objc.CaptureDescriptorSetDestination, desc, objc.MTLCaptureDestinationGPUTraceDocument)
	s.Send(objc.CaptureDescriptorSetOutputURL, desc, s.URL(path))
	if !s.Bool(objc.CaptureManagerStartCaptureWithDescriptor, m, desc, s.OutAddr(0)) {
		return nil, failure(s.Caller, "capture to "+path, s.Out[0])
	}
	return func() { d.word(objc.CaptureManagerStopCapture, m) }, nil
}
