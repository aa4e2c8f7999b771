package doctor

import "golang.org/x/sys/unix"

// systemMemory is the machine's memory in bytes, and iogpu.wired_limit_mb.
func systemMemory() (total, wired int64) {
	if n, err := unix.SysctlUint64("hw.memsize"); err == nil {
		total = int64(n)
	}
	n, err := unix.SysctlUint32("iogpu.wired_limit_mb")
	if err != nil {
		return total, -1
	}
	return total, int64(n)
}
