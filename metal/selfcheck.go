package metal

import (
	"fmt"

	"github.com/gollm/gollm/metal/internal/objc"
)

// SelfCheck holds every message this package sends against the system it runs on: it makes one object
// of each kind and compares the runtime's type encodings with the declarations the package was made
// from. It returns a line for each message that is missing or of another type; how many are as declared; and
// those it could not ask about: messages of newer systems, which this one does not have.
func (d *Device) SelfCheck() (findings []string, checked int, unasked []string) {
	s := d.enter()
	defer s.leave()
	objects, release := s.oneOfEach(d.id)
	defer release()
	for i := range objc.Messages {
		m := objc.Message(i)
		decl := m.Decl()
		id := objects[decl.Owner]
		if decl.Class {
			if id = d.rt.ClassID(decl.Owner); decl.Owner == "NSObject" {
				id = d.rt.ClassID("NSString")
			}
		}
		var got string
		if id == 0 {
			// Of an error, which a healthy GPU does not make, or of a newer system: the protocol tells as much.
			if got = d.rt.ProtocolEncoding(decl.Owner, d.rt.SelID(m)); got == "" {
				if newerOwners[decl.Owner] {
					unasked = append(unasked, m.String())
				} else {
					findings = append(findings, fmt.Sprintf("%s: no object to ask", m))
				}
				continue
			}
		} else {
			got = d.rt.TypeEncoding(id, d.rt.SelID(m))
		}
		switch {
		case got == "" && newerMessages[m]:
			unasked = append(unasked, m.String())
		case got == "":
			findings = append(findings, fmt.Sprintf("%s: not answered", m))
		case !objc.SameEncoding(decl.Encoding(), got):
			findings = append(findings, fmt.Sprintf("%s: the system has %s, declared is %s", m, got, decl.Encoding()))
		default:
			checked++
		}
	}
	return findings, checked, unasked
}

// newerOwners and newerMessages may be missing on a system older than what brought them.
var (
	newerOwners = map[string]bool{"MTLArchitecture": true, "MTLResidencySet": true, "MTLResidencySetDescriptor": true,
		"MTLCommandBufferEncoderInfo": true} // where the runtime does not know the protocol
	newerMessages = map[objc.Message]bool{
		objc.BufferGpuAddress: true, objc.DeviceArchitecture: true, objc.CompileOptionsSetMathMode: true,
		objc.CompileOptionsSetMathFloatingPointFunctions: true, objc.DeviceNewResidencySetWithDescriptor: true,
		objc.CommandQueueAddResidencySet: true, objc.CommandQueueRemoveResidencySet: true,
		objc.CommandBufferUseResidencySet: true,
	}
)

