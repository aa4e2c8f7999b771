package main

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestQuantizeFullDisk writes to a disk that is too small: one line, and no
// half of a file is left.
func TestQuantizeFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=200k"); err != nil {
		t.Skipf("needs to mount a small tmpfs, as root may: %v", err)
	}
	defer unix.Unmount(dir, 0)
	r := do("", "quantize", stories, filepath.Join(dir, "out.gguf"), "Q8_0")
	if r.status != 1 {
		t.Errorf("status %d, want 1", r.status)
	}
	r.oneLine(t, "no space left on device", "out.gguf")
	// A base of predictions is written as whole.
	r = do("", "perplexity", "-m", stories, "-f", "../../testdata/tinystories_sample.txt", "-c", "256", "--kl-divergence-base", filepath.Join(dir, "base"))
	if r.status != 1 {
		t.Errorf("perplexity: status %d, want 1", r.status)
	}
	r.stdout = "" // the perplexities so far
	r.oneLine(t, "no space left on device", "base")
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
