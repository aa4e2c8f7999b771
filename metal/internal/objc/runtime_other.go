//go:build !darwin

package objc

import (
	"errors"
	"runtime"
)

// System fails: only macOS has Metal. This file imports nothing that loads C libraries, so that a
// program without package emu stays a static binary.
func System() (*Runtime, error) {
	return nil, errors.New(runtime.GOOS + " has no Metal")
}
