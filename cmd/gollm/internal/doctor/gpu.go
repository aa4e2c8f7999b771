package doctor

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// checkGPU makes the checks of a GPU, if there is one.
func (o *Options) checkGPU(r *Report, check func(string, func() (string, error))) {
	var g *GPU
	check("device", func() (string, error) {
		var err error
		if g, err = o.Open(); err != nil {
			g = nil
			if errors.Is(err, metal.ErrUnavailable) {
				return "", fmt.Errorf("%w: no Metal here (%v); kernels, messages and memory of a GPU are not checked", errSkip, err)
			}
			return "", err
		}
		r.Metal = "gpu"
		if g.Emulated {
			r.Metal = "emulator"
		}
		return g.describe(), nil
	})
	if g == nil {
		return
	}
	check("messages", func() (string, error) {
		findings, checked := g.Device.SelfCheck()
		if len(findings) > 0 {
			return "", fmt.Errorf("%d declarations are not as the system has them: %s", len(findings), strings.Join(findings, "; "))
		}
		return fmt.Sprintf("%d declarations are as the system has them", checked), nil
	})
	check("compiler", g.compile)
	b, err := newRig(g.Device)
	if err != nil {
		check("queue", func() (string, error) { return "", err })
	} else {
		for _, k := range kernelChecks {
			check("kernel "+k.name, func() (string, error) { return k.run(b) })
		}
		check("memory", func() (string, error) { return b.bandwidth(g.Emulated) })
		b.release()
	}
	if g.Emulated {
		check("rules", func() (string, error) { return "the checks above broke none of Metal's rules", g.Close() })
	} else if err := g.Close(); err != nil {
		check("device given back", func() (string, error) { return "", err })
	}
}

// describe says what the GPU is.
func (g *GPU) describe() string {
	d, l := g.Device, g.Device.Limits()
	name := d.Name()
	if g.Emulated {
		name = "emulated " + name
	}
	var families []string
	for _, f := range d.Families() {
		families = append(families, fmt.Sprint(int(f)))
	}
	return fmt.Sprintf("%s %s, families %s, MSL %v, working set %.1f GB, buffers to %.1f GB, threadgroups to %d threads and %d bytes, unified memory %v",
		name, d.Architecture(), strings.Join(families, " "), d.LanguageVersion(), float64(l.RecommendedWorkingSet)/1e9, float64(l.MaxBuffer)/1e9,
		l.MaxThreads.Width, l.MaxThreadgroupMemory, d.HasUnifiedMemory())
}

// compile compiles every source, for every tensor type.
func (g *GPU) compile() (string, error) {
	names := shaders.Names()
	errs := make([]error, len(names))
	kernels := make([]int, len(names))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			text, err := shaders.Source(name)
			if err == nil {
				var lib *metal.Library
				if lib, err = newLibrary(g.Device, name, text, nil); err == nil {
					kernels[i] = len(lib.Names())
					lib.Release()
				}
			}
			errs[i] = err
		})
	}
	group.Wait()
	n := 0
	for _, k := range kernels {
		n += k
	}
	return fmt.Sprintf("%d kernels of %d sources compiled", n, len(names)), errors.Join(errs...)
}

// newLibrary compiles as the engine does.
func newLibrary(d *metal.Device, name, text string, macros map[string]string) (*metal.Library, error) {
	return d.NewLibrary(text, metal.CompileOptions{Label: name, Language: min(d.LanguageVersion(), metal.MSL3_1), Math: metal.MathRelaxed, Macros: macros})
}

// bandwidth reads a matrix of random halves as decoding reads weights, and tells
// how fast: the best of some runs, by the GPU's clock.
func (b *rig) bandwidth(emulated bool) (string, error) {
	const width, runs = 4096, 8
	rows := 32768 // 256 MiB: more than any cache holds
	if emulated {
		rows = 32
	}
	l := shaders.MatVec(shaders.F16, shaders.MatVecParams{Width: width, Rows: uint32(rows)}, shaders.Parts{})
	w, err := b.memory(2 * width * rows)
	if err != nil {
		return "", err
	}
	x, err := b.floats(make([]float32, width))
	if err != nil {
		return "", err
	}
	out, err := b.memory(4 * rows)
	if err != nil {
		return "", err
	}
	clear(w.Bytes()) // memory that nothing wrote may be no memory yet
	defer b.free()
	best := 0.0
	for range runs {
		seconds, err := b.launch(shaders.F16, l, map[int]*metal.Buffer{shaders.LinearWeights: w, shaders.LinearX: x, shaders.LinearOut: out})
		if err != nil {
			return "", err
		}
		if seconds > 0 {
			best = max(best, float64(l.Read+l.Written)/seconds)
		}
	}
	switch {
	case emulated:
		return fmt.Sprintf("%d bytes read; not timed, since an emulator's speed is no GPU's", l.Read), nil
	case best == 0:
		return "", errors.New("the GPU's clock says that reading took no time")
	}
	return fmt.Sprintf("%.0f GB/s, reading %d MiB of weights with %s", best/1e9, l.Read>>20, l.Kernel.Name), nil
}
