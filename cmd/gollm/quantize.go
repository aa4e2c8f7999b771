package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quantize"
	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v3"
)

func quantizeCommand() *cli.Command {
	var types []string
	for _, m := range quantize.Mixtures() {
		types = append(types, m.Name)
	}
	return &cli.Command{
		Name:      "quantize",
		Usage:     "write a model with smaller tensor types",
		ArgsUsage: "IN OUT TYPE",
		Description: "TYPE is one of " + strings.Join(types, " ") + ".\n" +
			"Which tensor gets which type follows llama.cpp's rules; --dry-run shows it.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "print what would be done, and write nothing"},
			&cli.BoolFlag{Name: "allow-requantize", Usage: "quantise tensors that are quantised already, which loses more than quantising the original"},
			&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "CPU threads; 0 takes one a processor"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.NArg() != 3 {
				return usagef("%s takes three arguments, IN OUT TYPE, and got %d", c.FullName(), c.NArg())
			}
			threads := c.Int("threads")
			if err := checkThreads(threads); err != nil {
				return err
			}
			if threads > 0 {
				// The package works on as many processors as the program may use.
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
			}
			mix, err := quantize.ParseMixture(c.Args().Get(2))
			if err != nil {
				return usageError{err}
			}
			f, err := gguf.Open(c.Args().Get(0))
			if err != nil {
				return err
			}
			defer f.Close()
			plan, err := quantize.NewPlan(f, mix, c.Bool("allow-requantize"))
			if errors.Is(err, quantize.ErrRequantize) {
				return fmt.Errorf("%w (--allow-requantize does it all the same)", err)
			}
			if err != nil {
				return err
			}
			if c.Bool("dry-run") {
				return printPlan(c.Root().Writer, plan)
			}
			return writeQuantized(ctx, c.Root().ErrWriter, plan, c.Args().Get(1))
		},
	}
}

// writeQuantized writes the model of a plan to path, with a progress bar if stderr is a
// terminal.
func writeQuantized(ctx context.Context, stderr io.Writer, plan *quantize.Plan, path string) error {
	start := time.Now()
	before, after := plan.Size()
	var progress func(done, total int64)
	if isTerminal(stderr) {
		bar := progressbar.NewOptions64(before,
			progressbar.OptionSetDescription("quantising to "+plan.Mixture.Name),
			progressbar.OptionSetWriter(stderr),
			progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionFullWidth())
		defer bar.Exit()
		defer bar.Clear()
		progress = func(done, _ int64) { bar.Set64(done) }
	}
	if err := plan.Write(ctx, path, progress); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s: %s, was %s, %.2f bits a weight; %.1f s\n", path, byteCount(after), byteCount(before), bitsPerWeight(plan), time.Since(start).Seconds())
	return nil
}

// printPlan prints each tensor with its type and size, now and then.
func printPlan(w io.Writer, plan *quantize.Plan) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, a := range plan.Tensors {
		dims := strings.Trim(fmt.Sprint(a.Dims), "[]")
		to, note := "stays", ""
		if a.Target != a.Type {
			to = fmt.Sprintf("%v, %s", a.Target, byteCount(a.Size()))
		}
		if a.Target != a.Wanted {
			note = fmt.Sprintf("(rows of %d do not fit %v)", a.Cols(), a.Wanted)
		}
		fmt.Fprintf(tw, "%s\t%s\t%v, %s\t%s\t%s\n", a.Name, strings.ReplaceAll(dims, " ", "×"), a.Type, byteCount(int64(len(a.Data))), to, note)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	before, after := plan.Size()
	_, err := fmt.Fprintf(w, "%s: all tensors %s, were %s; %.2f bits a weight\n", plan.Mixture.Name, byteCount(after), byteCount(before), bitsPerWeight(plan))
	return err
}

func bitsPerWeight(plan *quantize.Plan) float64 {
	_, bytes := plan.Size()
	var values int64
	for _, a := range plan.Tensors {
		values += int64(a.Elements())
	}
	return float64(bytes) * 8 / float64(max(values, 1))
}

func byteCount(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
