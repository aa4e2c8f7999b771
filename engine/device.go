package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gollm/gollm/engine/internal/exec/cpu"
	"github.com/gollm/gollm/engine/internal/exec/gpu"
	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/engine/internal/exec/split"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/metal"
)

// Devices lists what Options.Device may be here. "metal" is the GPU of a Mac;
// "emu", of builds with the tag emu, an emulated one, slow and strict, for
// testing; "cpu" the fastest the processor has; "ref" the reference executor:
// plain Go, slow, obvious.
func Devices() []string {
	var list []string
	if runtime.GOOS == "darwin" {
		list = append(list, "metal")
	}
	if emulated {
		list = append(list, "emu")
	}
	return append(list, "cpu", "ref")
}

// device is a GPU that layers run on.
type device struct {
	*metal.Device
	name  string       // as Options.Device names it
	close func() error // what the emulator found wrong is its error
}

// open makes the model's executor. Without a device asked for it takes the GPU
// if there is one that can run the model, otherwise the CPU.
func (m *Model) open() error {
	name := m.options.Device
	switch {
	case name == "ref":
		m.exec, m.place = ref.New(m.options.Threads), Placement{Device: "ref"}
		return nil
	case name == "cpu" || name == "" && runtime.GOOS != "darwin" || m.options.GPULayers < 0:
		m.exec, m.place = m.cpu(), Placement{Device: "cpu"}
		return nil
	}
	var d *device
	var err error
	if name == "emu" {
		d, err = openEmulator()
	} else {
		d, err = openMetal()
	}
	switch {
	case name == "" && errors.Is(err, metal.ErrUnavailable):
		m.exec, m.place = m.cpu(), Placement{Device: "cpu", Why: err}
		return nil
	case err != nil:
		return err
	}
	return m.openOn(d)
}

// openOn makes the executor for a GPU, which it takes over, and as many layers on
// it as were asked for or as it can run.
func (m *Model) openOn(d *device) error {
	e := gpu.New(d.Device, m.file.Mappings())
	layers, why, err := m.layersOn(e)
	if err != nil || layers == 0 {
		e.Close()
		d.close()
		if err == nil {
			m.exec, m.place = m.cpu(), Placement{Device: "cpu", Why: why}
		}
		return err
	}
	if dir, err := os.UserCacheDir(); err == nil && d.name != "emu" { // the emulator keeps its own
		// What is not kept is compiled again.
		_ = e.KeepKernels(filepath.Join(dir, "gollm", "metal"))
	}
	e.ShowCompiling(m.options.Compiling)
	m.gpu, m.gpuExec, m.exec = d, e, e
	m.place = Placement{Device: d.name, GPU: d.Name(), GPULayers: layers, Why: why}
	if layers <= m.logits.Layers() {
		m.exec = split.New(m.cpu(), e, m.logits.Layers()-layers)
	}
	return nil
}

// cpu makes the executor for the processor.
func (m *Model) cpu() program.Executor {
	e := cpu.New(m.options.Threads, cpu.Options{Precise: m.options.Precise})
	m.options.Threads = e.Threads()
	return e
}

func openMetal() (*device, error) {
	d, err := metal.Open()
	if err != nil {
		return nil, err
	}
	if !d.Supports(metal.Apple7) { // a virtual machine's GPU: no simdgroup matrices
		name := d.Name()
		d.Release()
		return nil, fmt.Errorf("%w that the kernels run on: %s is older than the M1's (family Apple7)", metal.ErrUnavailable, name)
	}
	return &device{d, "metal", func() error { d.Release(); return nil }}, nil
}
