//go:build !emu

package main

import "github.com/gollm/gollm/cmd/gollm/internal/doctor"

// openGPU opens the system's GPU.
func openGPU() (*doctor.GPU, error) { return openSystemGPU() }
