// Package gpu executes programs with Metal: a program becomes, for each shape of
// step (number of tokens, of outputs), a list of kernel launches with their
// buffers and barriers, which is encoded into a command buffer for every step.
//
// Weights are read in place: buffers over the file's own pages. Activations live
// in one buffer that program.Layout divides up. What changes from step to step
// (token ids, positions, block tables) is written to a small buffer that the
// kernels read, so that the launches of a shape never change. It has room for two
// steps, so that one can be given to the GPU while it works on the one before.
//
//	gpu.go        Executor, memory it hands out
//	check.go      what the kernels cannot run
//	memory.go     what a program needs of the GPU's memory
//	weights.go    tensors to buffers
//	kernels.go    compiling all pipelines at once, and saying so
//	lower.go      ops to launches
//	project.go    … of projections and embeddings
//	experts.go    … of experts
//	fused.go      … of fused ops
//	plan.go       the launches of a shape, barriers, encoding
//	step.go       the step buffer
//	runner.go     a compiled program: its memory, its plans
//	resident.go   keeping that memory wired
//	flight.go     Run, Feed: steps given to the GPU, errors
//	dispatches.go what a step comes to, without a device
package gpu

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/pipelines"
)

// Executor runs programs on a device.
type Executor struct {
	device  *metal.Device
	weights weights
	kernels kernels

	mu      sync.Mutex
	runners map[*runner]bool
	memory  map[*metal.Buffer]bool // KV memory handed out
	closed  bool
	lost    error // the GPU takes no more work of this process
}

var (
	_ program.Executor    = (*Executor)(nil)
	_ program.KVAllocator = (*Executor)(nil)
)

// New returns an executor on device, which it does not take over. mappings are
// the page-aligned mappings of the files that hold the weights
// (gguf.File.Mappings), valid until Close; a tensor that lies elsewhere is copied.
func New(device *metal.Device, mappings [][]byte) *Executor {
	e := &Executor{device: device, runners: map[*runner]bool{}, memory: map[*metal.Buffer]bool{}}
	e.weights = weights{device: device, mappings: mappings, tensors: map[*gguf.Tensor]place{}, floats: map[*gguf.Tensor]place{}}
	e.kernels.Cache = pipelines.New(device)
	return e
}

// KeepKernels has compiled kernels kept in a file of dir, which is made if it is
// not there, so that later processes need not compile them. The file's name has
// the GPU and the kernels' sources in it. Call it before Compile.
func (e *Executor) KeepKernels(dir string) error {
	sum := sha256.New()
	for _, name := range shaders.Names() {
		text, err := shaders.Source(name)
		if err != nil {
			return err
		}
		io.WriteString(sum, text)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("gpu: kernels: %w", err)
	}
	gpu := strings.ReplaceAll(cmp.Or(e.device.Architecture(), e.device.Name()), " ", "_")
	a, err := e.device.OpenArchive(filepath.Join(dir, fmt.Sprintf("%s-%x.metalarchive", gpu, sum.Sum(nil)[:8])))
	if err != nil {
		return fmt.Errorf("gpu: kernels: %w", err)
	}
	e.kernels.Archive = a
	return nil
}

// ShowCompiling has f told how many of a program's kernels are compiled while that
// takes longer than a second, and of the last. f is called by one goroutine at a
// time, before Compile returns. Call ShowCompiling before Compile.
func (e *Executor) ShowCompiling(f func(done, total int)) { e.kernels.progress = f }

// Close gives back everything on the device: runners, KV memory, weights.
func (e *Executor) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	for r := range e.runners {
		r.release()
	}
	for b := range e.memory {
		b.Release()
	}
	e.runners, e.memory = nil, nil
	e.kernels.Release()
	e.weights.release()
	return nil
}

// AllocateKV implements program.KVAllocator: memory of the device's that the CPU
// sees too.
func (e *Executor) AllocateKV(n int) ([]byte, func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, errClosed
	}
	b, err := e.device.NewBuffer(n, metal.Shared)
	if err != nil {
		return nil, nil, fmt.Errorf("gpu: %w", err)
	}
	b.SetLabel("KV cache")
	e.memory[b] = true
	return b.Bytes(), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.memory[b] {
			delete(e.memory, b)
			b.Release()
		}
	}, nil
}

// memoryAt finds the KV memory that holds mem.
func (e *Executor) memoryAt(mem []byte) (place, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for b := range e.memory {
		if at, ok := within(b.Bytes(), mem); ok {
			return place{b, at, len(mem)}, true
		}
	}
	return place{}, false
}

// within gives the offset of part in whole, if it lies there.
func within(whole, part []byte) (int, bool) {
	w, p := uintptr(unsafe.Pointer(unsafe.SliceData(whole))), uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	if p < w || p+uintptr(len(part)) > w+uintptr(len(whole)) {
		return 0, false
	}
	return int(p - w), true
}

var errClosed = errors.New("gpu: the executor is closed")

// UnsupportedError says that the kernels cannot run a program: what Check and
// Compile return for an op or a tensor type they do not have.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string { return "gpu: " + e.What }

func unsupported(format string, args ...any) error {
	return &UnsupportedError{fmt.Sprintf(format, args...)}
}
