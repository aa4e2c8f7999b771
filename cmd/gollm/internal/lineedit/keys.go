package lineedit

import (
	"unicode"
	"unicode/utf8"
)

// key is something typed: a character, or what a key means.
type key struct {
	code code
	r    rune // of a character
}

type code int

const (
	nothing code = iota
	character
	enter
	newline
	tab
	backspace
	deletion
	killWord
	killToStart
	killToEnd
	left
	right
	wordLeft
	wordRight
	up
	down
	home
	end
	clearScreen
	interrupt
	endOfInput
	pasteBegin
	pasteEnd
)

// controls are the keys that are one byte, with Emacs' meanings.
var controls = map[byte]code{
	1: home, 2: left, 3: interrupt, 4: endOfInput, 5: end, 6: right, 8: backspace, 9: tab, 10: newline, 11: killToEnd,
	12: clearScreen, 13: enter, 14: down, 16: up, 21: killToStart, 23: killWord, 127: backspace,
}

// escapes are the keys that are sequences, as terminals send them.
var escapes = map[string]code{
	"[A": up, "[B": down, "[C": right, "[D": left, "[H": home, "[F": end,
	"OA": up, "OB": down, "OC": right, "OD": left, "OH": home, "OF": end,
	"[1~": home, "[7~": home, "[4~": end, "[8~": end, "[3~": deletion,
	"[1;5C": wordRight, "[1;5D": wordLeft, "[1;3C": wordRight, "[1;3D": wordLeft,
	"b": wordLeft, "f": wordRight, "\x7f": killWord, "\b": killWord, "\r": newline,
	"[200~": pasteBegin, "[201~": pasteEnd,
}

// mostEscape bounds a sequence that does not end.
const mostEscape = 32

// decode returns the first key of input and its length in bytes, 0 if more of
// it is to come.
func decode(input []byte) (key, int) {
	switch b := input[0]; {
	case b == 0x1b:
		n := escape(input)
		return key{code: escapes[string(input[min(1, n):n])]}, n
	case b < 0x20 || b == 0x7f:
		// A line's end that is two bytes is one key.
		if b == '\r' && len(input) > 1 && input[1] == '\n' {
			return key{code: enter}, 2
		}
		return key{code: controls[b]}, 1
	case !utf8.FullRune(input):
		return key{}, 0
	}
	r, n := utf8.DecodeRune(input)
	if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
		return key{}, n
	}
	return key{character, r}, n
}

// escape returns the length of the escape sequence input begins with, 0 if
// it is not complete.
func escape(input []byte) int {
	if len(input) < 2 {
		return 0
	}
	switch input[1] {
	case '[':
		for i := 2; i < len(input); i++ {
			if input[i] >= 0x40 && input[i] <= 0x7e || i == mostEscape {
				return i + 1
			}
		}
		return 0
	case 'O':
		if len(input) < 3 {
			return 0
		}
		return 3
	}
	return 2
}
