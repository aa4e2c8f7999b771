package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/gollm/gollm/cmd/gollm/internal/doctor"
	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/urfave/cli/v3"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check that gollm works on this machine: GPU, kernels, memory, a short story",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "run every kernel test, not only those that find most: minutes"},
			&cli.BoolFlag{Name: "json", Usage: "print the report as JSON with every kernel test in it, to attach to a bug report"},
			&cli.Uint64Flag{Name: "seed", Usage: "draw the kernels' inputs from `NUMBER`; 0 for a new one"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return examine(ctx, c, doctor.Options{Open: openGPU, Devices: doctor.Devices(), Tell: tell, Story: beginning})
		},
	}
}

// What stories260K tells at temperature 0, as llama.cpp does.
const (
	opening   = "Once upon a time"
	beginning = ", there was a little girl named Lily. She loved to play outside in the park."
)

// openSystemGPU opens the system's GPU.
func openSystemGPU() (*doctor.GPU, error) {
	d, err := metal.Open()
	if err != nil {
		return nil, err
	}
	return &doctor.GPU{Device: d, Close: func() error { d.Release(); return nil }}, nil
}

// tell continues the opening on a device.
func tell(ctx context.Context, device string) (text string, err error) {
	f, err := gguf.OpenBytes("stories260K.gguf", stories260K)
	if err != nil {
		return "", err
	}
	m, err := engine.New(ctx, f, engine.Options{Device: device, Context: 128, Batch: 32})
	if err != nil {
		f.Close()
		return "", err
	}
	defer func() { err = errors.Join(err, m.Close()) }() // what the emulator has against how it was told
	s, err := m.NewSession()
	if err != nil {
		return "", err
	}
	defer s.Close()
	for token, err := range s.Generate(ctx, m.Encode(opening), engine.GenerateOptions{MaxTokens: 40}) {
		if err != nil {
			return "", err
		}
		text += token.Text
	}
	return text, nil
}

// examine makes the checks and prints them: a line each as they are done, or
// all as JSON. A check that failed is an error, and so exit status 1.
func examine(ctx context.Context, c *cli.Command, o doctor.Options) error {
	out, asJSON := c.Root().Writer, c.Bool("json")
	o.Version, o.All, o.Seed = version(), c.Bool("all"), c.Uint64("seed")
	var failed error // to write
	o.Done = func(k doctor.Check) {
		if !asJSON && failed == nil {
			_, failed = fmt.Fprintf(out, "%-8s %-22s %s\n", k.Status, k.Name, indented(k.Detail))
		}
	}
	r, err := doctor.Run(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		failed = e.Encode(r)
	} else if failed == nil {
		_, failed = fmt.Fprintln(out, verdict(r))
	}
	if n := r.Failures(); n > 0 {
		return errors.Join(failed, fmt.Errorf("doctor: %d of %d checks failed", n, len(r.Checks)))
	}
	return failed
}

// indented is a detail below its beginning, and not all of it if it is long.
func indented(detail string) string {
	const most = 8
	lines := strings.Split(detail, "\n")
	if n := len(lines) - most; n > 0 {
		lines = append(lines[:most], fmt.Sprintf("and %d lines more; --json has them all", n))
	}
	return strings.Join(lines, "\n"+strings.Repeat(" ", 32))
}

// verdict says in a line what the report is worth.
func verdict(r *doctor.Report) string {
	what := map[string]string{
		"gpu":      "checked on this machine's GPU",
		"emulator": "checked on the emulated GPU: nothing here says what Apple's compiler, driver or GPU do",
		"none":     "checked on the CPU; no Metal was checked",
	}[r.Metal]
	return fmt.Sprintf("gollm %s, %s, %s (%s): %s", r.Version, r.Go, r.System, r.Machine, what)
}
