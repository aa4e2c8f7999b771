package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/gollm/gollm/bench"
	"github.com/gollm/gollm/engine"
	"github.com/urfave/cli/v3"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure tokens a second",
		Description: `The options are llama-bench's. -p reads prompts of so many tokens (pp), -n
generates so many one by one (tg), -pg does both, -d fills the context first with
tokens that are not timed, -np does it in so many sessions at once and measures the
speed of all together. Each takes several values, with commas or given
again, and ranges: first-last, first-last+step, first-last*factor. Every
combination is measured. "of memory" is the share of the memory's bandwidth,
measured with as many threads, that reading the weights of tg makes.`,
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "model", Aliases: []string{"m"}, Usage: "the GGUF `FILE`"},
			&cli.StringSliceFlag{Name: "n-prompt", Aliases: []string{"p"}, Usage: "tokens of the prompt", Value: []string{"512"}},
			&cli.StringSliceFlag{Name: "n-gen", Aliases: []string{"n"}, Usage: "tokens to generate", Value: []string{"128"}},
			&cli.StringSliceFlag{Name: "pg", Usage: "`PROMPT,GEN` tokens of both"},
			&cli.StringSliceFlag{Name: "n-depth", Aliases: []string{"d"}, Usage: "tokens in the context before", Value: []string{"0"}},
			&cli.StringSliceFlag{Name: "batch-size", Aliases: []string{"b"}, Usage: "tokens of a prompt processed at once", Value: []string{"512"}},
			&cli.StringSliceFlag{Name: "threads", Aliases: []string{"t"}, Usage: "CPU threads; 0 takes one for each performance core", Value: []string{"0"}},
			preciseFlag(),
			&cli.StringFlag{Name: "device", Usage: "where to run: " + strings.Join(engine.Devices(), ", ")},
			layersFlag(),
			&cli.StringSliceFlag{Name: "parallel", Aliases: []string{"np"}, Usage: "sessions at once", Value: []string{"1"}},
			&cli.IntFlag{Name: "repetitions", Aliases: []string{"r"}, Usage: "times each test is measured", Value: 5},
			&cli.BoolFlag{Name: "no-warmup", Usage: "time the first run too"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "format: " + strings.Join(bench.Formats(), ", "), Value: "md"},
		}, cacheFlags()...),
		Action: benchmark,
	}
}

