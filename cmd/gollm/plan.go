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
	First   float64 `json:"decode_first"`
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
		out.Chips = append(out.Chips, chipTime{c, bench.Predict(&p.First, c).Seconds(), bench.Predict(&p.Decode, c).Seconds(), bench.Predict(&p.Prefill, c).Seconds()})
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
	fmt.Fprintln(out, "first: a decoded token with nothing before it; last: one at the end of the context, as above.")
	table(func(t io.Writer) {
		fmt.Fprintln(t, "  chip\tGB/s\tTFLOPS\tfirst ms\ttokens/s\t last ms\ttokens/s\tprefill ms\ttokens/s")
		for _, c := range bench.Chips {
			first, last, prefill := bench.Predict(&p.First, c), bench.Predict(&p.Decode, c), bench.Predict(&p.Prefill, c)
			fmt.Fprintf(t, "  %s\t%4.0f\t%6.1f\t%8.2f\t%8.1f\t%8.2f\t%8.1f\t%10.1f\t%8.0f\n", c.Name, c.Bandwidth/1e9, c.FLOPS/1e12,
				milliseconds(first), 1/first.Seconds(), milliseconds(last), 1/last.Seconds(), milliseconds(prefill), float64(p.Prefill.Tokens)/prefill.Seconds())
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

// printStep prints the dispatches of a step. Layers with the same dispatches are
// printed once, where the first of them is, with what they come to.
func printStep(out io.Writer, table func(func(io.Writer)), title string, s *engine.StepPlan) {
	fmt.Fprintf(out, "\n%s\n", title)
	table(func(t io.Writer) {
		fmt.Fprintf(t, "  op\tkernel\tgrid\tthreads\t%13s\t%13s\tbarrier\ttensor\n", "read", "written")
		for _, l := range distinct(s.Dispatches) {
			indent := ""
			if l.layers != nil {
				indent = "  "
				c := s.Layers[l.layers[0]]
				which := "layers " + ranges(l.layers) + ", each; their tensors are the first's"
				if len(l.layers) == 1 {
					which = "layer " + ranges(l.layers)
				}
				fmt.Fprintf(t, "  layer\t%d dispatches\t\t\t%13s\t%13s\t%7d\t%s\n", c.Dispatches, group(c.Read), group(c.Written), c.Barriers, which)
			}
			for _, d := range l.dispatches {
				barrier := ""
				if d.Barrier {
					barrier = "barrier"
				}
				fmt.Fprintf(t, "  %s%s\t%s\t%s\t%s\t%13s\t%13s\t%s\t%s\n", indent, d.Op, d.Kernel, times(d.Groups), times(d.Threads), group(d.Read), group(d.Written), barrier, plain(d.Tensor))
			}
		}
		fmt.Fprintf(t, "  together\t%d dispatches\t\t\t%13s\t%13s\t%7d\tat most %s messages to encode them\n",
			s.Total.Dispatches, group(s.Total.Read), group(s.Total.Written), s.Total.Barriers, group(s.Total.Messages))
	})
	fmt.Fprintf(out, "  FLOPs of matrix products and attention: %s\n", group(s.FLOPs))
}

// layerKind is the layers that have the same dispatches, or what lies outside of
// layers.
type layerKind struct {
	layers     []int             // none outside of layers
	dispatches []engine.Dispatch // of the first
}

// distinct puts layers that are alike together, in the order of the first of each.
func distinct(list []engine.Dispatch) (kinds []layerKind) {
	for len(list) > 0 {
		n, layer := 1, list[0].Layer
		for n < len(list) && list[n].Layer == layer {
			n++
		}
		these := list[:n]
		list = list[n:]
		if layer < 0 {
			kinds = append(kinds, layerKind{nil, these})
			continue
		}
		i := slices.IndexFunc(kinds, func(k layerKind) bool { return k.layers != nil && alike(k.dispatches, these) })
		if i < 0 {
			i = len(kinds)
			kinds = append(kinds, layerKind{nil, these})
		}
		kinds[i].layers = append(kinds[i].layers, layer)
	}
	return kinds
}

// ranges writes ascending numbers as "0–4, 6, 8–10".
func ranges(list []int) string {
	var parts []string
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n] == list[0]+n {
			n++
		}
		part := fmt.Sprint(list[0])
		if n > 1 {
			part += fmt.Sprintf("–%d", list[n-1])
		}
		parts = append(parts, part)
		list = list[n:]
	}
	return strings.Join(parts, ", ")
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
