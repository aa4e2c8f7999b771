package tokenizer

import "unicode/utf8"

// charLen returns the length of a UTF-8 character by its first byte alone;
// a byte that cannot begin a character counts as one.
func charLen(b byte) int {
	switch {
	case b < 0xC0:
		return 1
	case b < 0xE0:
		return 2
	case b < 0xF0:
		return 3
	}
	return 4
}

// canonical returns s as the pre-tokenizers see it. Valid UTF-8 stays as it is
// and is not copied. In other bytes each one that is no part of a character
// becomes U+FFFD; overlong forms are shortened and surrogates kept, as
// llama.cpp does, so that ids agree with it on broken text too.
func canonical(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s)+len(s)/2)
	for i := 0; i < len(s); {
		r, n := laxRune(s[i:])
		i += n
		b = appendRune(b, r)
	}
	return string(b)
}

// laxRune decodes the first character of s, which is not empty, without
// minding overlong forms and surrogates.
func laxRune(s string) (rune, int) {
	b := s[0]
	n := charLen(b)
	if b < 0x80 {
		return rune(b), 1
	}
	if b < 0xC0 || b >= 0xF8 || len(s) < n {
		return utf8.RuneError, 1
	}
	r := rune(b) & (0x7f >> n)
	for i := 1; i < n; i++ {
		if s[i]&0xC0 != 0x80 {
			return utf8.RuneError, 1
		}
		r = r<<6 | rune(s[i]&0x3f)
	}
	if r > utf8.MaxRune {
		return utf8.RuneError, 1
	}
	return r, n
}

// appendRune is utf8.AppendRune that writes surrogates too.
func appendRune(b []byte, r rune) []byte {
	if r >= 0xD800 && r <= 0xDFFF {
		return append(b, 0xED, 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
	}
	return utf8.AppendRune(b, r)
}
