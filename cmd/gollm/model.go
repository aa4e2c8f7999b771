package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/gguf"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"
)

// stories260K is a llama of 260,000 parameters trained on TinyStories (Andrej
// Karpathy, MIT licence): enough to tell a story without a download.
//
//go:embed stories260K.gguf
var stories260K []byte

// noModel is what a user without -m is told.
const noModel = `no -m given: using the small storyteller inside the program (stories260K).
For a real model take any GGUF file, for example SmolLM2-135M-Instruct from
https://huggingface.co/models?library=gguf, and pass it with -m FILE.
`

// modelFlags are the flags of every command that loads a model.
func modelFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "the GGUF `FILE`; any part of a split model"},
		&cli.IntFlag{Name: "ctx-size", Aliases: []string{"c"}, Usage: "most tokens of prompt and answer; -1 takes the model's own length, 0 that but at most 8192"},
		&cli.IntFlag{Name: "batch-size", Aliases: []string{"b"}, Usage: "tokens of a prompt processed at once", Value: 512},
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "CPU threads; 0 takes one for each performance core"},
		layersFlag(),
		preciseFlag(),
		&cli.StringFlag{Name: "device", Usage: "where to run: " + strings.Join(engine.Devices(), ", ")},
	}, cacheFlags()...)
}

// layersFlag is llama.cpp's for the layers on the GPU.
func layersFlag() cli.Flag {
	return &cli.IntFlag{
		Name: "n-gpu-layers", Aliases: []string{"ngl", "gpu-layers"},
		Usage:       "layers on the GPU: the last so many, and the output; one more than there are takes the embedding too, as -1 does",
		DefaultText: "as many as it can run",
	}
}

// gpuLayers reads layersFlag.
func gpuLayers(c *cli.Command) int {
	n := c.Int("n-gpu-layers")
	switch {
	case !c.IsSet("n-gpu-layers"):
		return 0
	case n == 0:
		return engine.NoLayers
	case n < 0:
		return engine.AllLayers
	}
	return n
}

// cacheTypes are what keys and values may be cached in.
var cacheTypes = []string{"f32", "f16", "q8_0"}

// cacheFlags are llama.cpp's for the types of the KV cache.
func cacheFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cache-type-k", Aliases: []string{"ctk"}, Usage: "`TYPE` of the cached keys: " + strings.Join(cacheTypes, ", "), Value: "f16"},
		&cli.StringFlag{Name: "cache-type-v", Aliases: []string{"ctv"}, Usage: "`TYPE` of the cached values, the same as the keys'", Value: "f16"},
	}
}

// cacheType reads cacheFlags; one of the two says it for both.
func cacheType(c *cli.Command) (string, error) {
	for _, name := range []string{"cache-type-k", "cache-type-v"} {
		if t := c.String(name); !slices.Contains(cacheTypes, t) {
			return "", usagef("--%s %s: must be one of %s", name, t, strings.Join(cacheTypes, ", "))
		}
	}
	k, v := c.String("cache-type-k"), c.String("cache-type-v")
	if !c.IsSet("cache-type-v") {
		v = k
	} else if !c.IsSet("cache-type-k") {
		k = v
	}
	if k != v {
		return "", usagef("--cache-type-k %s and --cache-type-v %s: keys and values must be of the same type", k, v)
	}
	return k, nil
}

// preciseFlag is a flag of every command that runs a model.
func preciseFlag() cli.Flag {
	return &cli.BoolFlag{Name: "precise", Usage: "on the CPU, multiply quantised weights with floats, not with activations rounded to 15 bits: slower"}
}

// mostThreads is more than any machine has processors for.
const mostThreads = 4096

// modelOptions reads modelFlags.
func modelOptions(c *cli.Command) (engine.Options, error) {
	o := engine.Options{
		Context:   c.Int("ctx-size"),
		Batch:     c.Int("batch-size"),
		Threads:   c.Int("threads"),
		Precise:   c.Bool("precise"),
		Device:    c.String("device"),
		GPULayers: gpuLayers(c),
	}
	var err error
	if o.KVType, err = cacheType(c); err != nil {
		return o, err
	}
	switch {
	case o.Context < -1:
		return o, usagef("--ctx-size %d: must be a number of tokens, 0 or -1", o.Context)
	case o.Batch < 1:
		return o, usagef("--batch-size %d: must be at least 1", o.Batch)
	}
	return o, checkDevice(c, o.Threads)
}

