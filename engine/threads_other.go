//go:build !linux && !darwin

package engine

// performanceCores returns the number of cores of the fastest kind, 0 if that is
// not known.
func performanceCores() int { return 0 }
