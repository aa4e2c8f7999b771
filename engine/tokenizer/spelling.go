package tokenizer

import "sync"

// GPT-2 spells the 256 bytes with printable characters: those that are
// printable Latin-1 as themselves, the others in order from U+0100.

// byteSpelling is indexed by byte.
var byteSpelling = sync.OnceValue(func() *[256]rune {
	var t [256]rune
	next := rune(256)
	for b := range t {
		switch {
		case b >= '!' && b <= '~', b >= 0xA1 && b <= 0xAC, b >= 0xAE:
			t[b] = rune(b)
		default:
			t[b] = next
			next++
		}
	}
	return &t
})

// unspelling is its inverse: the byte a character spells, -1 for none.
var unspelling = sync.OnceValue(func() *[324]int16 {
	var t [324]int16
	for i := range t {
		t[i] = -1
	}
	for b, r := range byteSpelling() {
		t[r] = int16(b)
	}
	return &t
})

// appendUnspelt appends the bytes that s spells. Characters that spell none
// stand for themselves.
func appendUnspelt(b []byte, s string) []byte {
	t := unspelling()
	for i := 0; i < len(s); {
		r, n := laxRune(s[i:])
		if r < rune(len(t)) && t[r] >= 0 {
			b = append(b, byte(t[r]))
		} else {
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return b
}

// appendSpelt appends the bytes that s spells, as GPT-2 spells them, and reports
// whether it is such a spelling throughout.
func appendSpelt(b []byte, s string) ([]byte, bool) {
	t := unspelling()
	for i := 0; i < len(s); {
		r, n := laxRune(s[i:])
		if r >= rune(len(t)) || t[r] < 0 {
			return b, false
		}
		b = append(b, byte(t[r]))
		i += n
	}
	return b, true
}