// checkDevice checks the flags that say where a model runs.
func checkDevice(c *cli.Command, threads ...int) error {
	if err := checkThreads(threads...); err != nil {
		return err
	}
	device, layers := c.String("device"), c.Int("n-gpu-layers")
	switch {
	case device == "emu" && !slices.Contains(engine.Devices(), device):
		return usagef("--device emu: not in this gollm: the emulated GPU is in one built with -tags emu, on Linux (have %s)", strings.Join(engine.Devices(), ", "))
	case device != "" && !slices.Contains(engine.Devices(), device):
		return usagef("--device %s: not available here (have %s)", device, strings.Join(engine.Devices(), ", "))
	case layers < -1:
		return usagef("--n-gpu-layers %d: must be -1, for all, or more", layers)
	case c.IsSet("n-gpu-layers") && layers != 0 && !slices.Contains(engine.Devices(), "metal") && device != "emu":
		fmt.Fprintln(c.Root().ErrWriter, "gollm: no GPU here that gollm can use: all layers run on the CPU")
	}
	return nil
}

func checkThreads(threads ...int) error {
	for _, n := range threads {
		if n < 0 || n > mostThreads {
			return usagef("--threads %d: must lie between 0 and %d", n, mostThreads)
		}
	}
	return nil
}

// loadModel loads the model of -m. context, if positive, takes the place of
// --ctx-size.
func loadModel(ctx context.Context, c *cli.Command, context int) (*engine.Model, error) {
	o, err := modelOptions(c)
	if err != nil {
		return nil, err
	}
	if context > 0 {
		o.Context = context
	}
	if c.IsSet("model") && c.String("model") == "" {
		return nil, errNoModelNamed
	}
	return openModel(ctx, c, c.String("model"), o)
}

// openModel loads the model at path, or the one inside the program if path is
// empty. On a terminal a slow load shows its progress.
func openModel(ctx context.Context, c *cli.Command, path string, o engine.Options) (*engine.Model, error) {
	stderr := c.Root().ErrWriter
	if isTerminal(stderr) {
		o.Compiling = func(done, total int) {
			if done < total {
				fmt.Fprintf(stderr, "\rcompiling the GPU's kernels, once: %d of %d\x1b[K", done, total)
			} else {
				fmt.Fprint(stderr, "\r\x1b[K")
			}
		}
	}
	if path == "" {
		fmt.Fprint(stderr, noModel)
		f, err := gguf.OpenBytes("stories260K.gguf", stories260K)
		if err != nil {
			return nil, err
		}
		m, err := engine.New(ctx, f, o)
		if err != nil {
			return nil, err
		}
		sayPlacement(stderr, m.Info())
		return m, nil
	}
	if isTerminal(stderr) {
		start, shown := time.Now(), false
		o.Progress = func(done, total int64) {
			// Only a load that takes a while is worth a line.
			if time.Since(start) > 300*time.Millisecond && done < total {
				fmt.Fprintf(stderr, "\rloading %s: %d %%\x1b[K", path, done*100/max(total, 1))
				shown = true
			} else if shown && done == total {
				fmt.Fprint(stderr, "\r\x1b[K")
				shown = false
			}
		}
		defer func() {
			if shown {
				fmt.Fprint(stderr, "\r\x1b[K")
			}
		}()
	}
	m, err := engine.Load(ctx, path, o)
	if err != nil {
		return nil, err
	}
	sayPlacement(stderr, m.Info())
	return m, nil
}

// sayPlacement says where a model runs if that is more than one place, or not the
// one the user may think.
func sayPlacement(w io.Writer, i engine.Info) {
	gpu := "the GPU (" + i.GPU + ")"
	if i.Device == "emu" {
		gpu = "an emulated GPU (" + i.GPU + ")"
	}
	var s string
	switch {
	case i.GPULayers > i.Layers, i.GPULayers == 0 && i.Why == nil:
		return
	case i.GPULayers == 0:
		s = "the model runs on the CPU"
	case i.GPULayers == i.Layers:
		s = fmt.Sprintf("all %d layers and the output run on %s, the embedding on the CPU", i.Layers, gpu)
	case i.GPULayers == 1:
		s = fmt.Sprintf("the last of %d layers and the output run on %s, the rest on the CPU", i.Layers, gpu)
	default:
		s = fmt.Sprintf("the last %d of %d layers and the output run on %s, the rest on the CPU", i.GPULayers, i.Layers, gpu)
	}
	if i.Why != nil {
		s += ": " + i.Why.Error()
	}
	fmt.Fprintf(w, "gollm: %s\n", s)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// readText returns the text of a file, "-" being standard input.
func readText(ctx context.Context, c *cli.Command, path string) (string, error) {
	if path != "-" {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the text: %w", err)
		}
		return string(b), nil
	}
	// Standard input may never end; an interrupt must.
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		b, err := io.ReadAll(c.Root().Reader)
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return "", fmt.Errorf("read the text from standard input: %w", r.err)
		}
		return string(r.text), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
