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
			&cli.IntFlag{Name: "n-predict", Aliases: []string{"n", "predict"}, Usage: "most tokens to generate; -1 as many as the context holds, 0 only reads the prompt", Value: -1},
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
		// A stop string may hold commas.
		DisableSliceFlagSeparator: true,
		Action:                    run,
	}
}

// samplingRanges are what the flags of sampling may be.
var samplingRanges = []struct {
	name        string
	least, most float64
}{
	{"temp", 0, 1000},
	{"top-p", 0, 1},
	{"min-p", 0, 1},
	{"typical", 0, 1},
	{"repeat-penalty", 0, 1000},
	{"presence-penalty", -1000, 1000},
	{"frequency-penalty", -1000, 1000},
}

// generateOptions reads run's flags of generation.
func generateOptions(c *cli.Command) (engine.GenerateOptions, error) {
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
	for _, r := range samplingRanges {
		if v := c.Float(r.name); !(v >= r.least && v <= r.most) {
			return o, usagef("--%s %v: must lie between %v and %v", r.name, v, r.least, r.most)
		}
	}
	for _, name := range []string{"n-predict", "repeat-last-n", "top-k"} {
		if v := c.Int(name); v < -1 {
			return o, usagef("--%s %d: must be -1 or more", name, v)
		}
	}
	switch seed := c.Int64("seed"); {
	case seed < -1:
		return o, usagef("--seed %d: must be -1 or more", seed)
	case seed == -1:
		o.Sampling.Seed = rand.Uint64()
	}
	if err := o.Sampling.Check(); err != nil && o.Sampling.RepeatLast >= 0 {
		return o, usageError{err}
	}
	return o, nil
}

func run(ctx context.Context, c *cli.Command) error {
	if err := noArguments(c); err != nil {
		return err
	}
	o, err := generateOptions(c)
	if err != nil {
		return err
	}
	prompt, given, err := runPrompt(ctx, c)
	if err != nil {
		return err
	}
	m, err := loadModel(ctx, c, 0)
	if err != nil {
		return err
	}
	defer m.Close()
	if o.Sampling.RepeatLast < 0 {
		o.Sampling.RepeatLast = m.Info().Context
	}
	if c.IsSet("system") && !templated(c, m) {
		return usagef("--system: goes through the model's chat template, and none is in use")
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
// terminal, run chats. The newline that ends a file is no part of the prompt.
func runPrompt(ctx context.Context, c *cli.Command) (prompt string, given bool, err error) {
	switch {
	case c.IsSet("prompt") && c.IsSet("file"):
		return "", false, usagef("--prompt and --file: give one of the two")
	case c.IsSet("prompt"):
		return c.String("prompt"), true, nil
	case c.IsSet("file"):
		prompt, err = readText(ctx, c, c.String("file"))
	case !isTerminal(c.Root().Reader):
		prompt, err = readText(ctx, c, "-")
	default:
		return "", false, nil
	}
	if line, ok := strings.CutSuffix(prompt, "\n"); ok {
		prompt = strings.TrimSuffix(line, "\r")
	}
	return prompt, true, err
}

// templated reports whether prompts go through the model's chat template.
func templated(c *cli.Command, m *engine.Model) bool {
	return m.Info().HasTemplate && !c.Bool("no-template")
}

// answer generates once, to standard output.
func answer(ctx context.Context, c *cli.Command, s *engine.Session, prompt string, o engine.GenerateOptions) error {
	m, stdout, stderr := s.Model(), c.Root().Writer, c.Root().ErrWriter
	tokens, err := promptTokens(c, m, prompt)
	if err != nil {
		return err
	}
	if have, most := len(tokens), m.Info().Context; have >= most {
		return fmt.Errorf("the prompt has %d tokens and fills the context of %d: --ctx-size sets its size", have, most)
	}
	if c.Bool("display-prompt") {
		if _, err := io.WriteString(stdout, prompt); err != nil {
			return fmt.Errorf("write the prompt: %w", err)
		}
	}
	var text string
	var finish engine.Finish
	if c.Int("n-predict") == 0 {
		_, err = s.Eval(ctx, tokens)
	} else {
		text, finish, err = stream(ctx, s, tokens, o, stdout)
	}
	if isTerminal(stdout) && !strings.HasSuffix(text, "\n") {
		fmt.Fprintln(stdout)
	}
	if finish == engine.FinishContext {
		fmt.Fprintf(stderr, "gollm: the context of %d tokens is full; --ctx-size sets its size\n", m.Info().Context)
	}
	printTimings(stderr, s.Stats())
	return err
}

// promptTokens turns the prompt into what the model reads.
func promptTokens(c *cli.Command, m *engine.Model, prompt string) ([]int32, error) {
	if !templated(c, m) {
		tokens := m.Encode(prompt)
		if len(tokens) == 0 {
			return nil, errors.New("the prompt is empty")
		}
		return tokens, nil
	}
	if prompt == "" {
		return nil, errors.New("the prompt is empty")
	}
	return m.ChatPrompt(append(system(c), chat.User(prompt)), chat.Options{})
}

// system returns the system message of --system, if there is one.
func system(c *cli.Command) []chat.Message {
	if text := c.String("system"); text != "" {
		return []chat.Message{chat.System(text)}
	}
	return nil
}

// stream generates and writes the text as it comes. It returns all of it.
func stream(ctx context.Context, s *engine.Session, prompt []int32, o engine.GenerateOptions, w io.Writer) (string, engine.Finish, error) {
	var all strings.Builder
	finish := engine.NotFinished
	for token, err := range s.Generate(ctx, prompt, o) {
		if err != nil {
			return all.String(), finish, err
		}
		finish = token.Finish
		all.WriteString(token.Text)
		if _, err := io.WriteString(w, token.Text); err != nil {
			return all.String(), finish, fmt.Errorf("write the text: %w", err)
		}
	}
	return all.String(), finish, nil
}

// printTimings says how fast it went.
func printTimings(w io.Writer, st engine.Stats) {
	if st.PromptTokens == 0 && st.GeneratedTokens == 0 {
		return
	}
	fmt.Fprintf(w, "prompt %d tokens, %.1f t/s, generation %d tokens, %.1f t/s\n",
		st.PromptTokens, rate(st.PromptTokens, st.PromptTime), st.GeneratedTokens, rate(st.GeneratedTokens, st.GenerateTime))
}

func rate(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
