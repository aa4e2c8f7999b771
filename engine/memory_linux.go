package engine

import "golang.org/x/sys/unix"

// totalMemory returns the bytes of the machine's memory, 0 if that is not known.
func totalMemory() uint64 {
	var i unix.Sysinfo_t
	if err := unix.Sysinfo(&i); err != nil {
		return 0
	}
	return uint64(i.Totalram) * uint64(i.Unit)
}
