package emu

import "syscall"

// threadID identifies the OS thread.
func threadID() int { return syscall.Gettid() }
