// Package lineedit reads messages from a terminal: lines with editing and
// history, text of several lines, typed or pasted, and characters of any width.
package lineedit

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// ErrInterrupt is returned by Read for Ctrl-C.
var ErrInterrupt = errors.New("interrupted")

// mostHistory is how many messages are remembered.
const mostHistory = 1000

// Editor reads from a terminal. It is used by one goroutine.
type Editor struct {
	// Prompt stands before the first line of a message and More before the
	// others. Both are as wide as they have bytes.
	Prompt, More string
	// Open, if set, says of what was typed before Enter whether more is to come:
	// then Enter begins another line.
	Open func(text string) bool

	in  *os.File
	out io.Writer

	input   []byte // read and not yet used
	reading bool   // a goroutine waits for input
	got     chan chunk

	text    []rune
	cursor  int // in text
	pasting bool

	history []string
	at      int    // in history; its length when the message is none of it
	draft   []rune // what was typed before history was looked at

	screen screen
}

type chunk struct {
	data []byte
	err  error
}

// New returns an editor of the terminal in, which writes to out, the same
// terminal.
func New(in *os.File, out io.Writer) *Editor {
	return &Editor{in: in, out: out, got: make(chan chunk, 1)}
}

// Read returns a message, without a newline at its end. The terminal is in raw
// mode while it runs, and as it was before when it returns. The error is
// ErrInterrupt for Ctrl-C, with what had been typed, io.EOF for Ctrl-D on an empty
// line, and that of ctx when it ends.
func (e *Editor) Read(ctx context.Context) (string, error) {
	state, err := term.MakeRaw(int(e.in.Fd()))
	if err != nil {
		return "", err
	}
	defer term.Restore(int(e.in.Fd()), state)
	io.WriteString(e.out, "\x1b[?2004h") // pastes are bracketed
	defer io.WriteString(e.out, "\x1b[?2004l")
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	defer signal.Stop(resized)

	e.text, e.cursor, e.pasting, e.at = nil, 0, false, len(e.history)
	e.screen = screen{}
	for {
		done, err := e.use()
		if done || err != nil {
			e.cursor = len(e.text)
			e.draw()
			io.WriteString(e.out, "\r\n")
			return string(e.text), err
		}
		if !e.pasting {
			e.draw()
		}
		if err := e.wait(ctx, resized); err != nil {
			io.WriteString(e.out, "\r\n")
			return "", err
		}
	}
}

