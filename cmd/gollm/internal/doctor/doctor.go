// Package doctor checks that what gollm needs of a machine is there and does
// what it should: the GPU and its limits, Metal's messages, the kernels, the memory's
// speed, and a story told by heart.
//
//	doctor.go   the checks, one after another
//	gpu.go      those of a GPU
//	kernels.go  the kernels against plain references, and their speed
//	memory.go   what memory a GPU may use
//	system_*.go what the system says of itself
package doctor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders/kerneltest"
)

// Status is what came of a check.
type Status string

const (
	OK      Status = "ok"
	Failed  Status = "failed"
	Skipped Status = "skipped" // there is nothing here to check
)

// Check is one check and what came of it.
type Check struct {
	Name    string  `json:"name"`
	Status  Status  `json:"status"`
	Detail  string  `json:"detail"` // what was found, or what is wrong
	Seconds float64 `json:"seconds"`
}

// Report is what Run found. Its JSON is made to be attached to a bug report.
type Report struct {
	Version string `json:"version"` // of gollm
	Go      string `json:"go"`
	System  string `json:"system"` // operating system and architecture
	CPUs    int    `json:"cpus"`
	Machine string `json:"machine"` // the system's version, and the model where it tells
	// Metal says what stood for the GPU: "gpu" a real one, "emulator", or "none":
	// then no check says anything about Metal.
	Metal  string             `json:"metal"`
	Device *Device            `json:"device,omitempty"`
	Memory *Memory            `json:"memory,omitempty"`
	Checks []Check            `json:"checks"`
	Seed   uint64             `json:"seed"` // of the kernels' inputs
	Cases  []Case             `json:"cases,omitempty"`
	Speeds []kerneltest.Speed `json:"speeds,omitempty"` // of a real GPU
}

// Failures counts the checks that failed.
func (r *Report) Failures() (n int) {
	for _, c := range r.Checks {
		if c.Status == Failed {
			n++
		}
	}
	return n
}

// GPU is a device to check.
type GPU struct {
	Device   *metal.Device
	Emulated bool
	// Close gives the device back. Its error is what the emulator has against what
	// was done with it.
	Close func() error
}

// Options are what Run works with.
type Options struct {
	Version string
	All     bool   // every kernel test, and not only those that find most
	Seed    uint64 // of the kernels' inputs; 0 for a new one
	// Open opens the GPU; its error wraps metal.ErrUnavailable where there is none.
	Open func() (*GPU, error)
	// Devices are the engine's devices that must tell the story.
	Devices []string
	// Tell continues the story with a device, greedily, and returns the text. Its error
	// wraps metal.ErrUnavailable where there is no such device.
	Tell func(ctx context.Context, device string) (string, error)
	// Story is what it must begin with.
	Story string
	// Done is called after each check.
	Done func(Check)

	cases []kerneltest.Case // nil are all; tests have fewer
}

// errSkip is wrapped by the error of a check that found nothing to check.
var errSkip = errors.New("not checked")

// examination is a Run in progress.
type examination struct {
	Options
	ctx    context.Context
	report *Report
}

// Run makes all checks. What fails does not stop it; only ctx does, and then it
// returns the context's error.
func Run(ctx context.Context, o Options) (*Report, error) {
	for o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano()) % 1e9
	}
	if o.cases == nil {
		o.cases = kerneltest.Cases()
	}
	r := &Report{Version: o.Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Machine: systemName(), Metal: "none", Checks: []Check{}, Seed: o.Seed}
	e := &examination{o, ctx, r}
	e.checkGPU()
	for _, d := range o.Devices {
		e.check("story on "+d, func() (string, error) { return e.story(d) })
	}
	return r, ctx.Err()
}

// check makes one check and reports it.
func (e *examination) check(name string, f func() (string, error)) {
	if e.ctx.Err() != nil {
		return
	}
	c := Check{Name: name, Status: OK}
	start := time.Now()
	var err error
	c.Detail, err = f()
	c.Seconds = time.Since(start).Seconds()
	switch {
	case errors.Is(err, errSkip):
		c.Status, c.Detail = Skipped, err.Error()
	case err != nil:
		c.Status, c.Detail = Failed, err.Error()
	}
	if e.ctx.Err() == nil { // what an interrupt broke off has not failed
		e.report.Checks = append(e.report.Checks, c)
		e.Done(c)
	}
}

// story checks that a device tells the story.
func (e *examination) story(device string) (string, error) {
	start := time.Now()
	got, err := e.Tell(e.ctx, device)
	if errors.Is(err, metal.ErrUnavailable) {
		return "", fmt.Errorf("%w: %v", errSkip, err)
	}
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(got, e.Story) {
		return "", fmt.Errorf("wrong text: %q, should begin %q", got, e.Story)
	}
	return fmt.Sprintf("the expected %d characters, in %.2f s", len(e.Story), time.Since(start).Seconds()), nil
}

// Devices are the engine's devices worth a story: ref is what the others are
// held against elsewhere, and slow.
func Devices() (list []string) {
	for _, d := range engine.Devices() {
		if d != "ref" {
			list = append(list, d)
		}
	}
	return list
}
