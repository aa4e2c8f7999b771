package doctor

import (
	"strings"

	"golang.org/x/sys/unix"
)

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

// systemName is the system's version and the machine's model. The kernel's version is the one
// to trust: macOS may tell a program built with an old SDK an old version of itself.
func systemName() string {
	var parts []string
	for _, s := range []struct{ before, name string }{
		{"Darwin ", "kern.osrelease"}, {"build ", "kern.osversion"}, {"macOS ", "kern.osproductversion"}, {"", "hw.model"}, {"", "machdep.cpu.brand_string"},
	} {
		if v, err := unix.Sysctl(s.name); err == nil && v != "" {
			parts = append(parts, s.before+v)
		}
	}
	return strings.Join(parts, ", ")
}
