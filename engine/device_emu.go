//go:build emu

package engine

import (
	"fmt"
	"os"

	"github.com/gollm/gollm/metal/emu"
)

// emulated tells whether this build has the emulated GPU. A program with it is
// linked with the C library, so that only builds with the tag emu have it.
const emulated = true

func openEmulator() (*device, error) {
	if err := emu.CanCompile(); err != nil {
		return nil, fmt.Errorf("device emu: %w", err)
	}
	// What breaks a rule of Metal's is said at once: the result may look right.
	m, err := emu.Open(emu.Options{PageSize: os.Getpagesize(), Hazards: true, Report: func(v *emu.Violation) {
		fmt.Fprintln(os.Stderr, "gollm: device emu:", v)
	}})
	if err != nil {
		return nil, fmt.Errorf("device emu: %w", err)
	}
	return &device{m.Device(), "emu", m.Close}, nil
}
