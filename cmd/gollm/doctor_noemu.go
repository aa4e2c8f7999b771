//go:build !emu

package main

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/gollm/gollm/cmd/gollm/internal/doctor"
	"github.com/gollm/gollm/metal"
)

// openGPU opens the system's GPU.
func openGPU() (*doctor.GPU, error) {
	g, err := openSystemGPU()
	if errors.Is(err, metal.ErrUnavailable) && runtime.GOOS == "linux" {
		err = fmt.Errorf("%w; a gollm built with -tags emu checks kernels and messages on an emulated GPU (needs clang-19)", err)
	}
	return g, err
}
