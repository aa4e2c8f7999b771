//go:build !darwin

package doctor

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// systemMemory is not known: there is no Metal here.
func systemMemory() (total, wired int64) { return 0, -1 }

// systemName is the kernel and its version.
func systemName() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return runtime.GOOS
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}
