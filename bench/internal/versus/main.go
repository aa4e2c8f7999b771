// Versus times gollm and llama.cpp on the same files with the same threads, in
// turn, and writes the table of docs/SPEED.md.
//
//	go run ./bench/internal/versus -models DIR -make          the files, once
//	go run ./bench/internal/versus -models DIR -list          the cells of the table
//	go run ./bench/internal/versus -models DIR -gollm FILE -oracle DIR -cells REGEXP
//
// A cell is a model, a test and a number of threads. A round of it runs gollm's
// bench, llama.cpp's llama-bench and the oracle's build of llama.cpp as a library,
// one after another; what a cell is worth is the median of its rounds. Rounds are
// kept in a file, so that a table may be made a cell at a time, on a machine that
// is quiet for only so long.
//
// With llama.cpp's threads waiting by spinning, a busy machine measures nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := versus(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "versus:", err)
		os.Exit(1)
	}
}

func versus(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("versus", flag.ContinueOnError)
	var (
		models  = flags.String("models", "", "the folder of the models")
		oracle  = flags.String("oracle", "", "the folder of llama.cpp: see testdata/oracle/install.sh")
		gollm   = flags.String("gollm", "bin/gollm", "the gollm to measure")
		pattern = flags.String("cells", ".", "measure the cells whose names this regular expression finds")
		threads = flags.String("threads", fmt.Sprintf("1,%d", runtime.GOMAXPROCS(0)), "numbers of threads")
		rounds  = flags.Int("rounds", 5, "rounds of a cell")
		add     = flags.Bool("add", false, "keep a cell's earlier rounds")
		state   = flags.String("state", "", "the file that keeps rounds (default: versus.jsonl in the folder of the models)")
		build   = flags.Bool("make", false, "only make the files")
		list    = flags.Bool("list", false, "only list the cells")
		table   = flags.Bool("table", false, "only print the table of what was measured")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *models == "" {
		return errors.New("-models is not given")
	}
	if *state == "" {
		*state = filepath.Join(*models, "versus.jsonl")
	}
	match, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-cells: %w", err)
	}
	counts, err := parseThreads(*threads)
	if err != nil {
		return err
	}
	var picked []cell
	for _, c := range cells(counts) {
		if match.MatchString(c.String()) {
			picked = append(picked, c)
		}
	}
	switch {
	case len(picked) == 0:
		return fmt.Errorf("no cell is named like %q", *pattern)
	case *list:
		for _, c := range picked {
			fmt.Println(c)
		}
		return nil
	case *build:
		return makeModels(ctx, *models, *gollm)
	case *rounds < 1:
		return fmt.Errorf("%d rounds", *rounds)
	case !*table:
		if *oracle == "" {
			return errors.New("-oracle is not given")
		}
		if err := measure(ctx, rivals(*gollm, *oracle), picked, *models, *state, *rounds, *add); err != nil {
			return err
		}
	}
	all, err := readRounds(*state)
	if err != nil {
		return err
	}
	return writeTable(os.Stdout, picked, all)
}

// measure adds rounds of each cell to the state file.
func measure(ctx context.Context, rivals []rival, cells []cell, models, state string, rounds int, add bool) error {
	for _, c := range cells {
		path := filepath.Join(models, c.model.file)
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s: %w (-make makes the files)", c, err)
		}
		if !add {
			if err := forget(state, c); err != nil {
				return err
			}
		}
		for range rounds {
			r := round{Cell: c.String(), Speed: map[string]float64{}}
			for _, rival := range rivals {
				speed, err := rival.run(ctx, path, c)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", c, rival.name, err)
				}
				r.Speed[rival.name] = speed
				fmt.Fprintf(os.Stderr, "%s %s %.1f t/s\n", c, rival.name, speed)
			}
			if err := keep(state, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// output runs a command and returns its standard output; the error has the end
// of what it said.
func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(said.String() + out.String())
		return "", fmt.Errorf("%s %s: %w: …%s", name, strings.Join(args, " "), err, text[max(0, len(text)-500):])
	}
	return out.String(), nil
}