// oneOfEach makes an object of every class and protocol the messages are sent to.
func (s scope) oneOfEach(dev uintptr) (of map[string]uintptr, release func()) {
	of = map[string]uintptr{"MTLDevice": dev}
	var owned []uintptr
	keep := func(owner string, id uintptr) uintptr {
		of[owner] = id
		owned = append(owned, id)
		return id
	}
	str := keep("NSString", s.String("kernel void none() {}"))
	of["NSObject"] = str
	of["NSURL"] = s.URL("/nowhere")
	of["NSArray"] = s.Send(objc.NSArrayArrayWithObject, s.Runtime().ClassID("NSArray"), str)
	if dict, err := s.dictionary(map[string]string{"A": "1"}); err == nil {
		of["NSDictionary"] = dict
	}
	for _, c := range objc.Classes {
		if of[c] == 0 && c != "MTLCaptureManager" && c != "MTLComputePassDescriptor" {
			keep(c, s.New(c))
		}
	}
	if s.Responds(dev, objc.DeviceArchitecture) {
		of["MTLArchitecture"] = s.Send(objc.DeviceArchitecture, dev)
	}
	opt := of["MTLCompileOptions"]
	s.Send(objc.CompileOptionsSetLanguageVersion, opt, uintptr(MSL2_4))
	lib := keep("MTLLibrary", s.Send(objc.DeviceNewLibraryWithSource, dev, str, opt, s.OutAddr(0)))
	bad := s.String("kernel void none() { none")
	s.Send(objc.DeviceNewLibraryWithSource, dev, bad, opt, s.OutAddr(0))
	of["NSError"] = s.Out[0]
	s.Release(bad)
	if lib != 0 {
		name := s.String("none")
		fn := s.Send(objc.LibraryNewFunctionWithName, lib, name)
		s.Release(name)
		desc := of["MTLComputePipelineDescriptor"]
		s.Send(objc.ComputePipelineDescriptorSetComputeFunction, desc, fn)
		keep("MTLComputePipelineState", s.Send(objc.DeviceNewComputePipelineStateWithDescriptor, dev, desc, 0, 0, s.OutAddr(0)))
		s.Release(fn)
	}
	keep("MTLBinaryArchive", s.Send(objc.DeviceNewBinaryArchiveWithDescriptor, dev, of["MTLBinaryArchiveDescriptor"], s.OutAddr(0)))
	of["MTLResource"] = keep("MTLBuffer", s.Send(objc.DeviceNewBufferWithLength, dev, 16384, uintptr(Shared)))
	keep("MTLFence", s.Send(objc.DeviceNewFence, dev))
	keep("MTLSharedEvent", s.Send(objc.DeviceNewSharedEvent, dev))
	if s.Responds(dev, objc.DeviceNewResidencySetWithDescriptor) {
		keep("MTLResidencySet", s.Send(objc.DeviceNewResidencySetWithDescriptor, dev, of["MTLResidencySetDescriptor"], s.OutAddr(0)))
	}
	of["MTLCaptureManager"] = s.Send(objc.CaptureManagerSharedCaptureManager, s.Runtime().ClassID("MTLCaptureManager"))
	pass := s.Send(objc.ComputePassDescriptorComputePassDescriptor, s.Runtime().ClassID("MTLComputePassDescriptor"))
	list := s.Send(objc.ComputePassDescriptorSampleBufferAttachments, pass)
	of["MTLComputePassDescriptor"], of["MTLComputePassSampleBufferAttachmentDescriptorArray"] = pass, list
	of["MTLComputePassSampleBufferAttachmentDescriptor"] = s.Send(objc.ComputePassSampleBufferAttachmentDescriptorArrayObjectAtIndexedSubscript, list, 0)
	if set := s.counterSet(dev, "timestamp"); set != 0 {
		of["MTLCounterSet"] = set
		desc := of["MTLCounterSampleBufferDescriptor"]
		s.Send(objc.CounterSampleBufferDescriptorSetCounterSet, desc, set)
		s.Send(objc.CounterSampleBufferDescriptorSetSampleCount, desc, 2)
		if id := s.Send(objc.DeviceNewCounterSampleBufferWithDescriptor, dev, desc, s.OutAddr(0)); id != 0 {
			of["NSData"] = s.Send(objc.CounterSampleBufferResolveCounterRange, keep("MTLCounterSampleBuffer", id), 0, 2)
		}
	}
	q := keep("MTLCommandQueue", s.Send(objc.DeviceNewCommandQueueWithMaxCommandBufferCount, dev, 4))
	cb := s.Send(objc.CommandQueueCommandBufferWithDescriptor, q, of["MTLCommandBufferDescriptor"])
	enc := s.Send(objc.CommandBufferComputeCommandEncoderWithDispatchType, cb, objc.MTLDispatchTypeSerial)
	s.Send(objc.CommandEncoderEndEncoding, enc)
	blit := s.Send(objc.CommandBufferBlitCommandEncoder, cb)
	s.Send(objc.CommandEncoderEndEncoding, blit)
	of["MTLCommandBuffer"], of["MTLComputeCommandEncoder"], of["MTLCommandEncoder"], of["MTLBlitCommandEncoder"] = cb, enc, enc, blit
	return of, func() {
		for _, id := range owned {
			s.Release(id)
		}
	}
}
