package main

import (
	"bufio"
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"
)

func logitsCommand() *cli.Command {
	return &cli.Command{
		Name:  "logits",
		Usage: "print the logits after each token of a sequence",
		Description: `A line for each position: the token with the largest logit, then the logits of
the whole vocabulary.`,
		Flags: append(modelFlags(),
			&cli.StringFlag{Name: "ids", Usage: "the token ids, apart by spaces or commas"},
		),
		Action: logits,
	}
}

func logits(ctx context.Context, c *cli.Command) error {
	if err := noArguments(c); err != nil {
		return err
	}
	var ids []int32
	for _, f := range strings.FieldsFunc(c.String("ids"), func(r rune) bool { return r == ' ' || r == ',' }) {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			return usagef("--ids: %q is no token id", f)
		}
		ids = append(ids, int32(id))
	}
	if len(ids) == 0 {
		return usagef("--ids: no token ids")
	}
	m, err := loadModel(ctx, c, 0)
	if err != nil {
		return err
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	w := bufio.NewWriter(c.Root().Writer)
	var line []byte
	err = s.EvalEach(ctx, ids, 0, func(_ int, logits []float32) error {
		best := 0
		for i, l := range logits {
			if l > logits[best] {
				best = i
			}
		}
		line = strconv.AppendInt(line[:0], int64(best), 10)
		for _, l := range logits {
			line = append(line, ' ')
			line = strconv.AppendFloat(line, float64(l), 'g', 6, 32)
		}
		_, err := w.Write(append(line, '\n'))
		return err
	})
	return errors.Join(err, w.Flush())
}
