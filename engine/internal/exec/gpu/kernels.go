package gpu

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// kernels compiles what launches name, once each.
type kernels struct {
	device  *metal.Device
	archive *metal.BinaryArchive // nil: nothing is kept

	progress func(done, total int) // see Executor.ShowCompiling; may be nil
	source   func(name string) (string, error)

	mu        sync.Mutex
	libraries map[string]*library
	pipelines map[pipelineKey]*pipeline
}

// pipelineKey names a pipeline: a kernel, and for one of a source of many
// tensor types the two it reads, often the same: all that is compiled of the
// source.
type pipelineKey struct {
	kernel   shaders.Kernel
	typ, too shaders.Type
	typed    bool
}

type library struct {
	once sync.Once
	lib  *metal.Library
	err  error
}

type pipeline struct {
	once sync.Once
	p    *metal.Pipeline
	err  error
}

// want is a pipeline that is needed, and what for.
type want struct {
	key  pipelineKey
	what func() string
}

// compile makes the pipelines that are missing, as many at once as there are
// processors.
func (k *kernels) compile(list []want) error {
	var group sync.WaitGroup
	errs := make([]error, len(list))
	done := k.counter(len(list))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, w := range list {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if _, err := k.pipeline(w.key); err != nil {
				errs[i] = fmt.Errorf("gpu: %s: kernel %s: %w", w.what(), w.key.kernel.Name, err)
			}
			done()
		})
	}
	group.Wait()
	for _, err := range errs { // in the order of the program
		if err != nil {
			return err
		}
	}
	if k.archive != nil {
		// Without the file the next start is slower, and nothing worse: a full disk must
		// not keep a model from running.
		_ = k.archive.Save()
	}
	return nil
}

// counter returns what to call for each of total pipelines when it is made: it
// tells of progress once that takes longer than patience, and of the end if it has
// told of anything.
func (k *kernels) counter(total int) func() {
	if k.progress == nil {
		return func() {}
	}
	var mu sync.Mutex
	begun, done, told := time.Now(), 0, false
	return func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		if told || done < total && time.Since(begun) > patience {
			told = true
			k.progress(done, total)
		}
	}
}

// patience is how long kernels are compiled without a word.
const patience = time.Second

// pipeline returns a pipeline, and compiles it if it is the first to ask.
func (k *kernels) pipeline(key pipelineKey) (*metal.Pipeline, error) {
	k.mu.Lock()
	p := k.pipelines[key]
	if p == nil {
		p = new(pipeline)
		k.pipelines[key] = p
	}
	k.mu.Unlock()
	p.once.Do(func() { p.p, p.err = k.build(key) })
	return p.p, p.err
}

func (k *kernels) build(key pipelineKey) (*metal.Pipeline, error) {
	lib, err := k.library(key)
	if err != nil {
		return nil, err
	}
	f, err := lib.Function(key.kernel.Name, metal.Constants(key.kernel.ConstantValues()))
	if err != nil {
		return nil, err
	}
	defer f.Release()
	return k.device.NewPipeline(f, metal.PipelineOptions{Label: key.kernel.Name, Archive: k.archive})
}

func (k *kernels) library(key pipelineKey) (*metal.Library, error) {
	var macros map[string]string
	if key.typed {
		macros = shaders.Macros(key.typ, key.too)
	}
	name := key.kernel.Source + " " + strings.Join(slices.Sorted(maps.Keys(macros)), " ")
	k.mu.Lock()
	l := k.libraries[name]
	if l == nil {
		l = new(library)
		k.libraries[name] = l
	}
	k.mu.Unlock()
	l.once.Do(func() {
		var text string
		if text, l.err = k.source(key.kernel.Source); l.err == nil {
			l.lib, l.err = k.device.NewLibrary(text, metal.CompileOptions{Label: key.kernel.Source, Language: language(k.device), Math: metal.MathRelaxed, Macros: macros})
		}
	})
	return l.lib, l.err
}

// language is what kernels are compiled as: 3.1 where there is one, for bfloat.
// No kernel needs more, and a newer compiler may take an older language.
func language(d *metal.Device) metal.LanguageVersion { return min(d.LanguageVersion(), metal.MSL3_1) }

func (k *kernels) release() {
	for _, p := range k.pipelines {
		if p.p != nil {
			p.p.Release()
		}
	}
	for _, l := range k.libraries {
		if l.lib != nil {
			l.lib.Release()
		}
	}
	if k.archive != nil {
		k.archive.Release()
	}
	k.pipelines, k.libraries = nil, nil
}
