// Package pipelines compiles gollm's kernels for a device, each once: in one way for the engine that runs them and for
// the testers that hold them against references.
package pipelines

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// Key names a pipeline: a kernel, and how much of its source is compiled with it.
type Key struct {
	Kernel shaders.Kernel
	// Typed leaves all tensor types out of the source but these two, often the same.
	Typed     bool
	Type, Too shaders.Type
}

// Cache holds the pipelines of a device. Its methods may be called at once, but for Release.
type Cache struct {
	device *metal.Device
	// Source gives the text of a source, by name: shaders.Source, unless a test puts another here.
	Source func(name string) (string, error)
	// Archive, if it is not nil, is where pipelines are looked for, and those added that are compiled. Release
	// releases it.
	Archive *metal.BinaryArchive

	mu        sync.Mutex
	libraries map[string]func() (*metal.Library, error)
	pipelines map[Key]func() (*metal.Pipeline, error)
}

// New returns an empty cache. Release it before the device.
func New(d *metal.Device) *Cache {
	return &Cache{device: d, Source: shaders.Source, libraries: map[string]func() (*metal.Library, error){}, pipelines: map[Key]func() (*metal.Pipeline, error){}}
}

// Pipeline returns a pipeline, compiled by the first who asks. It belongs to the cache.
func (c *Cache) Pipeline(k Key) (*metal.Pipeline, error) {
	return once(c, c.pipelines, k, func() (*metal.Pipeline, error) {
		var types []shaders.Type
		if k.Typed {
			types = []shaders.Type{k.Type, k.Too}
		}
		lib, err := c.Library(k.Kernel.Source, types...)
		if err != nil {
			return nil, err
		}
		f, err := lib.Function(k.Kernel.Name, metal.Constants(k.Kernel.ConstantValues()))
		if err != nil {
			return nil, err
		}
		defer f.Release()
		return c.device.NewPipeline(f, metal.PipelineOptions{Label: k.Kernel.Name, Archive: c.Archive})
	})
}

// Library returns a source's library, compiled by the first who asks: for the given tensor types, or for all. It belongs
// to the cache.
func (c *Cache) Library(source string, types ...shaders.Type) (*metal.Library, error) {
	var macros map[string]string
	if types != nil {
		macros = shaders.Macros(types...)
	}
	name := source + " " + strings.Join(slices.Sorted(maps.Keys(macros)), " ")
	return once(c, c.libraries, name, func() (*metal.Library, error) {
		text, err := c.Source(source)
		if err != nil {
			return nil, err
		}
		// 3.1 where there is one, for bfloat: no kernel needs more, and a newer compiler may take an older language.
		language := min(c.device.LanguageVersion(), metal.MSL3_1)
		return c.device.NewLibrary(text, metal.CompileOptions{Label: source, Language: language, Math: metal.MathRelaxed, Macros: macros})
	})
}

// once returns what the first caller for a key has made. Only callers for the same key wait.
func once[K comparable, V any](c *Cache, made map[K]func() (V, error), key K, build func() (V, error)) (V, error) {
	c.mu.Lock()
	get := made[key]
	if get == nil {
		get = sync.OnceValues(build)
		made[key] = get
	}
	c.mu.Unlock()
	return get()
}

// Kernels lists the kernels that pipelines were asked of, by name.
func (c *Cache) Kernels() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]bool{}
	for k := range c.pipelines {
		names[k.Kernel.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Release gives all that was compiled back, and the archive.
func (c *Cache) Release() {
	for _, get := range c.pipelines {
		if p, err := get(); err == nil {
			p.Release()
		}
	}
	for _, get := range c.libraries {
		if l, err := get(); err == nil {
			l.Release()
		}
	}
	if c.Archive != nil {
		c.Archive.Release()
	}
	c.pipelines, c.libraries, c.Archive = nil, nil, nil
}
