//go:build !linux

package emu

import (
	"sync"

	"github.com/ebitengine/purego"
)

var pthreadSelf = sync.OnceValue(func() uintptr {
	p, _ := purego.Dlsym(purego.RTLD_DEFAULT, "pthread_self")
	return p
})

// threadID identifies the OS thread.
func threadID() int {
	id, _, _ := purego.SyscallN(pthreadSelf())
	return int(id)
}
