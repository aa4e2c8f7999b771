package main

import (
	"context"
	_ "embed"
	"errors"
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
	return []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "the GGUF `FILE`; any part of a split model"},
		&cli.IntFlag{Name: "ctx-size", Aliases: []string{"c"}, Usage: "most tokens of prompt and answer; -1 takes the model's own length, 0 that but at most 8192"},
		&cli.IntFlag{Name: "batch-size", Aliases: []string{"b"}, Usage: "tokens of a prompt processed at once", Value: 512},
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "CPU threads; 0 takes one a processor"},
		&cli.IntFlag{Name: "n-gpu-layers", Aliases: []string{"ngl", "gpu-layers"}, Usage: "layers on the GPU, counted from the last", Value: 99},
		&cli.StringFlag{Name: "device", Usage: "where to run: " + strings.Join(engine.Devices(), ", ")},
	}
}

// modelOptions reads modelFlags.
func modelOptions(c *cli.Command) (engine.Options, error) {
	o := engine.Options{
		Context: c.Int("ctx-size"),
		Batch:   c.Int("batch-size"),
		Threads: c.Int("threads"),
		Device:  c.String("device"),
	}
	switch {
	case o.Batch < 1:
		return o, usageError{fmt.Errorf("--batch-size %d: must be at least 1", o.Batch)}
	case o.Threads < 0:
		return o, usageError{fmt.Errorf("--threads %d: must not be negative", o.Threads)}
	case o.Device != "" && !slices.Contains(engine.Devices(), o.Device):
		return o, usageError{fmt.Errorf("--device %s: not available here (have %s)", o.Device, strings.Join(engine.Devices(), ", "))}
	case c.IsSet("n-gpu-layers") && c.Int("n-gpu-layers") > 0:
		fmt.Fprintln(c.Root().ErrWriter, "gollm: no GPU here that gollm can use: all layers run on the CPU")
	}
	return o, nil
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
		return nil, usageError{errors.New("--model: no file named")}
	}
	return openModel(ctx, c, c.String("model"), o)
}

// openModel loads the model at path, or the one inside the program if path is
// empty. On a terminal a slow load shows its progress.
func openModel(ctx context.Context, c *cli.Command, path string, o engine.Options) (*engine.Model, error) {
	stderr := c.Root().ErrWriter
	if path == "" {
		fmt.Fprint(stderr, noModel)
		f, err := gguf.OpenBytes("stories260K.gguf", stories260K)
		if err != nil {
			return nil, err
		}
		return engine.New(ctx, f, o)
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
	return engine.Load(ctx, path, o)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// oneArgument returns the command's only argument.
func oneArgument(c *cli.Command) (string, error) {
	if c.Args().Len() != 1 {
		return "", usageError{fmt.Errorf("%s takes one argument, %s; got %d", c.FullName(), c.ArgsUsage, c.Args().Len())}
	}
	return c.Args().First(), nil
}

// noArguments refuses arguments, which are usually a flag's value gone astray.
func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return usageError{fmt.Errorf("unexpected argument %q (%s --help lists the flags)", c.Args().First(), c.FullName())}
	}
	return nil
}

// readText returns the text of a file, "-" being standard input.
func readText(c *cli.Command, path string) (string, error) {
	var b []byte
	var err error
	if path == "-" {
		b, err = io.ReadAll(c.Root().Reader)
	} else {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("read the text: %w", err)
	}
	return string(b), nil
}
