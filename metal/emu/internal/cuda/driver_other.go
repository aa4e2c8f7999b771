//go:build !linux

package cuda

import (
	"errors"
	"unsafe"
)

type driver struct{}

var errSystem = errors.New("the CUDA executor runs on Linux only")

func libcuda(name string) (uintptr, error)                { return 0, errSystem }
func open(func(string) (uintptr, error)) (*driver, error) { return nil, errSystem }

func (d *driver) enter() (func(), error)              { return nil, errSystem }
func (d *driver) alloc(n uint64) (uint64, error)      { return 0, errSystem }
func (d *driver) free(p uint64)                       {}
func (d *driver) upload(gpu uint64, b []byte) error   { return errSystem }
func (d *driver) download(b []byte, gpu uint64) error { return errSystem }
func (d *driver) load(ptx []byte, symbol string, registers uint32) (uintptr, error) {
	return 0, errSystem
}
func (d *driver) launch(fn uintptr, g, t [3]uint32, n uint32, a unsafe.Pointer) error {
	return errSystem
}
