package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gollm/gollm/bench"
	"github.com/gollm/gollm/engine/tokenizer"
	"github.com/urfave/cli/v3"
)

func perplexityCommand() *cli.Command {
	return &cli.Command{
		Name:  "perplexity",
		Usage: "score how well a model predicts a text",
		Description: `The text is cut into chunks of --ctx-size tokens; the second half of each is
scored, as llama-perplexity does. --kl-divergence-base writes every prediction to
a file; with --kl-divergence that file is read and the model compared with the
one that wrote it. The file is llama-perplexity's.`,
		Flags: append(modelFlags(),
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "the text, - for standard input"},
			&cli.IntFlag{Name: "chunks", Usage: "score at most this many chunks; 0 or less all", Value: -1},
			&cli.StringFlag{Name: "kl-divergence-base", Aliases: []string{"save-all-logits"}, Usage: "the `FILE` of predictions to write, or to read"},
			&cli.BoolFlag{Name: "kl-divergence", Usage: "compare with the predictions in --kl-divergence-base"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if c.Bool("kl-divergence") {
				return diverge(ctx, c)
			}
			return perplexity(ctx, c)
		},
	}
}

func perplexity(ctx context.Context, c *cli.Command) error {
	if !c.IsSet("file") {
		return usagef("--file: a text is needed")
	}
	size := c.Int("ctx-size")
	if size == 0 {
		size = 512
	}
	if size < 4 {
		return usagef("--ctx-size %d: must be at least 4", size)
	}
	text, err := readText(ctx, c, c.String("file"))
	if err != nil {
		return err
	}
	m, err := loadModel(ctx, c, size)
	if err != nil {
		return err
	}
	defer m.Close()
	t, err := bench.NewText(m.Tokenizer().Encode(text, tokenizer.Options{AddSpecial: true}), size, c.Int("chunks"))
	if err != nil {
		return err
	}
	s, err := m.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()

	var base *bench.BaseWriter
	var file *os.File
	if path := c.String("kl-divergence-base"); path != "" {
		// Written beside its place and renamed, so that no half of it is left.
		if file, err = os.CreateTemp(filepath.Dir(path), ".gollm-*"); err != nil {
			return fmt.Errorf("--kl-divergence-base: %w", err)
		}
		defer os.Remove(file.Name())
		defer file.Close()
		if base, err = bench.NewBaseWriter(file, t, m.Info().Vocab); err != nil {
			return fmt.Errorf("--kl-divergence-base: %w", err)
		}
	}
	stdout := c.Root().Writer
	score, err := bench.Perplexity(ctx, s, t, base, func(chunk int, sofar bench.Score) {
		fmt.Fprintf(stdout, "[%d]%.4f,", chunk, sofar.PPL)
	})
	fmt.Fprintln(stdout)
	if err != nil {
		return err
	}
	if base != nil {
		if err := commit(base, file, c.String("kl-divergence-base")); err != nil {
			return fmt.Errorf("--kl-divergence-base: %w", err)
		}
	}
	_, err = fmt.Fprintf(stdout, "Final estimate: PPL = %.4f +/- %.5f\n", score.PPL, score.Error)
	return err
}

// commit ends a base file and gives it its name.
func commit(base *bench.BaseWriter, file *os.File, path string) error {
	if err := base.Flush(); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func diverge(ctx context.Context, c *cli.Command) error {
	path := c.String("kl-divergence-base")
	if path == "" {
		return usagef("--kl-divergence: --kl-divergence-base names no file to compare with")
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("--kl-divergence-base: %w", err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return fmt.Errorf("--kl-divergence-base: %w", err)
	}
	base, err := bench.NewBase(file, st.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	m, err := loadModel(ctx, c, base.Text.Context)
	if err != nil {
		return err
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	stdout := c.Root().Writer
	fmt.Fprintln(stdout, bench.Header)
	d, err := bench.Diverge(ctx, s, base, func(chunk int, d *bench.Divergence) {
		fmt.Fprintln(stdout, d.Line(chunk))
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout)
	return d.Print(stdout)
}
