package tokenizer

import (
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// randomText makes text of up to n parts that is hard on tokenizers: scripts,
// spaces and digits of all kinds, contractions, marks, emoji, and, when broken
// is set, bytes that are no UTF-8. It has no NUL, which the oracle's files
// cannot hold, and no bytes from F4 on, at which llama.cpp gives up.
func randomText(r *rand.Rand, n int, t *Tokenizer, broken bool) string {
	var b strings.Builder
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	between := func(lo, hi rune) rune { return lo + rune(r.IntN(int(hi-lo)+1)) }
	times := func(max int, f func()) {
		for range 1 + r.IntN(max) {
			f()
		}
	}
	for range 1 + r.IntN(n) {
		switch r.IntN(24) {
		case 0, 1:
			times(8, func() { b.WriteRune(between('a', 'z')) })
		case 2:
			b.WriteString(pick("The", "quick", "HTTPServer", "camelCase", "don", "I", "we", "ΑΒΓ", "Straße", "ÀBC", "été", "ĳK", "aÀ", "İI", "ﬁne"))
		case 3, 4:
			times(5, func() { b.WriteString(pick(" ", " ", " ", "\t", "\n", "\r", "\r\n", "\v", "\f")) })
		case 5:
			times(3, func() {
				b.WriteString(pick("\u0085", "\u00A0", "\u3000", "\u2003", "\u2028", "\u202F", "\u200B", "\u1680", "\uFEFF", "\x1c", "\x1f"))
			})
		case 6:
			times(9, func() { b.WriteRune(between('0', '9')) })
		case 7:
			times(4, func() { b.WriteString(pick("²", "①", "٣", "೩", "Ⅷ", "½", "𝟛", "५", "〇", "一", "7")) })
		case 8:
			b.WriteString(pick("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'LL", "'lL", "'", "’s", "'ſ", "'x", "'r", "'l"))
		case 9, 10:
			times(4, func() { b.WriteRune(between('!', '/')) })
		case 11:
			times(3, func() {
				b.WriteString(pick("!", "?", "...", "…", "。", "，", "、", "।", "۔", "،", "“", "”", "‘", "—", "：", "！", "§", "©", "€", "→", "∑", "`", "^", "~", "|", "$", "+", "<", "=", ">", "{", "}", "[", "]", "\\", "_", "/", "@", ":", ";"))
			})
		case 12:
			times(5, func() { b.WriteRune(between(0x4E00, 0x9FFF)) })
		case 13:
			times(4, func() { b.WriteRune(between(0x3040, 0x30FF)) })
		case 14:
			times(4, func() { b.WriteRune(between(0xAC00, 0xD7AF)) })
		case 15:
			b.WriteRune(pickRune(r, 0x3400, 0x20000, 0x2A700, 0x2EBF0, 0x2FFC, 0x31EF, 0xF907, 0x2F800, 0x3105, 0x3131, 0xFE30, 0x2F00, 0x0E01, 0x1780, 0xA9E0, 0x1100))
		case 16:
			b.WriteString(pick("😀", "👩‍👩‍👧", "🏳️‍🌈", "👍🏽", "🇫🇷", "❤️", "☃", "🫠"))
		case 17:
			times(3, func() {
				b.WriteString(pick("\u0301", "\u0308", "\u093F", "\u0E34", "\u20DD", "\u064B", "e\u0301", "क\u094D"))
			})
		case 18:
			times(4, func() { b.WriteRune(between(0x0590, 0x06FF)) })
		case 19:
			times(4, func() { b.WriteRune(between(0x0900, 0x0DFF)) })
		case 20:
			times(2, func() {
				b.WriteString(pick("\x01", "\x7f", "\u0378", "\uE000", "\uFFFD", "\uFFFF", "\U000E0001", "\u00AD", "\U000F0000"))
			})
		case 21:
			b.WriteString(pick("<sentinel:12>", "<sentinel:>", "IMGIMGABCZ", "IMGIMGABCDEZ", "<s>", "</s>", "<|im_end|>", "<|endoftext|>", "▁", "▁▁", "<0x41>", "<mask>", "[MASK]", "<dna>ACGTAC</dna>"))
		case 22:
			// Any character, assigned or not.
			c := between(1, 0x2FFFF)
			if !utf8.ValidRune(c) {
				c = 'x'
			}
			b.WriteRune(c)
		case 23:
			if t != nil {
				times(4, func() { b.Write(t.Piece(int32(r.IntN(t.Size())))) })
			}
		}
		if broken && r.IntN(6) == 0 {
			b.WriteString(pick("\x80", "\xC3", "\xE2\x82", "\xED\xA0\x80", "\xC0\x80", "\xC1\xA1", "\xE0\x80\xAF", "\xF0\x9F\x98", "\xBF\xBF", "\xF0\x80\x81\x81"))
		}
	}
	s := strings.ReplaceAll(b.String(), "\x00", "")
	if !broken {
		return strings.ToValidUTF8(s, "?")
	}
	return dropHigh(s)
}

// dropHigh takes out what begins beyond plane 3 in bytes.
func dropHigh(s string) string {
	b := []byte(s)
	out := b[:0]
	for _, c := range b {
		if c < 0xF4 {
			out = append(out, c)
		}
	}
	return string(out)
}

func pickRune(r *rand.Rand, base ...rune) rune {
	return base[r.IntN(len(base))] + rune(r.IntN(16))
}
