package emu

import "github.com/gollm/gollm/metal/internal/objc"

var deviceHandlers = map[objc.Message]func(*call) uintptr{
	objc.DeviceName: func(c *call) uintptr { return c.autorelease(c.m.string(c.m.opt.Chip.Name)).id },
	objc.DeviceArchitecture: func(c *call) uintptr {
		return c.autorelease(c.m.add("MTLArchitecture", nil)).id
	},
	objc.ArchitectureName: func(c *call) uintptr {
		return c.autorelease(c.m.string(c.m.opt.Chip.Architecture)).id
	},
	objc.DeviceRegistryID:       func(c *call) uintptr { return 0x1_0000_0000 + uintptr(c.m.opt.Chip.Family) },
	objc.DeviceHasUnifiedMemory: func(c *call) uintptr { return 1 },
	objc.DeviceRecommendedMaxWorkingSetSize: func(c *call) uintptr {
		return uintptr(c.m.opt.Chip.WorkingSet)
	},
	objc.DeviceMaxBufferLength:            func(c *call) uintptr { return uintptr(c.m.opt.Chip.MaxBuffer) },
	objc.DeviceMaxThreadgroupMemoryLength: func(c *call) uintptr { return maxThreadgroupMemory },
	objc.DeviceMaxThreadsPerThreadgroup: func(c *call) uintptr {
		c.size = objc.Dim{W: maxThreads, H: maxThreads, D: maxThreads}
		return 0
	},
	objc.DeviceCurrentAllocatedSize: func(c *call) uintptr { return uintptr(c.m.allocated) },
	objc.DeviceSupportsFamily: func(c *call) uintptr {
		return boolWord(c.m.opt.Chip.supports(int(c.args[0].word), c.m.opt.Darwin))
	},
	objc.DeviceNewFence:       func(c *call) uintptr { return c.m.add("MTLFence", &fence{}).id },
	objc.DeviceNewSharedEvent: func(c *call) uintptr { return c.m.add("MTLSharedEvent", &event{}).id },
	objc.SharedEventSignaledValue: func(c *call) uintptr {
		c.self.data.(*event).seen()
		return uintptr(c.self.data.(*event).value)
	},
	objc.SharedEventSetSignaledValue: func(c *call) uintptr {
		e, v := c.self.data.(*event), uint64(c.args[0].word)
		if v <= e.value {
			c.broke(EventValue, "set to %d, the event is at %d", v, e.value)
			return 0
		}
		e.value = v
		c.m.changed.Broadcast()
		return 0
	},
	objc.SharedEventWaitUntilSignaledValue: func(c *call) uintptr {
		e, v := c.self.data.(*event), uint64(c.args[0].word)
		defer e.seen()
		return boolWord(c.m.waitFor(c.args[1].word, func() bool { return e.value >= v }))
	},
}

// event is the data of an MTLSharedEvent.
type event struct {
	value   uint64
	after   history     // the encoders that have ended when it is signalled
	signals []signalled // by the GPU
}

// fence is the data of an MTLFence.
type fence struct{ after history }
