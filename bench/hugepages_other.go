//go:build !linux

package bench

// preferHugePages has nothing to ask for.
func preferHugePages([]uint64) {}
