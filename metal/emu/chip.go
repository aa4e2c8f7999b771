package emu

import (
	"fmt"
	"strings"

	"github.com/gollm/gollm/metal/internal/objc"
)

// Chip is the GPU to be emulated, as far as a program can ask about it.
type Chip struct {
	Name         string // what Device.Name says: "Apple M1 Max"
	Architecture string // "applegpu_g13s"
	Family       int    // MTLGPUFamily of the Apple kind: 1007 for M1
	Memory       int64  // bytes of unified memory
	MaxBuffer    int64  // bytes of one buffer
	WorkingSet   int64  // recommendedMaxWorkingSetSize
}

const gib = 1 << 30

// ChipNamed gives a chip by its name, "M1" to "M5" and their "Pro", "Max" and "Ultra", with memory
// bytes of unified memory (0: a usual configuration).
//
// The working set is 2/3 of the memory up to 36 GiB and 3/4 above, as M1 to M3 machines report it
// (10922.67 MiB of 16 GiB, 21845.34 of 32, 49152 of 64); newer systems have been seen to allow a
// little more. One buffer may have half the memory.
func ChipNamed(name string, memory int64) (Chip, error) {
	c := Chip{Name: "Apple " + strings.TrimPrefix(name, "Apple "), Memory: memory}
	gen, size, _ := strings.Cut(strings.TrimPrefix(c.Name, "Apple "), " ")
	i := strings.Index("M1M2M3M4M5", gen)
	suffix, ok := map[string]string{"": "g", "Pro": "s", "Max": "s", "Ultra": "d"}[size]
	if len(gen) != 2 || i < 0 || i%2 != 0 || !ok {
		return Chip{}, fmt.Errorf("emu: chip %q: want M1 to M5, alone or with Pro, Max or Ultra", name)
	}
	n := i / 2
	c.Family = []int{objc.MTLGPUFamilyApple7, objc.MTLGPUFamilyApple8, objc.MTLGPUFamilyApple9,
		objc.MTLGPUFamilyApple9, objc.MTLGPUFamilyApple10}[n]
	c.Architecture = fmt.Sprintf("applegpu_g%d%s", 13+n, suffix)
	if memory == 0 {
		c.Memory = map[string]int64{"": 16 * gib, "Pro": 32 * gib, "Max": 64 * gib, "Ultra": 128 * gib}[size]
	}
	c.MaxBuffer = c.Memory / 2
	c.WorkingSet = c.Memory / 3 * 2
	if c.Memory > 36*gib {
		c.WorkingSet = c.Memory / 4 * 3
	}
	return c, nil
}

// supports answers supportsFamily:.
func (c Chip) supports(family, darwin int) bool {
	switch family {
	case objc.MTLGPUFamilyMac2, objc.MTLGPUFamilyCommon1, objc.MTLGPUFamilyCommon2, objc.MTLGPUFamilyCommon3:
		return true
	case objc.MTLGPUFamilyMetal3:
		return darwin >= 22
	case objc.MTLGPUFamilyMetal4:
		return darwin >= 25
	}
	return family >= 1001 && family <= c.Family
}

// Limits that no chip of this list differs in (Metal feature set tables, Apple7 and later).
const (
	maxThreads           = 1024      // of a threadgroup
	maxThreadgroupMemory = 32 * 1024 // bytes
	maxSetBytes          = 4096
	maxResidencySets     = 32 // of a queue
	pageSize             = 16384
)

// since is the Darwin version that brought a message; the others are older than all that is emulated.
// Asked with respondsToSelector:, an older system says no; sent to it, the message is unknown.
var since = map[objc.Message]int{
	objc.BufferGpuAddress:                            22,
	objc.DeviceArchitecture:                          23,
	objc.CompileOptionsSetMathMode:                   24,
	objc.CompileOptionsSetMathFloatingPointFunctions: 24,
	objc.DeviceNewResidencySetWithDescriptor:         24,
	objc.CommandQueueAddResidencySet:                 24,
	objc.CommandQueueRemoveResidencySet:              24,
	objc.CommandBufferUseResidencySet:                24,
}

// newestLanguage is the newest MTLLanguageVersion of a Darwin version.
func newestLanguage(darwin int) uint32 {
	switch {
	case darwin >= 25:
		return objc.MTLLanguageVersion4_0
	case darwin == 24:
		return objc.MTLLanguageVersion3_2
	case darwin == 23:
		return objc.MTLLanguageVersion3_1
	case darwin == 22:
		return objc.MTLLanguageVersion3_0
	}
	return objc.MTLLanguageVersion2_4
}
