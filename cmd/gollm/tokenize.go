package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/gollm/gollm/engine/tokenizer"
	"github.com/gollm/gollm/gguf"
	"github.com/urfave/cli/v3"
)

func tokenizeCommand() *cli.Command {
	return &cli.Command{
		Name:  "tokenize",
		Usage: "print the tokens of a text",
		Description: `A line for each token, its id and its text, as llama-tokenize prints them. The
text is taken as it is: a backslash is a backslash.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "the GGUF `FILE`; only its vocabulary is read"},
			&cli.StringFlag{Name: "prompt", Aliases: []string{"p"}, Usage: "the text"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "read the text from `FILE`, - for standard input"},
			&cli.BoolFlag{Name: "stdin", Usage: "read the text from standard input"},
			&cli.BoolFlag{Name: "ids", Usage: "print the ids only, as a list: [1, 2, 3]"},
			&cli.BoolFlag{Name: "no-bos", Usage: "do not add the tokens that begin and end a text"},
			&cli.BoolFlag{Name: "no-parse-special", Usage: "take the names of control tokens for common text"},
			&cli.BoolFlag{Name: "show-count", Usage: "print the number of tokens, last"},
		},
		Action: tokenize,
	}
}

// tokenizeOptions say how tokenize prints.
type tokenizeOptions struct {
	ids            bool // ids only
	noBOS          bool
	noParseSpecial bool
	showCount      bool
}

func tokenize(ctx context.Context, c *cli.Command) error {
	if err := noArguments(c); err != nil {
		return err
	}
	sources := 0
	for _, name := range []string{"prompt", "file", "stdin"} {
		if c.IsSet(name) {
			sources++
		}
	}
	if sources != 1 {
		return usagef("give one of --prompt, --file and --stdin")
	}
	f, err := openVocabulary(c)
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := tokenizer.New(f)
	if err != nil {
		return err
	}
	text := c.String("prompt")
	switch {
	case c.IsSet("file"):
		text, err = readText(ctx, c, c.String("file"))
	case c.IsSet("stdin"):
		text, err = readText(ctx, c, "-")
	}
	if err != nil {
		return err
	}
	return printTokens(c.Root().Writer, t, text, tokenizeOptions{
		ids:            c.Bool("ids"),
		noBOS:          c.Bool("no-bos"),
		noParseSpecial: c.Bool("no-parse-special"),
		showCount:      c.Bool("show-count"),
	})
}

// openVocabulary opens the file of -m, or the model inside the program.
func openVocabulary(c *cli.Command) (*gguf.File, error) {
	if path := c.String("model"); path != "" {
		return gguf.Open(path)
	}
	if c.IsSet("model") {
		return nil, errNoModelNamed
	}
	fmt.Fprint(c.Root().ErrWriter, noModel)
	return gguf.OpenBytes("stories260K.gguf", stories260K)
}

// printTokens prints the tokens of text. As llama-tokenize does, it adds special
// tokens only for vocabularies that begin a text with one.
func printTokens(w io.Writer, t *tokenizer.Tokenizer, text string, o tokenizeOptions) error {
	ids := t.Encode(text, tokenizer.Options{
		AddSpecial:   t.AddBOS() && !o.noBOS,
		ParseSpecial: !o.noParseSpecial,
	})
	b := bufio.NewWriter(w)
	if o.ids {
		b.WriteByte('[')
	}
	for i, id := range ids {
		switch {
		case !o.ids:
			fmt.Fprintf(b, "%6d -> '%s'\n", id, t.Piece(id))
		case i > 0:
			fmt.Fprintf(b, ", %d", id)
		default:
			fmt.Fprint(b, id)
		}
	}
	if o.ids {
		b.WriteString("]\n")
	}
	if o.showCount {
		fmt.Fprintf(b, "Total number of tokens: %d\n", len(ids))
	}
	return b.Flush()
}
