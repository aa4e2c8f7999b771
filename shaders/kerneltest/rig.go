package kerneltest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/pipelines"
)

// Options are what a Rig works with.
type Options struct {
	Seed uint64 // of the inputs
	// Hardware says that the device is a real GPU. Bounds then have room for its arithmetic as the Metal
	// Shading Language Specification allows it (fast functions are a few units in the last place off, and
	// sin and cos up to 2⁻¹³), and arguments have memory behind them that must stay as it was. The
	// emulator, whose functions are exact, finds such accesses itself.
	Hardware bool
	// Source gives a source's text; nil is shaders.Source.
	Source func(name string) (string, error)
	// Spoil, if it is not nil, changes launches before they are encoded, and leaves out those it returns
	// false for: for tests that a wrong launch is found out.
	Spoil func(*shaders.Launch) bool
}

// Rig runs cases on a device. It keeps what it compiled. Its methods may be called at once.
type Rig struct {
	device  *metal.Device
	queue   *metal.Queue
	opt     Options
	kernels *pipelines.Cache
}

// New makes a rig. Close it before the device is released.
func New(d *metal.Device, o Options) (*Rig, error) {
	q, err := d.NewQueue(metal.QueueOptions{Label: "kernel tests", EncoderStatus: true})
	if err != nil {
		return nil, err
	}
	r := &Rig{device: d, queue: q, opt: o, kernels: pipelines.New(d)}
	if o.Source != nil {
		r.kernels.Source = o.Source
	}
	return r, nil
}

// Close releases the queue and what was compiled.
func (r *Rig) Close() {
	r.kernels.Release()
	r.queue.Release()
}

// Compile compiles every source, for all tensor types, and returns the names of the kernels in them. The error
// joins those of all sources that do not compile.
func (r *Rig) Compile() (kernels []string, err error) {
	names := shaders.Names()
	errs, found := make([]error, len(names)), make([][]string, len(names))
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, name := range names {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var lib *metal.Library
			if lib, errs[i] = r.kernels.Library(name); errs[i] == nil {
				found[i] = lib.Names()
			}
		})
	}
	group.Wait()
	return slices.Concat(found...), errors.Join(errs...)
}

// Ran lists the kernels that cases have run, by name.
func (r *Rig) Ran() []string { return r.kernels.Kernels() }

// Result is how well a kernel did. Of a case's several results it tells of the one nearest to its bound.
type Result struct {
	Error  float64 `json:"error"`  // as a part of the largest value, or of each: the tester says
	Bound  float64 `json:"bound"`  // the largest error that passes; 0 where the result must be exact
	Values int     `json:"values"` // that were compared
}

// failure is what a trial ends with when it fails.
type failure struct{ error }

// Run runs a case. The error says what failed, with the case and what repeats it.
func (r *Rig) Run(c Case) (result Result, err error) {
	h := fnv.New64()
	h.Write([]byte(c.String()))
	t := &trial{Rig: r, rng: rand.New(rand.NewPCG(r.opt.Seed, h.Sum64()))}
	defer func() {
		for _, b := range t.buffers {
			b.Release()
		}
		result = t.result
		switch e := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("%s: %w (seed %d)", c, e.error, r.opt.Seed)
		default:
			panic(e)
		}
	}()
	c.run(t)
	return
}
