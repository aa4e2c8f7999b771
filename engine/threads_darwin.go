package engine

import "golang.org/x/sys/unix"

// performanceCores returns the number of cores of the fastest kind, 0 if that is
// not known.
func performanceCores() int {
	n, err := unix.SysctlUint32("hw.perflevel0.physicalcpu")
	if err != nil {
		return 0
	}
	return int(n)
}
