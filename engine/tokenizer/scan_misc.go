package tokenizer

import "strings"

// run matches a run of characters in set, of at most limit (0: any number).
func run(set class, limit int) matcher {
	return func(t *scanText, i, end int) int {
		start := i
		for k := 0; limit == 0 || k < limit; k++ {
			c, n := t.at(i, end)
			if c&set == 0 {
				break
			}
			i += n
		}
		if i == start {
			return -1
		}
		return i
	}
}

// runOf is run for the characters in ranges. Spaces beyond ASCII are in none, for
// llama.cpp has them all look like one that no expression names.
func runOf(limit int, ranges ...[2]rune) matcher {
	in := func(r rune) bool {
		for _, b := range ranges {
			if r >= b[0] && r <= b[1] {
				return true
			}
		}
		return false
	}
	var ascii [0x80]bool
	for r := range ascii {
		ascii[r] = in(rune(r))
	}
	return func(t *scanText, i, end int) int {
		start := i
		for k := 0; i < end && (limit == 0 || k < limit); k++ {
			r, n := runeAt(t.s, i, end)
			if r < 0x80 && !ascii[r] || r >= 0x80 && (!in(r) || t.table.of(r)&space != 0) {
				break
			}
			i += n
		}
		if i == start {
			return -1
		}
		return i
	}
}

// spaceThen matches \s? and what match matches.
func spaceThen(match matcher) matcher {
	return func(t *scanText, i, end int) int {
		if c, n := t.at(i, end); c&space != 0 && i+n < end {
			if e := match(t, i+n, end); e > 0 {
				return e
			}
		}
		return match(t, i, end)
	}
}

// oneOf matches the first of its alternatives that matches.
func oneOf(alternatives ...matcher) matcher {
	return func(t *scanText, i, end int) int {
		for _, match := range alternatives {
			if e := match(t, i, end); e > 0 {
				return e
			}
		}
		return -1
	}
}

// punctRun matches a run of \p{P} and the ASCII characters of more.
func punctRun(more string) matcher {
	return func(t *scanText, i, end int) int {
		start := i
		for {
			c, n := t.at(i, end)
			if c&punct == 0 && (n != 1 || strings.IndexByte(more, t.s[i]) < 0) {
				break
			}
			i += n
		}
		if i == start {
			return -1
		}
		return i
	}
}

// punctOne matches one character of [\p{P}!-/:-@\[-`{-~].
func punctOne(t *scanText, i, end int) int {
	if c, n := t.at(i, end); c&punct != 0 || n == 1 && c&symb != 0 {
		return i + n
	}
	return -1
}

// nonSpace matches \S+.
func nonSpace(t *scanText, i, end int) int {
	if e := t.runNot(i, end, space); e > i {
		return e
	}
	return -1
}

