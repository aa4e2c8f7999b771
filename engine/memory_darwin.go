package engine

import "golang.org/x/sys/unix"

// totalMemory returns the bytes of the machine's memory, 0 if that is not known.
func totalMemory() uint64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return n
}
