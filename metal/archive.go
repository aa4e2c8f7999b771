package metal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/gollm/gollm/metal/internal/objc"
)

// BinaryArchive keeps compiled pipelines in a file, so that the next start need not compile them:
// [Device.OpenArchive], [PipelineOptions].Archive for every pipeline, Save. It may be used by many goroutines.
type BinaryArchive struct {
	d       *Device
	id      uintptr
	path    string
	rebuilt error

	mu    sync.Mutex
	dirty bool
}

// OpenArchive opens the archive of a file, or starts an empty one where there is no file. A file
// Metal refuses (damaged, or made by another system or for another GPU) is not an error: an empty
// archive takes its place, Rebuilt tells why, and Save replaces the file.
func (d *Device) OpenArchive(path string) (*BinaryArchive, error) {
	a := &BinaryArchive{d: d, path: path}
	_, err := os.Stat(path)
	if err == nil {
		if a.id, a.rebuilt = d.archive(path); a.id != 0 {
			return a, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("metal: archive: %w", err)
	}
	if a.id, err = d.archive(""); a.id == 0 {
		return nil, err
	}
	return a, nil
}

// archive asks Metal for an archive, an empty one if path is "".
func (d *Device) archive(path string) (uintptr, error) {
	s := d.enter()
	defer s.leave()
	desc := s.New("MTLBinaryArchiveDescriptor")
	defer s.Release(desc)
	if path != "" {
		s.Send(objc.BinaryArchiveDescriptorSetUrl, desc, s.URL(path))
	}
	id := s.Send(objc.DeviceNewBinaryArchiveWithDescriptor, d.id, desc, s.OutAddr(0))
	if id == 0 {
		return 0, failure(s.Caller, fmt.Sprintf("archive %s", path), s.Out[0])
	}
	return id, nil
}

// Rebuilt is why the file was not used, nil if it was or if there was none.
func (a *BinaryArchive) Rebuilt() error { return a.rebuilt }

// lookUp makes the pipeline of the archive's code; where it has none, it adds it and returns 0.
func (a *BinaryArchive) lookUp(s scope, desc uintptr, op string) (uintptr, error) {
	list := s.Send(objc.NSArrayArrayWithObject, s.Runtime().ClassID("NSArray"), a.id)
	s.Send(objc.ComputePipelineDescriptorSetBinaryArchives, desc, list)
	id := s.Send(objc.DeviceNewComputePipelineStateWithDescriptor, a.d.id, desc,
		objc.MTLPipelineOptionFailOnBinaryArchiveMiss, 0, s.OutAddr(0))
	if id != 0 {
		return id, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !s.Bool(objc.BinaryArchiveAddComputePipelineFunctionsWithDescriptor, a.id, desc, s.OutAddr(0)) {
		return 0, failure(s.Caller, op+": add to archive", s.Out[0])
	}
	a.dirty = true
	return 0, nil
}

// Save writes the archive to its file if pipelines were added: to a file beside it first, so that
// the old one is whole until the new one is.
func (a *BinaryArchive) Save() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.dirty {
		return nil
	}
	s := a.d.enter()
	defer s.leave()
	tmp := a.path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("metal: archive: %w", err)
	}
	if !s.Bool(objc.BinaryArchiveSerializeToURL, a.id, s.URL(tmp), s.OutAddr(0)) {
		return failure(s.Caller, fmt.Sprintf("save archive %s", a.path), s.Out[0])
	}
	if err := os.Rename(tmp, a.path); err != nil {
		return fmt.Errorf("metal: archive: %w", err)
	}
	a.dirty = false
	return nil
}

// Release gives the archive up without saving it.
func (a *BinaryArchive) Release() { a.d.release(&a.id) }
