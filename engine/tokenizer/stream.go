package tokenizer

import "unicode/utf8"

// Stream decodes a sequence of tokens as they come. What it returns is always
// whole characters: the bytes of a character that spans tokens are kept until
// the last one has come, and bytes that can be no part of a character come out
// as U+FFFD. A Stream is for one goroutine.
type Stream struct {
	t *Tokenizer
	// Special shows control tokens by their names.
	special bool
	kept    [utf8.UTFMax]byte // the beginning of a character
	n       int
	out     []byte
}

// NewStream returns a Stream; opt.UnparseSpecial says whether it shows control
// tokens, the other options are for whole texts and have no effect.
func (t *Tokenizer) NewStream(opt DecodeOptions) *Stream {
	return &Stream{t: t, special: opt.UnparseSpecial}
}

// Push takes the next token and returns the text that is complete with it,
// which may be empty. The slice is valid until the next call.
func (s *Stream) Push(id int32) []byte {
	if !s.special && s.t.hidden(id) {
		return nil
	}
	return s.push(s.t.Piece(id), false)
}

// Flush returns the text that was kept back, ends the sequence, and makes the
// Stream ready for another.
func (s *Stream) Flush() []byte { return s.push(nil, true) }

func (s *Stream) push(p []byte, last bool) []byte {
	if s.n == 0 && utf8.Valid(p) {
		return p
	}
	out := append(s.out[:0], s.kept[:s.n]...)
	out = append(out, p...)
	end := len(out)
	if !last {
		end -= incomplete(out)
	}
	s.n = copy(s.kept[:], out[end:])
	out = out[:end]
	if !utf8.Valid(out) {
		bad := string(out)
		out = out[:0]
		for _, r := range bad {
			out = utf8.AppendRune(out, r)
		}
	}
	s.out = out
	return out
}

// incomplete returns how many bytes at the end of b begin a character that may
// yet be completed.
func incomplete(b []byte) int {
	for n := 1; n <= min(utf8.UTFMax-1, len(b)); n++ {
		tail := b[len(b)-n:]
		if utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n
			}
			return 0
		}
	}
	return 0
}
