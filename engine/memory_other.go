//go:build !linux && !darwin

package engine

// totalMemory returns the bytes of the machine's memory, 0 if that is not known.
func totalMemory() uint64 { return 0 }
