package bench

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// preferHugePages asks for pages of 2 MB, for the whole pages of x.
func preferHugePages(x []uint64) {
	page := os.Getpagesize()
	m := unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 8*len(x))
	skip := -int(uintptr(unsafe.Pointer(&m[0]))) & (page - 1)
	_ = unix.Madvise(m[skip:skip+(len(m)-skip)&^(page-1)], unix.MADV_HUGEPAGE)
}
