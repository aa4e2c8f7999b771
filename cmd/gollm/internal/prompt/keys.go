package prompt

import (
	"bytes"
	"io"
	"os"
	"sync"

	tea "charm.land/bubbletea/v2"
)

// keys is what is typed on a terminal, for one tea.Program after another. A
// program loses what it read and did not use, so that it is given keys up to
// the one that may end it, and more only once it has gone on.
type keys struct {
	file *os.File
	got  chan chunk
	next chan struct{} // holds a value when the program has gone on

	mu      sync.Mutex // held by Read
	reading bool       // a goroutine waits for input
	rest    []byte     // read and not yet given
	last    []byte     // given last, as many bytes as a paste begins with
	pasting bool
	held    bool // what was given may end the program
}

type chunk struct {
	data []byte
	err  error
}

const pasteStart, pasteEnd = "\x1b[200~", "\x1b[201~"

func newKeys(file *os.File) *keys {
	return &keys{file: file, got: make(chan chunk, 1), next: make(chan struct{}, 1)}
}

// ends reports whether a key may end the program. The bytes that Read stops
// at are those of such keys.
func ends(k tea.KeyPressMsg) bool {
	return k.Code == tea.KeyEnter || k.Mod.Contains(tea.ModCtrl) && (k.Code == 'c' || k.Code == 'd')
}

const endings = "\r\x03\x04"

// goOn says that a key that might have ended the program did not.
func (k *keys) goOn() {
	select {
	case k.next <- struct{}{}:
	default:
	}
}

// begin returns the keys for a program, until stop is called.
func (k *keys) begin() (source *source, stop func()) {
	k.mu.Lock()
	k.held = false
	k.mu.Unlock()
	s := k.source()
	return s, sync.OnceFunc(func() { close(s.stop) })
}

func (k *keys) source() *source { return &source{keys: k, stop: make(chan struct{})} }

// source is a terminal to tea.Program, which puts it in raw mode. It has no
// name: then nothing but Read is used to read it.
type source struct {
	keys *keys
	stop chan struct{}
}

func (s *source) Fd() uintptr                 { return s.keys.file.Fd() }
func (s *source) Write(b []byte) (int, error) { return s.keys.file.Write(b) }
func (s *source) Close() error                { return nil }

func (s *source) Read(b []byte) (int, error) {
	k := s.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-s.stop:
		return 0, io.EOF
	default:
	}
	if k.held {
		select {
		case <-k.next:
			k.held = false
		case <-s.stop:
			return 0, io.EOF
		}
	}
	if len(k.rest) == 0 {
		if !k.reading {
			k.reading = true
			go func() {
				b := make([]byte, 4096)
				n, err := k.file.Read(b)
				k.got <- chunk{b[:n], err}
			}()
		}
		select {
		case c := <-k.got:
			k.reading = false
			if k.rest = c.data; len(c.data) == 0 {
				if c.err == io.EOF {
					c.err = io.ErrUnexpectedEOF // io.EOF would leave the program waiting
				}
				return 0, c.err
			}
		case <-s.stop:
			return 0, io.EOF
		}
	}
	n := copy(b, k.rest[:k.until(len(b))])
	k.rest = k.rest[n:]
	return n, nil
}

// until returns how many bytes may be given, at most most.
func (k *keys) until(most int) int {
	for i, c := range k.rest[:min(most, len(k.rest))] {
		k.last = append(k.last, c)
		k.last = k.last[max(0, len(k.last)-len(pasteStart)):]
		switch {
		case string(k.last) == pasteStart:
			k.pasting = true
		case string(k.last) == pasteEnd:
			k.pasting = false
		case !k.pasting && bytes.IndexByte([]byte(endings), c) >= 0:
			select {
			case <-k.next:
			default:
			}
			k.held = true
			return i + 1
		}
	}
	return min(most, len(k.rest))
}
