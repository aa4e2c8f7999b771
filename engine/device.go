package engine

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gollm/gollm/engine/internal/exec/cpu"
	"github.com/gollm/gollm/engine/internal/exec/gpu"
	"github.com/gollm/gollm/engine/internal/exec/ref"
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

// device is a GPU that a model runs on.
type device struct {
	*metal.Device
	close func()
}

// open makes the model's executor. Without a device asked for it takes the GPU
// if there is one that can run the model, otherwise the CPU.
func (m *Model) open() error {
	name := m.options.Device
	switch {
	case name == "ref":
		m.exec = ref.New(m.options.Threads)
		return nil
	case name == "cpu" || name == "" && runtime.GOOS != "darwin":
		m.exec = m.cpu()
		return nil
	}
	var err error
	if name == "emu" {
		m.gpu, err = openEmulator()
	} else {
		m.gpu, err = openMetal()
	}
	if err == nil {
		e := gpu.New(m.gpu.Device, m.file.Mappings())
		if err = e.Check(m.logits); err == nil {
			if dir, err := os.UserCacheDir(); err == nil && name != "emu" { // the emulator keeps its own
				// What is not kept is compiled again.
				_ = e.KeepKernels(filepath.Join(dir, "gollm", "metal"))
			}
			m.exec = e
			return nil
		}
		e.Close()
		m.gpu.close()
		m.gpu = nil
	}
	var unsupported *gpu.UnsupportedError
	if name != "" || !errors.Is(err, metal.ErrUnavailable) && !errors.As(err, &unsupported) {
		return err
	}
	m.exec = m.cpu()
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
	return &device{d, d.Release}, nil
}
