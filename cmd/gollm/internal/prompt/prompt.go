// Package prompt asks for messages on a terminal: lines with editing and
// history, text of several lines, typed or pasted. The editor is
// charm.land/bubbles' textarea.
package prompt

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"
)

// ErrInterrupt is returned by Read for Ctrl-C.
var ErrInterrupt = errors.New("interrupted")

// mostHistory is how many messages are remembered.
const mostHistory = 1000

// Prompt reads from a terminal. It is used by one goroutine.
type Prompt struct {
	// Open, if set, says of what was typed before Enter whether more is to come:
	// then Enter begins another line.
	Open func(text string) bool

	in      *os.File
	out     io.Writer
	keys    *keys
	history []string
}

// New returns a prompt on the terminal in, which writes to out, the same
// terminal.
func New(in *os.File, out io.Writer) *Prompt {
	return &Prompt{in: in, out: out, keys: newKeys(in)}
}

// Read returns a message, without a newline at its end. The terminal is in raw
// mode while it runs, and as it was before when it returns. The error is
// ErrInterrupt for Ctrl-C, with what had been typed, io.EOF for Ctrl-D on an empty
// message, and that of ctx when it ends.
func (p *Prompt) Read(ctx context.Context) (string, error) {
	width, height, err := term.GetSize(int(p.in.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	m := &model{area: newArea(), prompt: p, at: len(p.history)}
	m.resize(width, height)
	source, stop := p.keys.begin()
	_, err = tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(source), tea.WithOutput(p.out), tea.WithoutSignalHandler()).Run()
	stop()
	if err != nil {
		io.WriteString(p.out, "\r\n")
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", err
	}
	return m.text(), m.end
}

// model is one message being typed.
type model struct {
	area   textarea.Model
	prompt *Prompt
	at     int    // in the history; its length when the message is none of it
	draft  string // what was typed before history was looked at
	done   bool
	end    error // with done
}

func newArea() textarea.Model {
	a := textarea.New()
	a.SetStyles(textarea.Styles{})
	a.SetVirtualCursor(false)
	a.ShowLineNumbers = false
	a.CharLimit = 0
	a.DynamicHeight = true
	a.SetPromptFunc(4, func(i textarea.PromptInfo) string {
		if i.LineNumber == 0 {
			return ">>> "
		}
		return "... "
	})
	a.KeyMap.InsertNewline = key.NewBinding(key.WithKeys("ctrl+j", "alt+enter", "shift+enter"))
	a.KeyMap.Paste.SetEnabled(false) // the terminal pastes
	a.Focus()
	return a
}

func (m *model) Init() tea.Cmd { return nil }

func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
	case tea.PasteMsg:
		msg.Content = hideTabs.Replace(msg.Content)
		return m, m.edit(msg)
	case tea.KeyPressMsg:
		quit := m.press(msg)
		if m.done {
			return m, tea.Quit
		}
		if ends(msg) {
			m.prompt.keys.goOn()
		}
		return m, quit
	}
	return m, m.edit(msg)
}

// press applies a key.
func (m *model) press(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "enter":
		if m.prompt.Open != nil && m.prompt.Open(m.text()) {
			m.area.InsertRune('\n')
			return m.edit(nil)
		}
		m.prompt.remember(m.text())
		m.finish(nil)
		return nil
	case "ctrl+c":
		m.finish(ErrInterrupt)
		return nil
	case "ctrl+d":
		if m.area.Length() == 0 {
			m.finish(io.EOF)
			return nil
		}
	case "tab":
		m.area.InsertRune(hiddenTab)
		return m.edit(nil)
	case "up", "ctrl+p":
		if m.area.Line() == 0 && m.area.LineInfo().RowOffset == 0 {
			m.recall(m.at - 1)
			return m.edit(nil)
		}
	case "down", "ctrl+n":
		if i := m.area.LineInfo(); m.area.Line() == m.area.LineCount()-1 && i.RowOffset == i.Height-1 {
			m.recall(m.at + 1)
			return m.edit(nil)
		}
	}
	return m.edit(k)
}

func (m *model) edit(msg tea.Msg) (c tea.Cmd) {
	m.area, c = m.area.Update(msg)
	return c
}

// recall shows message i of the history, or the draft after the last.
func (m *model) recall(i int) {
	history := m.prompt.history
	if i < 0 || i > len(history) {
		return
	}
	if m.at == len(history) {
		m.draft = m.text()
	}
	if m.at = i; i == len(history) {
		m.area.SetValue(hideTabs.Replace(m.draft))
	} else {
		m.area.SetValue(hideTabs.Replace(history[i]))
	}
}

// remember adds a message to the history.
func (p *Prompt) remember(text string) {
	if text == "" || len(p.history) > 0 && p.history[len(p.history)-1] == text {
		return
	}
	if p.history = append(p.history, text); len(p.history) > mostHistory {
		p.history = p.history[1:]
	}
}

func (m *model) resize(width, height int) {
	m.area.MaxHeight = height
	m.area.SetWidth(width)
}

// finish ends the message.
func (m *model) finish(err error) {
	m.done, m.end = true, err
}

func (m *model) View() tea.View {
	shown := strings.ReplaceAll(m.area.View(), string(hiddenTab), " ")
	if m.done {
		return tea.NewView(shown + "\n")
	}
	v := tea.NewView(shown)
	v.Cursor = m.area.Cursor()
	return v
}

// hiddenTab stands for a tab in the editor, which would make spaces of it.
const hiddenTab = '\U0010fffd'

// hideTabs also makes one newline of a line's end that is two characters,
// which the editor takes for two lines.
var hideTabs = strings.NewReplacer("\t", string(hiddenTab), "\r\n", "\n")

// text returns what was typed.
func (m *model) text() string {
	return strings.ReplaceAll(m.area.Value(), string(hiddenTab), "\t")
}
