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
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print the report as JSON, to attach to a bug report"}},
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
func tell(ctx context.Context, device string) (string, error) {
	f, err := gguf.OpenBytes("stories260K.gguf", stories260K)
	if err != nil {
		return "", err
	}
	m, err := engine.New(ctx, f, engine.Options{Device: device, Context: 128, Batch: 32})
	if err != nil {
		f.Close()
		return "", err
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		return "", err
	}
	defer s.Close()
	var text strings.Builder
	for token, err := range s.Generate(ctx, m.Encode(opening), engine.GenerateOptions{MaxTokens: 40}) {
		if err != nil {
			return "", err
		}
		text.WriteString(token.Text)
	}
	return text.String(), nil
}

// examine makes the checks and prints them: a line each as they are done, or
// all as JSON. A check that failed is an error, and so exit status 1.
func examine(ctx context.Context, c *cli.Command, o doctor.Options) error {
	out, asJSON := c.Root().Writer, c.Bool("json")
	o.Version = version()
	var failed error // to write
	o.Done = func(k doctor.Check) {
		if !asJSON && failed == nil {
			_, failed = fmt.Fprintf(out, "%-8s %-16s %s\n", k.Status, k.Name, strings.ReplaceAll(k.Detail, "\n", "\n"+strings.Repeat(" ", 26)))
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

// verdict says in a line what the report is worth.
func verdict(r *doctor.Report) string {
	what := map[string]string{
		"gpu":      "checked on this machine's GPU",
		"emulator": "checked on the emulated GPU: nothing here says what Apple's compiler, driver or GPU do",
		"none":     "checked on the CPU; no Metal was checked",
	}[r.Metal]
	return fmt.Sprintf("gollm %s, %s, %s: %s", r.Version, r.Go, r.System, what)
}
