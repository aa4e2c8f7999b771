package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/engine/chat"
	"github.com/gollm/gollm/engine/sample"
	"github.com/urfave/cli/v3"
)

func runCommand() *cli.Command {
	d := sample.Default()
	return &cli.Command{
		Name:  "run",
		Usage: "generate text, or chat on a terminal",
		Description: `With a prompt (-p, -f, or text from a pipe) gollm answers it once. Without one,
on a terminal, it chats. A model that has a chat template is given the prompt as
a message through it; --no-template, and models without one, continue the text.

Standard output carries the generated text and nothing else.`,
		Flags: append(modelFlags(),
			&cli.StringFlag{Name: "prompt", Aliases: []string{"p"}, Usage: "the prompt"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "read the prompt from `FILE`, - for standard input"},
			&cli.IntFlag{Name: "n-predict", Aliases: []string{"n", "predict"}, Usage: "most tokens to generate; -1 as many as the context holds", Value: -1},
			&cli.StringFlag{Name: "system", Aliases: []string{"sys"}, Usage: "the system message, for models with a chat template"},
			&cli.BoolFlag{Name: "no-template", Usage: "continue the text as it is, without the chat template"},
			&cli.BoolFlag{Name: "display-prompt", Usage: "print the prompt before the text"},
			&cli.StringSliceFlag{Name: "stop", Usage: "end before this `TEXT`; may be repeated"},
			&cli.BoolFlag{Name: "ignore-eos", Usage: "go on when the model says it has ended"},
			&cli.FloatFlag{Name: "temp", Usage: "temperature; 0 takes the most likely token", Value: d.Temperature},
			&cli.IntFlag{Name: "top-k", Usage: "sample from the k most likely tokens; 0 from all", Value: d.TopK},
			&cli.FloatFlag{Name: "top-p", Usage: "sample from the fewest tokens whose probabilities reach p; 1 from all", Value: d.TopP},
			&cli.FloatFlag{Name: "min-p", Usage: "leave out tokens less than p times as likely as the most likely; 0 none", Value: d.MinP},
			&cli.FloatFlag{Name: "typical", Usage: "locally typical sampling; 1 is off", Value: 1},
			&cli.FloatFlag{Name: "repeat-penalty", Usage: "penalty of recent tokens; 1 is none", Value: d.RepeatPenalty},
			&cli.IntFlag{Name: "repeat-last-n", Usage: "how many tokens are recent; -1 all of the context", Value: d.RepeatLast},
			&cli.FloatFlag{Name: "presence-penalty", Usage: "subtracted from the logits of recent tokens"},
			&cli.FloatFlag{Name: "frequency-penalty", Usage: "subtracted for each time a token is recent"},
			&cli.Int64Flag{Name: "seed", Aliases: []string{"s"}, Usage: "of the sampling; -1 takes a random one", Value: -1},
		),
		Action: run,
	}
}

// generateOptions reads run's flags of generation.
func generateOptions(c *cli.Command, context int) (engine.GenerateOptions, error) {
	o := engine.GenerateOptions{
		MaxTokens: max(0, c.Int("n-predict")),
		Stop:      c.StringSlice("stop"),
		IgnoreEnd: c.Bool("ignore-eos"),
		Sampling: sample.Params{
			Temperature:      c.Float("temp"),
			TopK:             max(0, c.Int("top-k")),
			TopP:             c.Float("top-p"),
			MinP:             c.Float("min-p"),
			Typical:          c.Float("typical"),
			RepeatPenalty:    c.Float("repeat-penalty"),
			RepeatLast:       c.Int("repeat-last-n"),
			PresencePenalty:  c.Float("presence-penalty"),
			FrequencyPenalty: c.Float("frequency-penalty"),
			Seed:             uint64(c.Int64("seed")),
		},
	}
	if o.Sampling.RepeatLast < 0 {
		o.Sampling.RepeatLast = context
	}
	if c.Int64("seed") < 0 {
		o.Sampling.Seed = rand.Uint64()
	}
	if err := o.Sampling.Check(); err != nil {
		return o, usageError{err}
	}
	return o, nil
}

func run(ctx context.Context, c *cli.Command) error {
	if err := noArguments(c); err != nil {
		return err
	}
	prompt, given, err := runPrompt(c)
	if err != nil {
		return err
	}
	m, err := loadModel(ctx, c, 0)
	if err != nil {
		return err
	}
	defer m.Close()
	o, err := generateOptions(c, m.Info().Context)
	if err != nil {
		return err
	}
	s, err := m.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	if !given {
		return converse(ctx, c, s, o)
	}
	return answer(ctx, c, s, prompt, o)
}

// runPrompt returns the prompt, and whether there is one: without one, on a
// terminal, run chats.
func runPrompt(c *cli.Command) (prompt string, given bool, err error) {
	switch {
	case c.IsSet("prompt") && c.IsSet("file"):
		return "", false, usageError{errors.New("--prompt and --file: give one of the two")}
	case c.IsSet("prompt"):
		return c.String("prompt"), true, nil
	case c.IsSet("file"):
		prompt, err = readText(c, c.String("file"))
		return prompt, true, err
	case !isTerminal(c.Root().Reader):
		prompt, err = readText(c, "-")
		return prompt, true, err
	}
	return "", false, nil
}

// templated reports whether prompts go through the model's chat template.
func templated(c *cli.Command, m *engine.Model) bool {
	return m.Info().HasTemplate && !c.Bool("no-template")
}

// answer generates once, to standard output.
func answer(ctx context.Context, c *cli.Command, s *engine.Session, prompt string, o engine.GenerateOptions) error {
	m, stdout, stderr := s.Model(), c.Root().Writer, c.Root().ErrWriter
	var tokens []int32
	if templated(c, m) {
		messages := []chat.Message{chat.User(prompt)}
		if sys := c.String("system"); sys != "" {
			messages = append([]chat.Message{chat.System(sys)}, messages...)
		}
		var err error
		if tokens, err = m.ChatPrompt(messages, chat.Options{}); err != nil {
			return err
		}
	} else {
		if c.IsSet("system") {
			return usageError{errors.New("--system: needs the model's chat template, and there is none in use")}
		}
		if tokens = m.Encode(prompt); len(tokens) == 0 {
			return errors.New("the prompt is empty")
		}
	}
	if c.Bool("display-prompt") {
		if _, err := io.WriteString(stdout, prompt); err != nil {
			return err
		}
	}
	text, err := stream(ctx, s, tokens, o, stdout)
	if isTerminal(stdout) && !strings.HasSuffix(text, "\n") {
		fmt.Fprintln(stdout)
	}
	printTimings(stderr, s.Stats())
	return err
}

// stream generates and writes the text as it comes. It returns all of it.
func stream(ctx context.Context, s *engine.Session, prompt []int32, o engine.GenerateOptions, w io.Writer) (string, error) {
	var all strings.Builder
	for token, err := range s.Generate(ctx, prompt, o) {
		if err != nil {
			return all.String(), err
		}
		all.WriteString(token.Text)
		if _, err := io.WriteString(w, token.Text); err != nil {
			return all.String(), fmt.Errorf("write the text: %w", err)
		}
	}
	return all.String(), nil
}

// printTimings says how fast it went.
func printTimings(w io.Writer, st engine.Stats) {
	fmt.Fprintf(w, "prompt %d tokens, %.1f t/s, generation %d tokens, %.1f t/s\n",
		st.PromptTokens, rate(st.PromptTokens, st.PromptTime), st.GeneratedTokens, rate(st.GeneratedTokens, st.GenerateTime))
}

func rate(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
