package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gollm/gollm/cmd/gollm/internal/prompt"
	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/engine/chat"
	"github.com/urfave/cli/v3"
)

const converseHelp = `  /help     this
  /clear    forget the conversation
  /bye      leave; so does Ctrl-D
  Ctrl-C    stops the answer, or drops what is typed
  Ctrl-J    begins another line; pasted lines stay together
  """       begins and ends a message of several lines
  Up, Down  earlier messages
`

// converse chats on a terminal until the user leaves. Messages are typed and
// everything but the answers is shown on standard error; the answers go to
// standard output.
func converse(ctx context.Context, c *cli.Command, s *engine.Session, o engine.GenerateOptions) error {
	stdin, ok := c.Root().Reader.(*os.File)
	if !ok {
		return errors.New("chat needs a terminal")
	}
	// Who sends standard error elsewhere still wants to see what they type.
	ui := c.Root().ErrWriter
	if !isTerminal(ui) {
		ui = stdin
		if isTerminal(c.Root().Writer) {
			ui = c.Root().Writer
		}
	}
	t := &talk{session: s, options: o, out: c.Root().Writer, ui: ui, log: c.Root().ErrWriter, templated: templated(c, s.Model()), system: system(c)}
	if !t.templated {
		fmt.Fprintln(ui, "No chat template is in use: the model continues each text you give it.")
	}
	fmt.Fprintln(ui, "/help lists what you can type.")

	// An interrupt ends the answer it falls into, not the program; between
	// answers the editor sees it as a key. What ends the program does so in order,
	// with the terminal as it was; a reader of the answers that leaves is an error.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer stop()
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	defer signal.Stop(interrupt)

	in := prompt.New(stdin, ui)
	in.Open = quoteOpen
	for {
		text, err := in.Read(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, prompt.ErrInterrupt):
			if text == "" {
				fmt.Fprintln(ui, "(Ctrl-D or /bye leaves)")
			}
			continue
		case err != nil:
			return err
		}
		switch command := strings.TrimSpace(text); {
		case command == "":
		case command == "/bye" || command == "/exit" || command == "/quit":
			return nil
		case command == "/help" || command == "/?":
			fmt.Fprint(ui, converseHelp)
		case command == "/clear":
			t.messages = nil
			s.Truncate(0)
			fmt.Fprintln(ui, "(the conversation is forgotten)")
		case strings.HasPrefix(command, "/") && !strings.ContainsAny(command[1:], " \n/"):
			fmt.Fprintf(ui, "no command %s; /help lists them\n", command)
		default:
			loud := in.Quiet()
			err := t.answer(ctx, unquote(text), interrupt)
			loud()
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, syscall.EPIPE):
				return err
			case err != nil:
				fmt.Fprintf(ui, "gollm: %s\n", plainError(err))
			}
		}
	}
}

// quote begins and ends a message of several lines.
const quote = `"""`

// quoteOpen reports whether text begins a quoted message and does not end it.
func quoteOpen(text string) bool {
	body, quoted := strings.CutPrefix(strings.TrimLeft(text, " "), quote)
	return quoted && !strings.Contains(body, quote)
}

// unquote returns the message without its quotes.
func unquote(text string) string {
	body, quoted := strings.CutPrefix(strings.TrimLeft(text, " "), quote)
	if !quoted {
		return text
	}
	body, after, _ := strings.Cut(body, quote)
	return strings.Trim(body+after, "\n")
}

// talk is a conversation under way.
type talk struct {
	session   *engine.Session
	options   engine.GenerateOptions
	out       io.Writer // for the answers
	ui        io.Writer // for what is said about them
	log       io.Writer // for the timings
	templated bool
	system    []chat.Message
	messages  []chat.Message // the turns so far: user, assistant, user, …
}

// answer generates the answer to a message and keeps both.
func (t *talk) answer(ctx context.Context, text string, interrupt <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for len(interrupt) > 0 {
		<-interrupt // pressed before the answer began
	}
	go func() {
		select {
		case <-interrupt:
			cancel()
		case <-ctx.Done():
		}
	}()

	turns := append(t.messages[:len(t.messages):len(t.messages)], chat.User(text))
	prompt, turns, err := t.fit(turns)
	if err != nil {
		return err
	}
	t.session.ResetStats()
	out, finish, err := stream(ctx, t.session, prompt, t.options, t.out)
	if !strings.HasSuffix(out, "\n") {
		fmt.Fprintln(t.out)
	}
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(t.ui, "(stopped)")
	case err != nil:
		return err
	case finish == engine.FinishContext:
		fmt.Fprintln(t.ui, "(the context is full)")
	}
	printTimings(t.log, t.session.Stats())
	t.messages = append(turns, chat.Assistant(out))
	return nil
}

// fit renders the turns to tokens. When they leave too little room for an
// answer the oldest question and answer are forgotten, and so on.
func (t *talk) fit(turns []chat.Message) ([]int32, []chat.Message, error) {
	m := t.session.Model()
	size := m.Info().Context
	room := min(256, size/4)
	dropped := 0
	for {
		var prompt []int32
		if t.templated {
			var err error
			if prompt, err = m.ChatPrompt(append(t.system[:len(t.system):len(t.system)], turns...), chat.Options{}); err != nil {
				return nil, nil, err
			}
		} else {
			prompt, turns = m.Encode(turns[len(turns)-1].Content()), nil
		}
		switch {
		case len(prompt)+room > size && len(turns) >= 3:
			turns = turns[2:]
			dropped++
			continue
		case len(prompt) >= size:
			return nil, nil, fmt.Errorf("the message is too long: with it there are %d tokens, and the context holds %d", len(prompt), size)
		case dropped == 1:
			fmt.Fprintln(t.ui, "(the context is full: the oldest question and its answer are forgotten)")
		case dropped > 1:
			fmt.Fprintf(t.ui, "(the context is full: the oldest %d questions and their answers are forgotten)\n", dropped)
		}
		return prompt, turns, nil
	}
}
