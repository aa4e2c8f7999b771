package lineedit

import (
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// typed returns an editor after keys were typed. | in the returned text is the
// cursor.
func typed(t *testing.T, history []string, keys ...string) (*Editor, string, error) {
	t.Helper()
	e := &Editor{out: io.Discard, history: history, at: len(history), Open: func(s string) bool { return strings.HasPrefix(s, "(") && !strings.Contains(s, ")") }}
	for _, k := range keys {
		e.input = append(e.input, k...)
		done, err := e.use()
		if done || err != nil {
			return e, string(e.text), err
		}
	}
	return e, string(slices.Insert(slices.Clone(e.text), e.cursor, '|')), nil
}

func TestEditing(t *testing.T) {
	history := []string{"first", "second\nof two"}
	for name, test := range map[string]struct{ keys, want string }{
		"typing":             {"abc", "abc|"},
		"enter":              {"abc\r", "abc"},
		"enter, CR LF":       {"abc\r\n", "abc"},
		"another line":       {"abc\ndef", "abc\ndef|"},
		"alt-enter":          {"abc\x1b\rdef", "abc\ndef|"},
		"open":               {"(abc\rdef)\r", "(abc\ndef)"},
		"backspace":          {"abc\x7f\b", "a|"},
		"backspace, empty":   {"\x7fa", "a|"},
		"left, right":        {"abc\x1b[D\x1b[D\x1b[CX\x02\x06Y", "abXY|c"},
		"delete":             {"abc\x1b[D\x1b[D\x1b[3~", "a|c"},
		"ctrl-d in a line":   {"abc\x01\x04", "|bc"},
		"home, end":          {"abc\x1b[Hx\x1b[Fy\x01z\x05w", "zxabcyw|"},
		"home of a line":     {"abc\ndef\x01x", "abc\nx|def"},
		"words":              {"one two  three\x1bb\x1b[1;5DX", "one X|two  three"},
		"word forward":       {"one two\x01\x1bfX", "oneX| two"},
		"kill word":          {"one two \x17", "one |"},
		"kill to start":      {"abc\ndef\x1b[D\x15", "abc\n|f"},
		"kill to end":        {"abc\ndef\x01\x0b", "abc\n|"},
		"up in the text":     {"abcd\nef\x1b[AX", "abX|cd\nef"},
		"down in the text":   {"abc\ndefgh\x1b[A\x1b[BX", "abc\ndefX|gh"},
		"history":            {"draft\x1b[A", "second\nof two|"},
		"history, older":     {"draft\x10\x10\x10", "first|"},
		"history, back":      {"draft\x10\x10\x10\x0e\x0e\x0e\x0e", "draft|"},
		"history, edited":    {"\x10\x10\x10X\r", "firstX"},
		"paste":              {"\x1b[200~a\rb\r\nc\td\x1b[201~e", "a\nb\nc\tde|"},
		"paste with keys":    {"\x1b[200~a\x03\x04\x1b[Ab\x1b[201~", "ab|"},
		"wide":               {"中文\x1b[DX\x7f", "中|文"},
		"combining":          {"e\u0301x\x02\x02Y", "Y|e\u0301x"},
		"combining, erased":  {"ae\u0301\x7f", "a|"},
		"invalid UTF-8":      {"a\xff\xc3b\x80c", "abc|"},
		"unknown sequence":   {"a\x1b[99;7zb\x1bOPc\x1b[?1;2cd", "abcd|"},
		"unending sequence":  {"a\x1b[" + strings.Repeat("1", 60) + "b", "a" + strings.Repeat("1", 29) + "b|"},
		"controls are eaten": {"a\x00\x1cb\u009bc", "abc|"},
		"tab":                {"a\tb", "a\tb|"},
	} {
		t.Run(name, func(t *testing.T) {
			// Whole, and a byte at a time: keys may be cut anywhere.
			_, got, err := typed(t, history, test.keys)
			if got != test.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
			if name == "enter, CR LF" || name == "paste" {
				return // a CR alone is Enter already
			}
			if _, got, err := typed(t, history, strings.Split(test.keys, "")...); got != test.want || err != nil {
				t.Errorf("by characters: got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestEndings(t *testing.T) {
	if _, text, err := typed(t, nil, "abc\x03"); err != ErrInterrupt || text != "abc" {
		t.Errorf("Ctrl-C: %q, %v", text, err)
	}
	if _, _, err := typed(t, nil, "\x04"); err != io.EOF {
		t.Errorf("Ctrl-D: %v", err)
	}
	// What is typed after Enter waits for the next message.
	e, text, _ := typed(t, nil, "abc\rdef\r")
	if text != "abc" || string(e.input) != "def\r" {
		t.Errorf("%q, and %q waits", text, e.input)
	}
	if !slices.Equal(e.history, []string{"abc"}) {
		t.Errorf("history %q", e.history)
	}
}

func TestHistory(t *testing.T) {
	e := &Editor{out: io.Discard}
	for _, text := range []string{"a", "b", "b", "", "a"} {
		e.text, e.cursor = []rune(text), len(text)
		e.remember()
	}
	if !slices.Equal(e.history, []string{"a", "b", "a"}) {
		t.Errorf("history %q", e.history)
	}
	for range 2 * mostHistory {
		e.text = []rune(string(rune('a'+len(e.history)%2)) + e.history[len(e.history)-1][:1])
		e.remember()
		e.text = []rune("x")
		e.remember()
	}
	if len(e.history) != mostHistory {
		t.Errorf("%d messages remembered", len(e.history))
	}
}

func TestLayout(t *testing.T) {
	for name, test := range map[string]struct {
		text     string
		cursor   int
		width    int
		rows     []string
		row, col int
	}{
		"empty":          {"", 0, 10, []string{"> "}, 0, 2},
		"one row":        {"abc", 1, 10, []string{"> abc"}, 0, 3},
		"full row":       {"abcdefgh", 0, 10, []string{"> abcdefgh"}, 0, 2},
		"full, at end":   {"abcdefgh", 8, 10, []string{"> abcdefgh", ""}, 1, 0},
		"wrapped":        {"abcdefghij", 9, 10, []string{"> abcdefgh", "ij"}, 1, 1},
		"at the wrap":    {"abcdefghij", 8, 10, []string{"> abcdefgh", "ij"}, 1, 0},
		"two lines":      {"ab\ncd", 5, 10, []string{"> ab", ". cd"}, 1, 4},
		"line's end":     {"ab\ncd", 2, 10, []string{"> ab", ". cd"}, 0, 4},
		"full line, end": {"abcdefgh\nx", 8, 10, []string{"> abcdefgh", "", ". x"}, 1, 0},
		"wide":           {"中文", 1, 10, []string{"> 中文"}, 0, 4},
		"wide at edge":   {"abcdefg中", 8, 10, []string{"> abcdefg", "中"}, 1, 2},
		"combining":      {"e\u0301x", 2, 10, []string{"> e\u0301x"}, 0, 3},
		"tab":            {"\tx", 1, 10, []string{">     x"}, 0, 6},
	} {
		t.Run(name, func(t *testing.T) {
			p := layout("> ", ". ", []rune(test.text), test.cursor, test.width)
			if !slices.Equal(p.rows, test.rows) || p.row != test.row || p.col != test.col {
				t.Errorf("rows %q, cursor %d,%d; want %q, %d,%d", p.rows, p.row, p.col, test.rows, test.row, test.col)
			}
		})
	}
}

// TestLayoutFits lays out random texts: no row is wider than the window, the
// cursor is inside, and nothing is lost.
func TestLayoutFits(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	alphabet := []rune("abc 中文\u0301😀é")
	for range 5000 {
		text := make([]rune, r.IntN(60))
		for i := range text {
			text[i] = alphabet[r.IntN(len(alphabet))]
		}
		cursor, most := r.IntN(len(text)+1), 3+r.IntN(20)
		p := layout(">", ".", text, cursor, most)
		for i, w := range p.widths {
			n := 0
			for _, c := range p.rows[i] {
				n += columns(c)
			}
			if n != w || w > most {
				t.Fatalf("row %q is %d wide, said to be %d, in a window of %d", p.rows[i], n, w, most)
			}
		}
		if p.row >= len(p.rows) || p.col >= most && columns(append(text, 'x')[cursor]) > 0 {
			t.Fatalf("cursor %d,%d in a window of %d and %d rows", p.row, p.col, most, len(p.rows))
		}
		if all := strings.Join(p.rows, ""); all != ">"+string(text) {
			t.Fatalf("shown %q, want %q", all, string(text))
		}
	}
}

// TestHighText shows the rows about the cursor when all do not fit.
func TestHighText(t *testing.T) {
	text := []rune(strings.TrimSuffix(strings.Repeat("line\n", 50), "\n"))
	var s screen
	for _, cursor := range []int{0, len(text) / 2, len(text)} {
		out := s.update(layout("> ", ". ", text, cursor, 20), 20, 10)
		if n := strings.Count(out, "line"); n != 10 {
			t.Errorf("cursor %d: %d rows shown in a window of 10", cursor, n)
		}
		if s.row < 0 || s.row >= 10 {
			t.Errorf("cursor %d: in row %d", cursor, s.row)
		}
	}
}

// FuzzKeys types anything: the cursor stays in the text, which is UTF-8.
func FuzzKeys(f *testing.F) {
	for _, s := range []string{"abc\x1b[D\x7f", "\x1b[200~a\r\x1b[201~\r", "\x10\x10\x0e中\x02\x04", "\x1b[1;5D\x1bb\x17\x15\x0b\n\x1b[A"} {
		f.Add([]byte(s), 20)
	}
	f.Fuzz(func(t *testing.T, keys []byte, most int) {
		e := &Editor{out: io.Discard, history: []string{"one", "two\nlines"}, at: 2, input: keys}
		for len(e.input) > 0 {
			before := len(e.input)
			done, err := e.use()
			if e.cursor < 0 || e.cursor > len(e.text) || !utf8.ValidString(string(e.text)) {
				t.Fatalf("cursor %d in %q", e.cursor, string(e.text))
			}
			layout("> ", ". ", e.text, e.cursor, 1+abs(most)%200)
			if !done && err == nil {
				break // the rest is the beginning of a key
			}
			if len(e.input) == before {
				t.Fatal("a key was not used")
			}
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }
