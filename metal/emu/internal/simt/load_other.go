//go:build !(linux && amd64)

package simt

import (
	"errors"
	"sync"

	"github.com/gollm/gollm/metal/emu/internal/msl"
)

var errUnsupported = errors.New("simt: the CPU executor runs on linux/amd64 only")

// object is a loaded shared object of kernels; none is ever loaded here.
type object struct {
	path   string
	run    uintptr
	free   uintptr
	mu     sync.Mutex
	setFor *msl.Kernel
}

func supported() error { return errUnsupported }

func call(fn, a uintptr, more ...uintptr) uintptr { return 0 }

func load(path string) (*object, error) { return nil, errUnsupported }

func (o *object) entry(symbol string) (uintptr, error) { return 0, errUnsupported }

func (o *object) set(s msl.Setting) {}

func stopAll(states []*uintptr, done chan struct{}) bool { <-done; return true }