func benchmark(ctx context.Context, c *cli.Command) error {
	if err := noArguments(c); err != nil {
		return err
	}
	var prompts, gens, depths, sessions, batches, threads []int
	for _, f := range []struct {
		name  string
		least int
		out   *[]int
	}{{"n-prompt", 0, &prompts}, {"n-gen", 0, &gens}, {"n-depth", 0, &depths}, {"parallel", 1, &sessions}, {"batch-size", 1, &batches}, {"threads", 0, &threads}} {
		for _, text := range c.StringSlice(f.name) {
			values, err := parseRange(text, f.least)
			if err != nil {
				return usagef("--%s: %w", f.name, err)
			}
			*f.out = append(*f.out, values...)
		}
	}
	pg := c.StringSlice("pg")
	if len(pg)%2 != 0 {
		return usagef("--pg %s: takes pairs, PROMPT,GEN", strings.Join(pg, ","))
	}
	var tests []bench.Test
	for _, np := range sessions {
		for _, d := range depths {
			for _, p := range prompts {
				if p > 0 {
					tests = append(tests, bench.Test{Prompt: p, Depth: d, Sessions: np})
				}
			}
			for _, n := range gens {
				if n > 0 {
					tests = append(tests, bench.Test{Gen: n, Depth: d, Sessions: np})
				}
			}
			for i := 0; i < len(pg); i += 2 {
				p, err1 := strconv.Atoi(pg[i])
				n, err2 := strconv.Atoi(pg[i+1])
				if err1 != nil || err2 != nil || p < 0 || n < 0 || p+n == 0 {
					return usagef("--pg %s,%s: not two counts of tokens", pg[i], pg[i+1])
				}
				tests = append(tests, bench.Test{Prompt: p, Gen: n, Depth: d, Sessions: np})
			}
		}
	}
	if len(tests) == 0 {
		return usagef("nothing to measure: give -p, -n or -pg tokens")
	}
	if o := c.String("output"); slices.Max(sessions) > 1 && (o == "csv" || o == "sql") {
		return usagef("--parallel %d: --output %s has llama-bench's columns, and none for it", slices.Max(sessions), o)
	}
	if c.Int("repetitions") < 1 {
		return usagef("--repetitions %d: must be at least 1", c.Int("repetitions"))
	}
	if err := checkDevice(c, threads...); err != nil {
		return err
	}
	cache, err := cacheType(c)
	if err != nil {
		return err
	}
	table, err := bench.NewTable(c.String("output"), c.Root().Writer)
	if err != nil {
		return usageError{err}
	}
	models := c.StringSlice("model")
	if slices.Contains(models, "") {
		return errNoModelNamed
	}
	if len(models) == 0 {
		models = []string{""}
	}
	context := 0
	for _, t := range tests {
		context = max(context, t.Tokens())
	}
	memory := map[int]float64{} // bandwidth by threads
	for _, path := range models {
		for _, b := range batches {
			for _, n := range threads {
				o := engine.Options{Context: context, Batch: b, Threads: n, Precise: c.Bool("precise"), KVType: cache, Device: c.String("device"), GPULayers: gpuLayers(c)}
				if err := benchModel(ctx, c, path, o, tests, memory, table); err != nil {
					return err
				}
			}
		}
	}
	return table.Close()
}

// benchModel measures all tests with one model loaded one way.
func benchModel(ctx context.Context, c *cli.Command, path string, o engine.Options, tests []bench.Test, memory map[int]float64, table bench.Table) error {
	m, err := openModel(ctx, c, path, o)
	if err != nil {
		return err
	}
	defer m.Close()
	for _, t := range tests {
		if isTerminal(c.Root().ErrWriter) {
			fmt.Fprintf(c.Root().ErrWriter, "\r%s …\x1b[K\r", t)
		}
		r, err := bench.Run(ctx, m, t, c.Int("repetitions"), c.Bool("no-warmup"))
		if err != nil {
			return err
		}
		if isTerminal(c.Root().ErrWriter) {
			io.WriteString(c.Root().ErrWriter, "\x1b[K")
		}
		if r.TokenBytes > 0 && r.Device == "cpu" {
			if memory[r.Threads] == 0 {
				memory[r.Threads] = bench.Bandwidth(r.Threads)
			}
			r.Compare(memory[r.Threads])
		}
		if err := table.Add(r); err != nil {
			return err
		}
	}
	return nil
}

// parseRange reads a count of at least least, or a range of counts.
func parseRange(text string, least int) ([]int, error) {
	bad := fmt.Errorf("%q is no number of at least %d, and no range of such", text, least)
	first, rest, ranged := strings.Cut(text, "-")
	from, err := strconv.Atoi(first)
	if err != nil || from < least {
		return nil, bad
	}
	if !ranged {
		return []int{from}, nil
	}
	last, step, factor := rest, 1, 1
	if i := strings.IndexAny(rest, "+*"); i >= 0 {
		n, err := strconv.Atoi(rest[i+1:])
		if err != nil || n < 1 || rest[i] == '*' && n < 2 {
			return nil, bad
		}
		if last = rest[:i]; rest[i] == '+' {
			step = n
		} else {
			step, factor = 0, n
		}
	}
	to, err := strconv.Atoi(last)
	if err != nil || to < from || from == 0 && factor > 1 {
		return nil, bad
	}
	var out []int
	for v := from; v <= to && len(out) < 1000; v = v*factor + step {
		out = append(out, v)
	}
	return out, nil
}
