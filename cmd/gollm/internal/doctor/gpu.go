package doctor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/kerneltest"
)

// Device is what a GPU says of itself.
type Device struct {
	Name         string         `json:"name"`
	Architecture string         `json:"architecture"`
	Families     []metal.Family `json:"families"` // MTLGPUFamily's numbers
	Language     string         `json:"language"` // the newest MSL
	Unified      bool           `json:"unified_memory"`

	MaxBuffer            int64 `json:"max_buffer"`             // bytes
	MaxThreads           int   `json:"max_threads"`            // of a threadgroup
	MaxThreadgroupMemory int   `json:"max_threadgroup_memory"` // bytes
}

// checkGPU makes the checks of a GPU, if there is one.
func (e *examination) checkGPU() {
	var g *GPU
	e.check("device", func() (string, error) {
		var err error
		if g, err = e.Open(); err != nil {
			g = nil
			if errors.Is(err, metal.ErrUnavailable) {
				return "", fmt.Errorf("%w: %v", errSkip, err)
			}
			return "", err
		}
		e.report.Metal = "gpu"
		if g.Emulated {
			e.report.Metal = "emulator"
		}
		return e.describe(g), nil
	})
	if g == nil {
		return
	}
	e.check("memory", func() (string, error) { return e.memory(g) })
	e.check("messages", func() (string, error) {
		findings, checked, unasked := g.Device.SelfCheck()
		all := checked + len(unasked) + len(findings)
		if len(findings) > 0 {
			return "", fmt.Errorf("%d of %d declarations are not as the system has them:\n%s", len(findings), all, strings.Join(findings, "\n"))
		}
		text := fmt.Sprintf("%d of %d declarations are as the system has them", checked, all)
		if len(unasked) > 0 {
			text += "; there was no object to ask for " + strings.Join(unasked, ", ")
		}
		return text, nil
	})
	if g.Device.Supports(metal.Apple7) {
		e.checkKernels(g)
	} else {
		e.check("kernels", func() (string, error) {
			return "", fmt.Errorf("%w: they need a GPU of family Apple7 (M1) or later; without one gollm runs on the CPU", errSkip)
		})
	}
	if g.Emulated {
		e.check("rules", func() (string, error) { return "the checks above broke none of Metal's rules", g.Close() })
	} else if err := g.Close(); err != nil {
		e.check("device given back", func() (string, error) { return "", err })
	}
}

// describe says what the GPU is.
func (e *examination) describe(g *GPU) string {
	d, l := g.Device, g.Device.Limits()
	e.report.Device = &Device{Name: d.Name(), Architecture: d.Architecture(), Families: d.Families(), Language: d.LanguageVersion().String(), Unified: d.HasUnifiedMemory(),
		MaxBuffer: l.MaxBuffer, MaxThreads: l.MaxThreads.Width, MaxThreadgroupMemory: l.MaxThreadgroupMemory}
	name := d.Name()
	if g.Emulated {
		name = "emulated " + name
	}
	var families []string
	for _, f := range d.Families() {
		families = append(families, f.String())
	}
	return fmt.Sprintf("%s %s, MSL %v, threadgroups to %d threads and %d bytes, families %s", name, d.Architecture(), d.LanguageVersion(),
		l.MaxThreads.Width, l.MaxThreadgroupMemory, strings.Join(families, " "))
}

// checkKernels compiles all kernels, runs their tests, and times some.
func (e *examination) checkKernels(g *GPU) {
	rig, err := kerneltest.New(g.Device, kerneltest.Options{Seed: e.Seed, Hardware: !g.Emulated})
	if err != nil {
		e.check("queue", func() (string, error) { return "", err })
		return
	}
	defer rig.Close()
	e.check("compiler", func() (string, error) {
		kernels, err := rig.Compile()
		return fmt.Sprintf("%d kernels of %d sources compiled", len(kernels), len(shaders.Names())), err
	})
	e.runCases(rig)
	e.check("speed", func() (string, error) { return e.speed(rig, g.Emulated) })
}