// wait returns when there is input to use, redrawing while the window changes.
func (e *Editor) wait(ctx context.Context, resized <-chan os.Signal) error {
	if !e.reading {
		e.reading = true
		go func() {
			b := make([]byte, 4096)
			n, err := e.in.Read(b)
			e.got <- chunk{b[:n], err}
		}()
	}
	for {
		select {
		case c := <-e.got:
			e.reading = false
			e.input = append(e.input, c.data...)
			if len(c.data) > 0 {
				return nil
			}
			return c.err
		case <-resized:
			e.draw()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// use applies the keys that are complete. It reports whether the message is.
func (e *Editor) use() (done bool, err error) {
	for len(e.input) > 0 {
		k, n := decode(e.input)
		if n == 0 {
			return false, nil
		}
		e.input = e.input[n:]
		if e.pasting {
			e.paste(k)
			continue
		}
		switch k.code {
		case enter:
			if e.Open != nil && e.Open(string(e.text)) {
				e.insert('\n')
				continue
			}
			e.remember()
			return true, nil
		case interrupt:
			return false, ErrInterrupt
		case endOfInput:
			if len(e.text) == 0 {
				return false, io.EOF
			}
			e.remove(e.cursor, e.right(e.cursor))
		default:
			e.apply(k)
		}
	}
	return false, nil
}

// paste applies a key of pasted text, in which Enter is a line's end.
func (e *Editor) paste(k key) {
	switch k.code {
	case pasteEnd:
		e.pasting = false
	case character:
		e.insert(k.r)
	case enter, newline:
		e.insert('\n')
	case tab:
		e.insert('\t')
	}
}

// apply edits.
func (e *Editor) apply(k key) {
	switch k.code {
	case character:
		e.insert(k.r)
	case newline:
		e.insert('\n')
	case tab:
		e.insert('\t')
	case pasteBegin:
		e.pasting = true
	case backspace:
		e.remove(e.left(e.cursor), e.cursor)
	case deletion:
		e.remove(e.cursor, e.right(e.cursor))
	case killWord:
		e.remove(e.wordLeft(), e.cursor)
	case killToStart:
		e.remove(e.lineStart(e.cursor), e.cursor)
	case killToEnd:
		e.remove(e.cursor, e.lineEnd(e.cursor))
	case left:
		e.cursor = e.left(e.cursor)
	case right:
		e.cursor = e.right(e.cursor)
	case wordLeft:
		e.cursor = e.wordLeft()
	case wordRight:
		e.cursor = e.wordRight()
	case home:
		e.cursor = e.lineStart(e.cursor)
	case end:
		e.cursor = e.lineEnd(e.cursor)
	case up:
		if start := e.lineStart(e.cursor); start > 0 {
			e.cursor = min(e.lineStart(start-1)+e.cursor-start, start-1)
		} else {
			e.recall(e.at - 1)
		}
	case down:
		if stop := e.lineEnd(e.cursor); stop < len(e.text) {
			e.cursor = min(stop+1+e.cursor-e.lineStart(e.cursor), e.lineEnd(stop+1))
		} else {
			e.recall(e.at + 1)
		}
	case clearScreen:
		io.WriteString(e.out, "\x1b[H\x1b[2J")
		e.screen = screen{}
	}
}

func (e *Editor) insert(r rune) {
	e.text = slices.Insert(e.text, e.cursor, r)
	e.cursor++
}

func (e *Editor) remove(from, to int) {
	e.text = slices.Delete(e.text, from, to)
	e.cursor = from
}

// left and right step over a character with the marks that combine with it.
func (e *Editor) left(i int) int {
	for i > 0 {
		if i--; columns(e.text[i]) > 0 {
			break
		}
	}
	return i
}

func (e *Editor) right(i int) int {
	if i < len(e.text) {
		i++
	}
	for i < len(e.text) && columns(e.text[i]) == 0 {
		i++
	}
	return i
}

func space(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }

func (e *Editor) wordLeft() int {
	i := e.cursor
	for i > 0 && space(e.text[i-1]) {
		i--
	}
	for i > 0 && !space(e.text[i-1]) {
		i--
	}
	return i
}

func (e *Editor) wordRight() int {
	i := e.cursor
	for i < len(e.text) && space(e.text[i]) {
		i++
	}
	for i < len(e.text) && !space(e.text[i]) {
		i++
	}
	return i
}

func (e *Editor) lineStart(i int) int {
	for i > 0 && e.text[i-1] != '\n' {
		i--
	}
	return i
}

func (e *Editor) lineEnd(i int) int {
	for i < len(e.text) && e.text[i] != '\n' {
		i++
	}
	return i
}

// remember adds the message to the history.
func (e *Editor) remember() {
	text := string(e.text)
	if text == "" || len(e.history) > 0 && e.history[len(e.history)-1] == text {
		return
	}
	if e.history = append(e.history, text); len(e.history) > mostHistory {
		e.history = e.history[1:]
	}
}

// recall shows message i of the history, or the draft after the last.
func (e *Editor) recall(i int) {
	if i < 0 || i > len(e.history) {
		return
	}
	if e.at == len(e.history) {
		e.draft = e.text
	}
	if e.at = i; i == len(e.history) {
		e.text = e.draft
	} else {
		e.text = []rune(e.history[i])
	}
	e.cursor = len(e.text)
}

// draw shows the message as it is.
func (e *Editor) draw() {
	width, height, err := term.GetSize(int(e.in.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	prompt, more := e.Prompt, e.More
	if width < 4*len(prompt) {
		prompt, more = "", ""
	}
	io.WriteString(e.out, e.screen.update(layout(prompt, more, e.text, e.cursor, width), width, height))
}
