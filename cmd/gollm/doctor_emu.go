//go:build emu

package main

import (
	"errors"
	"fmt"

	"github.com/gollm/gollm/cmd/gollm/internal/doctor"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
)

// openGPU opens the system's GPU or, where there is none, an emulated one.
func openGPU() (*doctor.GPU, error) {
	g, err := openSystemGPU()
	if !errors.Is(err, metal.ErrUnavailable) {
		return g, err
	}
	if err := emu.CanCompile(); err != nil {
		return nil, fmt.Errorf("emulated GPU: %w", err)
	}
	m, err := emu.Open(emu.Options{Hazards: true})
	if err != nil {
		return nil, fmt.Errorf("emulated GPU: %w", err)
	}
	return &doctor.GPU{Device: m.Device(), Emulated: true, Close: m.Close}, nil
}
