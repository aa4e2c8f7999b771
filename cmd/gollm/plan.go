package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gollm/gollm/bench"
	"github.com/gollm/gollm/engine"
	"github.com/urfave/cli/v3"
)

func planCommand() *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "print what a model comes to on a GPU: dispatches, bytes, memory, time; needs none",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "the GGUF `FILE`; any part of a split model"},
			&cli.IntFlag{Name: "ctx-size", Aliases: []string{"c"}, Usage: "most tokens of prompt and answer; -1 takes the model's own length, 0 that but at most 8192"},
			layersFlag(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORM`: text or json", Value: "text"},
		},
		Action: plan,
	}
}

func plan(ctx context.Context, c *cli.Command) error {
	if err := noArguments(c); err != nil {
		return err
	}
	form, size := c.String("output"), c.Int("ctx-size")
	switch {
	case form != "text" && form != "json":
		return usagef("--output %s: must be text or json", form)
	case size < -1:
		return usagef("--ctx-size %d: must be a number of tokens, 0 or -1", size)
	case gpuLayers(c) == engine.NoLayers || c.Int("n-gpu-layers") < -1:
		return usagef("--n-gpu-layers %d: must be -1, for all, or at least 1", c.Int("n-gpu-layers"))
	case c.IsSet("model") && c.String("model") == "":
		return errNoModelNamed
	}
	// Nothing is run: the device does not matter, and the CPU is always there.
	m, err := openModel(ctx, c, c.String("model"), engine.Options{Context: size, Device: "cpu", Threads: 1, GPULayers: gpuLayers(c)})
	if err != nil {
		return err
	}
	defer m.Close()
	p, err := m.Plan()
	if err != nil {
		return err
	}
	if form == "json" {
		return writePlanJSON(c.Root().Writer, p)
	}
	return writePlan(c.Root().Writer, p)
}

// chipTime is what a chip is predicted to take, in seconds.
type chipTime struct {
	bench.Chip
	Decode  float64 `json:"decode"`
	Prefill float64 `json:"prefill"`
}

func writePlanJSON(w io.Writer, p *engine.Plan) error {
	out := struct {
		*engine.Plan
		Formula      string     `json:"formula"`
		DispatchCost float64    `json:"dispatch_cost"` // seconds, assumed
		Chips        []chipTime `json:"chips"`
	}{Plan: p, Formula: bench.Formula, DispatchCost: bench.DispatchCost.Seconds()}
	for _, c := range bench.Chips {
		out.Chips = append(out.Chips, chipTime{c, bench.Predict(&p.Decode, c).Seconds(), bench.Predict(&p.Prefill, c).Seconds()})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

func writePlan(w io.Writer, p *engine.Plan) error {
	out := &strings.Builder{}
	table := func(lines func(t io.Writer)) {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		lines(t)
		t.Flush()
	}
	fmt.Fprintf(out, "%s: %s tokens of context, KV cache in %s\n", plain(p.Model), group(p.Context), p.KVType)
	if p.GPULayers <= p.Layers {
		fmt.Fprintf(out, "-ngl %d of %d layers: all that follows is the GPU's part, the last %d and the output. The rest runs on the CPU.\n", p.GPULayers, p.Layers, p.GPULayers)
	}
	fmt.Fprintf(out, "\nmemory, in bytes\n")
	table(func(t io.Writer) {
		for _, l := range []struct {
			name  string
			bytes int64
		}{{"weights", p.Memory.Weights}, {"KV cache", p.Memory.KV}, {"scratch", p.Memory.Scratch}, {"together", p.Memory.Total}} {
			fmt.Fprintf(t, "  %s\t%15s\n", l.name, group(l.bytes))
		}
	})
	printStep(out, table, fmt.Sprintf("decode: one token, after %s others", group(p.Decode.Position)), &p.Decode)
	printStep(out, table, fmt.Sprintf("prefill: the first %s tokens, with one result", group(p.Prefill.Tokens)), &p.Prefill)

	fmt.Fprintf(out, "\npredicted, not measured: %s\n", bench.Formula)
	fmt.Fprintln(out, "The cost of a dispatch is assumed: what llama.cpp's published decode speeds leave unexplained by")
	fmt.Fprintln(out, "bytes / bandwidth (half of 14 chips below 5.1 ms a token), over its about 580 dispatches. FLOPS are what its")
	fmt.Fprintln(out, "published prompt speed comes to (pp512 of Llama-2-7B Q8_0). Bandwidths are nominal.")
	table(func(t io.Writer) {
		fmt.Fprintln(t, "  chip\tGB/s\tTFLOPS\tdecode ms\ttokens/s\tprefill ms\ttokens/s")
		for _, c := range bench.Chips {
			decode, prefill := bench.Predict(&p.Decode, c), bench.Predict(&p.Prefill, c)
			fmt.Fprintf(t, "  %s\t%4.0f\t%6.1f\t%9.2f\t%8.1f\t%10.1f\t%8.0f\n", c.Name, c.Bandwidth/1e9, c.FLOPS/1e12,
				milliseconds(decode), 1/decode.Seconds(), milliseconds(prefill), float64(p.Prefill.Tokens)/prefill.Seconds())
		}
	})
	for line := range strings.Lines(out.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil { // empty cells
			return err
		}
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// printStep prints the dispatches of a step. Layers with the same dispatches as
// the one before are printed once.
func printStep(out io.Writer, table func(func(io.Writer)), title string, s *engine.StepPlan) {
	fmt.Fprintf(out, "\n%s\n", title)
	table(func(t io.Writer) {
		fmt.Fprintf(t, "  op\tkernel\tgrid\tthreads\t%13s\t%13s\tbarrier\ttensor\n", "read", "written")
		list, before := s.Dispatches, []engine.Dispatch(nil)
		for len(list) > 0 {
			n := 1
			for n < len(list) && list[n].Layer == list[0].Layer {
				n++
			}
			these := list[:n]
			list = list[n:]
			if layer := these[0].Layer; layer >= 0 {
				if alike(these, before) {
					fmt.Fprintf(t, "  layer %d\tas the one before\t\t\t\t\t\t\n", layer)
					continue
				}
				fmt.Fprintf(t, "  layer %d\t\t\t\t\t\t\t\n", layer)
			}
			before = these
			for _, d := range these {
				barrier := ""
				if d.Barrier {
					barrier = "barrier"
				}
				fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%13s\t%13s\t%s\t%s\n", d.Op, d.Kernel, times(d.Groups), times(d.Threads), group(d.Read), group(d.Written), barrier, plain(d.Tensor))
			}
		}
	})
	if i := slices.IndexFunc(s.Layers, func(c engine.StepCost) bool { return c.Dispatches > 0 }); i >= 0 {
		printCost(out, fmt.Sprintf("layer %d", i), s.Layers[i])
	}
	printCost(out, "all together", s.Total)
	fmt.Fprintf(out, "FLOPs of matrix products and attention: %s\n", group(s.FLOPs))
}

func printCost(out io.Writer, what string, c engine.StepCost) {
	fmt.Fprintf(out, "%s: %d dispatches, %d barriers, at most %d messages to encode them, %s bytes read, %s written\n",
		what, c.Dispatches, c.Barriers, c.Messages, group(c.Read), group(c.Written))
}

// alike reports whether two layers have the same dispatches but for the names of
// their tensors.
func alike(a, b []engine.Dispatch) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.Layer, x.Tensor, y.Layer, y.Tensor = 0, "", 0, ""
		if x != y {
			return false
		}
	}
	return true
}

// times writes a size without the dimensions that are 1: "128", "4 × 8".
func times(s [3]int) string {
	n := len(s)
	for n > 1 && s[n-1] == 1 {
		n--
	}
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(s[:n])), " × "), "[]")
}