// lines cuts into runs of newlines and runs of anything else: [^\n]+|[\n]+
func lines(t *scanText, start, end int, ends []int) []int {
	for i := start; i < end; {
		if t.s[i] == '\n' {
			for i < end && t.s[i] == '\n' {
				i++
			}
		} else if n := strings.IndexByte(t.s[i:end], '\n'); n >= 0 {
			i += n
		} else {
			i = end
		}
		ends = append(ends, i)
	}
	return ends
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// exactly3Digits matches [0-9][0-9][0-9].
func exactly3Digits(t *scanText, i, end int) int {
	if i+3 <= end && isDigit(t.s[i]) && isDigit(t.s[i+1]) && isDigit(t.s[i+2]) {
		return i + 3
	}
	return -1
}

// digitsFromRight cuts where (?=(\d{3})+(?!\d)) matches: a run of ASCII digits
// into groups of three from its end, what is left over staying with the text
// before it.
func digitsFromRight(t *scanText, start, end int, ends []int) []int {
	for i, gap := start, start; i < end; {
		j := i
		for j < end && isDigit(t.s[j]) {
			j++
		}
		for k := j - (j-i)/3*3; k < j; k += 3 {
			if k > gap {
				ends = append(ends, k)
				gap = k
			}
		}
		if i = j; i < end {
			i++
		}
	}
	return append(ends, end)
}

// groupDigits cuts runs of numbers into groups of three from their end. A run's
// first group takes the text before it along, as it does in llama.cpp; the
// expressions that follow part them again.
func groupDigits(t *scanText, start, end int, ends []int) []int {
	last := start
	for i := start; i < end; {
		c, n := t.at(i, end)
		if c&number == 0 {
			i += n
			continue
		}
		count := 0
		for j := i; ; count++ {
			c, n := t.at(j, end)
			if c&number == 0 {
				break
			}
			j += n
		}
		for ; count > 0; last = i {
			for range (count-1)%3 + 1 {
				_, n := t.at(i, end)
				i += n
				count--
			}
			ends = append(ends, i)
		}
	}
	if last < end {
		ends = append(ends, end)
	}
	return ends
}

// trailingSpace cuts off the spaces at the end: \s+$
func trailingSpace(t *scanText, start, end int, ends []int) []int {
	word := start // the end of the last word
	for i := start; i < end; {
		c, n := t.at(i, end)
		i += n
		if c&space == 0 {
			word = i
		}
	}
	if word > start && word < end {
		ends = append(ends, word)
	}
	return append(ends, end)
}

// bloomWord matches ` ?[^(\s|.,!?…。，、।۔،)]+`; the parentheses and the bar are
// members of the set.
func bloomWord(t *scanText, i, end int) int {
	j := i
	if t.s[j] == ' ' {
		j++
	}
	e := j
	for {
		c, n := t.at(e, end)
		if c == 0 || c&space != 0 {
			break
		}
		if r, _ := runeAt(t.s, e, end); strings.ContainsRune("(|.,!?…。，、।۔،)", r) {
			break
		}
		e += n
	}
	if e == j {
		return -1
	}
	return e
}

// sentinel matches <sentinel:[0-9]+>.
func sentinel(t *scanText, i, end int) int {
	const head = "<sentinel:"
	if !strings.HasPrefix(t.s[i:end], head) {
		return -1
	}
	j := i + len(head)
	k := j
	for k < end && isDigit(t.s[k]) {
		k++
	}
	if k == j || k == end || t.s[k] != '>' {
		return -1
	}
	return k + 1
}

// imageToken matches IMGIMG[A-I]{1,4}Z.
func imageToken(t *scanText, i, end int) int {
	const head = "IMGIMG"
	if !strings.HasPrefix(t.s[i:end], head) {
		return -1
	}
	j := i + len(head)
	k := j
	for k < end && k < j+4 && t.s[k] >= 'A' && t.s[k] <= 'I' {
		k++
	}
	if k == j || k == end || t.s[k] != 'Z' {
		return -1
	}
	return k + 1
}

// indent matches [\t\n]|    |  .
func indent(t *scanText, i, end int) int {
	s := t.s[i:end]
	switch {
	case s[0] == '\t' || s[0] == '\n':
		return i + 1
	case strings.HasPrefix(s, "    "):
		return i + 4
	case strings.HasPrefix(s, "  "):
		return i + 2
	}
	return -1
}

// deepseekWords is, of deepseek-v3,
//
//	[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
//	 ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//
// and with newlines1 the same without the newlines after punctuation and with
// [\r\n] for \s*[\r\n]+.
type deepseekWords struct{ newlines1 bool }

var deepseek3 deepseekWords

func (w deepseekWords) match(t *scanText, i, end int) int {
	s := t.s
	c, n := t.at(i, end)
	newline := s[i] == '\n' || s[i] == '\r'
	if n == 1 && c&(punct|symb) != 0 {
		j := i + 1
		for j < end && (s[j]|0x20 >= 'a' && s[j]|0x20 <= 'z') {
			j++
		}
		if j > i+1 {
			return j
		}
	}
	if !newline && c&(letter|punct|symb) == 0 {
		if e := t.run(i+n, end, letter|mark); e > i+n {
			return e
		}
	}
	if c&(letter|mark) != 0 {
		return t.run(i, end, letter|mark)
	}
	j := i
	if s[i] == ' ' {
		j++
	}
	if e := t.run(j, end, punct|symb); e > j {
		for !w.newlines1 && e < end && (s[e] == '\n' || s[e] == '\r') {
			e++
		}
		return e
	}
	if c&space == 0 {
		return -1
	}
	if w.newlines1 {
		if newline {
			return i + 1
		}
		return t.spaces(i, end)
	}
	e, line := i, -1
	for {
		c, n := t.at(e, end)
		if c&space == 0 {
			break
		}
		if s[e] == '\n' || s[e] == '\r' {
			line = e + 1
		}
		e += n
	}
	if line > 0 {
		return line
	}
	return t.spaces(i, end)
}
