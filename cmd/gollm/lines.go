package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// lineReader reads lines from a terminal, with editing, history, and pasted
// text kept together. The terminal is in raw mode only while a line is read, so
// that Ctrl-C is a signal at other times.
type lineReader struct {
	fd   int
	term *term.Terminal
}

func newLineReader(in *os.File, out io.Writer) *lineReader {
	screen := struct {
		io.Reader
		io.Writer
	}{&keys{in: in}, out}
	return &lineReader{int(in.Fd()), term.NewTerminal(screen, "")}
}

// read returns one line, or all lines of a paste and what is typed after it.
// Ctrl-D on an empty line is io.EOF. A signal on stop ends it with
// errTerminated.
func (l *lineReader) read(prompt string, stop <-chan os.Signal) (string, error) {
	state, err := term.MakeRaw(l.fd)
	if err != nil {
		return "", err
	}
	defer term.Restore(l.fd, state)
	l.term.SetPrompt(prompt)
	l.term.SetBracketedPasteMode(true)
	defer l.term.SetBracketedPasteMode(false)
	if w, h, err := term.GetSize(l.fd); err == nil && w > 0 {
		l.term.SetSize(w, h)
	}

	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var lines []string
		for {
			line, err := l.term.ReadLine()
			if errors.Is(err, term.ErrPasteIndicator) {
				// A line of a paste that ended in a newline: more comes, if only the
				// user's own Enter.
				lines = append(lines, line)
				continue
			}
			lines = append(lines, line)
			done <- result{strings.TrimRight(strings.Join(lines, "\n"), "\n"), err}
			return
		}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-stop:
		return "", errTerminated
	}
}

// keys passes on what is typed. Ctrl-C becomes the two keys that clear the line
// before and after the cursor: term.Terminal would end the input.
type keys struct {
	in   io.Reader
	rest []byte
}

func (k *keys) Read(p []byte) (int, error) {
	if len(k.rest) == 0 {
		var buf [256]byte
		n, err := k.in.Read(buf[:])
		if n == 0 {
			return 0, err
		}
		const ctrlC, ctrlU, ctrlK = 3, 21, 11
		for _, b := range buf[:n] {
			if b == ctrlC {
				k.rest = append(k.rest, ctrlU, ctrlK)
			} else {
				k.rest = append(k.rest, b)
			}
		}
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}
