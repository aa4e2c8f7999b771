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

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/engine/chat"
	"github.com/urfave/cli/v3"
)

const converseHelp = `  /help    this
  /clear   forget the conversation
  /bye     leave; so does Ctrl-D
  Ctrl-C   stops the answer, or clears the line
  """      begins and ends a message of several lines; pasted lines stay together
`

// converse chats on a terminal until the user leaves. Messages are typed and
// everything but the answers is shown on standard error; the answers go to
// standard output.
func converse(ctx context.Context, c *cli.Command, s *engine.Session, o engine.GenerateOptions) error {
	stdin, ok := c.Root().Reader.(*os.File)
	if !ok {
		return errors.New("chat needs a terminal")
	}
	ui := c.Root().ErrWriter
	t := &talk{session: s, options: o, out: c.Root().Writer, ui: ui, templated: templated(c, s.Model()), system: system(c)}
	if !t.templated {
		fmt.Fprintln(ui, "The model has no chat template in use: it continues each text you give it.")
	}
	fmt.Fprintln(ui, "/help lists what you can type.")

	// An interrupt ends the answer it falls into, not the program; between
	// answers the line editor sees it as a key. From here on ctx, which the first
	// interrupt cancels, is not looked at.
	ctx = context.WithoutCancel(ctx)
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	defer signal.Stop(interrupt)
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	defer signal.Stop(term)

	in := newLineReader(stdin, ui)
	for {
		text, err := readMessage(in, term)
		switch {
		case errors.Is(err, io.EOF):
			fmt.Fprintln(ui)
			return nil
		case err != nil:
			return err
		}
		switch command := strings.TrimSpace(text); {
		case command == "":
			continue
		case command == "/bye" || command == "/exit" || command == "/quit":
			return nil
		case command == "/help" || command == "/?":
			fmt.Fprint(ui, converseHelp)
			continue
		case command == "/clear":
			t.messages = nil
			s.Truncate(0)
			fmt.Fprintln(ui, "forgotten")
			continue
		case strings.HasPrefix(command, "/") && !strings.ContainsAny(command, " \n"):
			fmt.Fprintf(ui, "no command %s; /help lists them\n", command)
			continue
		}
		if err := t.answer(ctx, text, interrupt); err != nil {
			fmt.Fprintf(ui, "gollm: %v\n", err)
		}
	}
}

// errTerminated is what a read ends with when the program is told to end.
var errTerminated = errors.New("terminated")

// readMessage reads a line, or the lines between two """.
func readMessage(in *lineReader, term <-chan os.Signal) (string, error) {
	text, err := in.read(">>> ", term)
	if err != nil {
		return "", err
	}
	body, quoted := strings.CutPrefix(strings.TrimLeft(text, " "), `"""`)
	if !quoted {
		return text, nil
	}
	for {
		if before, _, done := strings.Cut(body, `"""`); done {
			return strings.Trim(before, "\n"), nil
		}
		line, err := in.read("... ", term)
		if err != nil {
			return "", err
		}
		body += "\n" + line
	}
}

// talk is a conversation under way.
type talk struct {
	session   *engine.Session
	options   engine.GenerateOptions
	out, ui   io.Writer
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
	out, err := stream(ctx, t.session, prompt, t.options, t.out)
	if !strings.HasSuffix(out, "\n") {
		fmt.Fprintln(t.out)
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(t.ui, "(stopped)")
		err = nil
	}
	if err != nil {
		return err
	}
	printTimings(t.ui, t.session.Stats())
	t.messages = append(turns, chat.Assistant(out))
	return nil
}

// fit renders the turns to tokens. When they leave too little room for an
// answer the oldest question and answer are forgotten, and so on.
func (t *talk) fit(turns []chat.Message) ([]int32, []chat.Message, error) {
	m := t.session.Model()
	if !t.templated {
		return m.Encode(turns[len(turns)-1].Content()), nil, nil
	}
	size := m.Info().Context
	room := min(256, size/4)
	for {
		prompt, err := m.ChatPrompt(append(t.system[:len(t.system):len(t.system)], turns...), chat.Options{})
		if err != nil || len(prompt)+room <= size || len(turns) < 3 {
			return prompt, turns, err
		}
		turns = turns[2:]
		fmt.Fprintln(t.ui, "(the context is full: the oldest question and its answer are forgotten)")
	}
}
