//go:build !emu

package main

import "testing"

// TestNoEmulator names the emulator to a program without it.
func TestNoEmulator(t *testing.T) {
	r := do("", "run", "-p", "x", "--device", "emu")
	if r.status != 2 {
		t.Errorf("status %d, want 2", r.status)
	}
	r.oneLine(t, "-tags emu")
}
