//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// terminal is a command on a terminal of its own.
type terminal struct {
	t   *testing.T
	pty *os.File
	tty *os.File
	cmd *exec.Cmd

	before *term.State // of the terminal

	mu   sync.Mutex
	all  bytes.Buffer // what the command has shown
	read int          // of all, by expect
}

// onTerminal starts a command on a new terminal.
func onTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	c := newTerminal(t, args...)
	c.start()
	return c
}

// newTerminal returns a command that is yet to be started.
func newTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	p, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	c := &terminal{t: t, pty: p, tty: tty, cmd: command(t, args...)}
	t.Cleanup(func() { p.Close(); tty.Close() })
	c.resize(24, 80)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = tty, tty, tty
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	c.before = c.state()
	return c
}

func (c *terminal) start() {
	c.t.Helper()
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := c.pty.Read(b)
			c.mu.Lock()
			c.all.Write(b[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

func (c *terminal) resize(rows, cols uint16) {
	if err := pty.Setsize(c.pty, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *terminal) send(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.pty, keys); err != nil {
		c.t.Fatal(err)
	}
}

// expect waits until the command shows what the pattern matches, after what
// was expected before, and returns the match and its groups.
func (c *terminal) expect(pattern string) []string {
	c.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		c.mu.Lock()
		rest := c.all.Bytes()[c.read:]
		m := re.FindSubmatchIndex(rest)
		var groups []string
		if m != nil {
			for i := 0; i < len(m); i += 2 {
				groups = append(groups, string(rest[m[i]:m[i+1]]))
			}
			c.read += m[1]
		}
		c.mu.Unlock()
		if m != nil {
			return groups
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Fatalf("waited for %q, the terminal has:\n%q", pattern, c.all.Bytes()[c.read:])
	return nil
}

// prompted waits for the prompt: an empty line, drawn.
func (c *terminal) prompted() { c.t.Helper(); c.expect(`>>>(?:\x1b\[C|\r\x1b\[4C)\x1b\[\?25h`) }

// promptTokens returns how many tokens of the prompt were read for an answer.
func (c *terminal) promptTokens() int {
	c.t.Helper()
	n, err := strconv.Atoi(c.expect(`prompt (\d+) tokens, [\d.]+ t/s, generation \d+ tokens`)[1])
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// end waits for the command to end, and checks its status and that the
// terminal is as it was.
func (c *terminal) end(status int) {
	c.t.Helper()
	c.cmd.Wait()
	if got := c.cmd.ProcessState.ExitCode(); got != status {
		c.t.Errorf("status %d, want %d", got, status)
	}
	if after := c.state(); *after != *c.before {
		c.t.Errorf("the terminal is left as %+v, was %+v", after, c.before)
	}
	// What was written last may not have been read yet.
	pastes := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return bytes.Count(c.all.Bytes(), []byte("\x1b[?2004h")) == bytes.Count(c.all.Bytes(), []byte("\x1b[?2004l"))
	}
	for end := time.Now().Add(10 * time.Second); !pastes(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatal("bracketed paste is left on")
		}
	}
}

func (c *terminal) state() *term.State {
	c.t.Helper()
	s, err := term.GetState(int(c.tty.Fd()))
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// chatTemplate is one whose text is easy to count.
const chatTemplate = "{% for m in messages %}<{{ m.role }}> {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"

func TestConverse(t *testing.T) {
	c := onTerminal(t, "run", "-m", withTemplate(t, chatTemplate), "--temp", "0", "-n", "8", "-c", "2000")
	c.expect("/help lists what you can type")
	c.prompted()

	c.send("Tell me a storz\x7fy\r")
	c.expect(`>>> Tell me a story`)
	first := c.promptTokens()
	c.prompted()
	// The new turn is read, and at most the answer of 8 tokens before it; not the
	// first question again.
	c.send("Tell me a story\r")
	if again := c.promptTokens(); again > first+10 {
		t.Errorf("the second turn reads %d tokens, the first %d", again, first)
	}
	c.prompted()

	// History, and editing what it gives.
	c.send("\x1b[A now\r")
	c.expect(`Tell me a story now`)
	c.promptTokens()
	c.prompted()

	// Several lines: pasted, quoted, and with Ctrl-J.
	c.send("\x1b[200~one\rtwo\x1b[201~")
	c.expect(`>>> one\r\n\.\.\. two`)
	c.send("\r")
	c.promptTokens()
	c.prompted()
	c.send("\"\"\"one\rtwo\"\"\"\r")
	c.expect(`>>> """one\r\n\.\.\. two"""`)
	c.promptTokens()
	c.prompted()
	c.send("one\ntwo\r")
	c.promptTokens()
	c.prompted()

	// Messages typed ahead, in one go, and a pasted tab, which history keeps.
	c.send("one\r/clear\rtwo\x1b[200~\tthree\x1b[201~\r/nonsense\r")
	c.expect(`>>> one`)
	c.promptTokens()
	c.expect(`>>> two three`)
	pasted := c.promptTokens()
	c.expect(`no command /nonsense`)
	c.prompted()
	c.send("/clear\r")
	c.prompted()
	c.send("\x1b[A\x1b[A\x1b[A\r")
	if again := c.promptTokens(); again != pasted {
		t.Errorf("from history %d tokens are read, as pasted %d", again, pasted)
	}
	c.prompted()

	// Commands.
	c.send("/help\r")
	c.expect(`/clear +forget the conversation`)
	c.prompted()
	c.send("/nonsense\r")
	c.expect(`no command /nonsense; /help lists them`)
	c.prompted()
	c.send("   \r")
	c.prompted()
	c.send("/clear\r")
	c.expect(`forgotten`)
	c.prompted()
	c.send("Tell me a story\r")
	if fresh := c.promptTokens(); fresh != first {
		t.Errorf("after /clear %d tokens are read, at first %d", fresh, first)
	}
	c.prompted()

	// Ctrl-C drops what is typed, and leaves the program be.
	c.send("half a message\x03")
	c.prompted()
	c.send("\x03")
	c.expect(`Ctrl-D or /bye leaves`)
	c.prompted()

	// Another window, with wide characters at its edge.
	c.resize(24, 20)
	c.prompted()
	c.send("中文字符很宽中文字符很宽")
	c.expect(`中文字符很宽中文[^中字]*\.\.\. 字符很宽`)
	c.send("\x15\x04")
	c.end(0)
}

// TestConverseInterrupt stops answers that would take hours.
func TestConverseInterrupt(t *testing.T) {
	c := onTerminal(t, "run", "-m", withTemplate(t, chatTemplate), "--temp", "0", "-c", "500000", "--ignore-eos")
	for range 2 {
		c.prompted()
		c.send("Tell me a story\r")
		c.expect(`2004l[^\x1b]{20}`) // the answer is under way
		c.send("\x03")
		c.expect(`\(stopped\)`)
		c.promptTokens()
	}
	c.prompted()
	c.send("/bye\r")
	c.end(0)
}

// TestConverseTerminated ends the program by a signal, while it answers and
// while it waits.
func TestConverseTerminated(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP} {
		for _, answering := range []bool{false, true} {
			terminated(t, sig, answering)
		}
	}
}

func terminated(t *testing.T, sig syscall.Signal, answering bool) {
	t.Helper()
	c := onTerminal(t, "run", "-m", withTemplate(t, chatTemplate), "--temp", "0", "-c", "500000", "--ignore-eos")
	c.prompted()
	if answering {
		c.send("Tell me a story\r")
		c.expect(`2004l[^\x1b]{20}`)
	}
	if err := c.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	c.end(130)
}

// TestConversePiped sends the answers to a pipe, whose reader then leaves.
func TestConversePiped(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := newTerminal(t, "run", "-m", withTemplate(t, chatTemplate), "--temp", "0", "-c", "500000", "--ignore-eos")
	c.cmd.Stdout = w
	c.start()
	w.Close()
	c.prompted()
	c.send("Tell me a story\r")
	if _, err := io.ReadFull(r, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	c.expect(`gollm: write the text: .*broken pipe`)
	c.end(1)
}

// TestConverseForgets fills the context: the oldest turns go, the program stays.
func TestConverseForgets(t *testing.T) {
	c := onTerminal(t, "run", "-m", withTemplate(t, chatTemplate), "--temp", "0", "-c", "128", "-n", "16")
	for range 6 {
		c.prompted()
		c.send("Tell me a story\r")
		c.promptTokens()
	}
	c.mu.Lock()
	if !strings.Contains(c.all.String(), "(the context is full: the oldest question and its answer are forgotten)") {
		t.Errorf("nothing was forgotten:\n%s", c.all.String())
	}
	c.mu.Unlock()
	c.prompted()
	c.send(strings.Repeat("too long ", 60) + "\r")
	c.expect(`gollm: the message is too long: with it there are \d+ tokens, and the context holds 128`)
	c.prompted()
	c.send("\x04")
	c.end(0)
}

// TestConverseRaw continues texts where there is no template.
func TestConverseRaw(t *testing.T) {
	c := onTerminal(t, "run", "-m", stories, "--temp", "0", "-n", "12")
	c.expect(`No chat template is in use`)
	c.prompted()
	c.send(once + "\r")
	c.expect(regexp.QuoteMeta(story[:30]))
	c.promptTokens()
	c.prompted()
	c.send("\x04")
	c.end(0)
}
