package tokenizer

import "strings"

// contraction says which of 's 't 're 've 'm 'll 'd are words of their own.
type contraction uint8

const (
	noContraction contraction = iota
	lowerCase
	foldCase
)

// contracted returns the end of a contraction at i, or -1.
func contracted(s string, i, end int, how contraction) int {
	if how == noContraction || i+1 >= end || s[i] != '\'' {
		return -1
	}
	var fold byte
	if how == foldCase {
		fold = 0x20
	}
	lower := func(b byte) byte {
		if b >= 'A' && b <= 'Z' {
			return b | fold
		}
		return b
	}
	switch a := lower(s[i+1]); a {
	case 's', 't', 'm', 'd':
		return i + 2
	case 'r', 'v', 'l':
		if i+2 < end {
			if b := lower(s[i+2]); a != 'l' && b == 'e' || a == 'l' && b == 'l' {
				return i + 3
			}
		}
	}
	return -1
}

// gpt2 is
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func gpt2(t *scanText, start, end int, ends []int) []int {
	for i := start; i < end; {
		if e := contracted(t.s, i, end, lowerCase); e > 0 {
			ends = append(ends, e)
			i = e
			continue
		}
		j := i
		if t.s[i] == ' ' {
			j++
		}
		switch c, n := t.at(j, end); {
		case c&letter != 0:
			i = t.run(j+n, end, letter)
		case c&number != 0:
			i = t.run(j+n, end, number)
		case c != 0 && c&space == 0:
			i = t.runNot(j+n, end, space|letter|number)
		default:
			i = t.spaces(i, end)
		}
		ends = append(ends, i)
	}
	return ends
}

// spaces matches \s+(?!\S)|\s+ at i, where a space is: a run of them, but for
// the last one where a word follows the run.
func (t *scanText) spaces(i, end int) int {
	last, e := i, i
	for {
		c, n := t.at(e, end)
		if c&space == 0 {
			if c != 0 && last > i {
				return last
			}
			return e
		}
		last, e = e, e+n
	}
}

// words is the family that begins with llama 3's
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//	 ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//
// Every character is part of some match.
type words struct {
	contraction contraction // as the first alternative
	letters     class       // what a word is of
	byCase      bool        // a word is capitals*small+ or capitals+small*, with one character before it
	spaced      bool        // a letter and its marks may follow the word after one space
	suffix      bool        // a contraction belongs to the word before it
	han         bool        // Han characters are words of their own
	digits      int         // longest number, 0: any
	notPunct    class       // what is no punctuation besides letters, numbers and spaces
	tail        string      // characters that follow punctuation
	tail1       bool        // at most one of them
	cascade     bool        // spaces come in powers of two
}

func (w words) scan(t *scanText, start, end int, ends []int) []int {
	for i := start; i < end; {
		if w.cascade {
			i, ends = w.cascadeSpaces(t, i, end, ends)
			if i == end {
				break
			}
		}
		i = w.match(t, i, end)
		ends = append(ends, i)
	}
	return ends
}

func (w *words) match(t *scanText, i, end int) int {
	s := t.s
	if e := contracted(s, i, end, w.contraction); e > 0 {
		return e
	}
	c, n := t.at(i, end)
	if w.han && c&han != 0 {
		return t.run(i, end, han)
	}
	if e := w.word(t, i, end, c, n); e > 0 {
		if w.suffix {
			e = max(e, contracted(s, e, end, foldCase))
		}
		return e
	}
	if c&number != 0 {
		return number1(t, i, end, w.digits)
	}
	j, cj, nj := i, c, n
	if s[i] == ' ' {
		j++
		cj, nj = t.at(j, end)
	}
	if not := space | letter | number | w.notPunct; cj != 0 && cj&not == 0 {
		e := t.runNot(j+nj, end, not)
		for e < end && s[e] < 0x80 && strings.IndexByte(w.tail, s[e]) >= 0 {
			e++
			if w.tail1 {
				break
			}
		}
		return e
	}
	// \s*[\r\n]+ ends after the last newline of the run.
	last, e, line := i, i, -1
	for {
		c, n := t.at(e, end)
		if c&space == 0 {
			switch {
			case line > 0:
				return line
			case c != 0 && last > i:
				return last
			}
			return e
		}
		if s[e] == '\n' || s[e] == '\r' {
			line = e + 1
		}
		last, e = e, e+n
	}
}

// number1 returns the end of a number of at most limit digits (0: any) at i.
func number1(t *scanText, i, end, limit int) int {
	for k := 0; limit == 0 || k < limit; k++ {
		c, n := t.at(i, end)
		if c&number == 0 {
			break
		}
		i += n
	}
	return i
}

// word matches the letters of a word and what may stand before them. c and n
// are the character at i.
func (w *words) word(t *scanText, i, end int, c class, n int) int {
	prefix := c&(letter|number) == 0 && t.s[i] != '\r' && t.s[i] != '\n'
	if w.byCase {
		if prefix {
			if e := w.mixed(t, i+n, end); e > 0 {
				return e
			}
		}
		if e := w.mixed(t, i, end); e > 0 {
			return e
		}
		if prefix {
			if e := w.capitals(t, i+n, end); e > i+n {
				return e
			}
		}
		if e := w.capitals(t, i, end); e > i {
			return e
		}
		return -1
	}
	if prefix {
		if e := w.letterRun(t, i+n, end); e > i+n {
			return e
		}
	}
	if e := w.letterRun(t, i, end); e > i {
		return e
	}
	return -1
}

func (w *words) letterRun(t *scanText, i, end int) int {
	switch {
	case w.han:
		for {
			c, n := t.at(i, end)
			if c&(letter|han) != letter {
				return i
			}
			i += n
		}
	case w.spaced:
		// \p{L}\p{M}*(?: ?\p{L}\p{M}*)*
		c, n := t.at(i, end)
		for c&letter != 0 {
			i = t.run(i+n, end, mark)
			j := i
			if j < end && t.s[j] == ' ' {
				j++
			}
			if c, n = t.at(j, end); c&letter != 0 {
				i = j
			}
		}
		return i
	}
	return t.run(i, end, w.letters)
}

// Where words go by case, only a-z are small and only A-Z are capitals; every
// other letter is both. (The vocabularies mean Unicode's categories; llama.cpp
// reads them so, and its ids are what models are run with.)

// capitals returns the end of the run from i of letters but a-z.
func (w *words) capitals(t *scanText, i, end int) int {
	for {
		c, n := t.at(i, end)
		if c&w.letters == 0 || t.s[i] >= 'a' && t.s[i] <= 'z' {
			return i
		}
		i += n
	}
}

// mixed matches capitals*small+ at i.
func (w *words) mixed(t *scanText, i, end int) int {
	// The last letter of the capitals that is also a small one can stand for
	// small+ when none follows.
	e, both := i, -1
	for {
		c, n := t.at(e, end)
		if c&w.letters == 0 || t.s[e] >= 'a' && t.s[e] <= 'z' {
			break
		}
		e += n
		if n > 1 {
			both = e
		}
	}
	small := e
	for {
		c, n := t.at(small, end)
		if c&w.letters == 0 || t.s[small] >= 'A' && t.s[small] <= 'Z' {
			break
		}
		small += n
	}
	if small > e {
		return small
	}
	return both
}

// cascadeSpaces matches \s{512}(?!\S)|\s{256}(?!\S)|…|\s{4}(?!\S)|\s{1,2}(?!\S)
// as often as it can at i, unless the run of spaces has a newline; it leaves
// the last space where a word follows.
func (w *words) cascadeSpaces(t *scanText, i, end int, ends []int) (int, []int) {
	n, e := 0, i
	for {
		c, k := t.at(e, end)
		if c&space == 0 {
			if c == 0 {
				n++ // nothing follows the run: all of it may go
			}
			break
		}
		if t.s[e] == '\n' || t.s[e] == '\r' {
			return i, ends
		}
		n++
		e += k
	}
	for size := 512; n > 1; {
		if size >= n {
			size /= 2
			continue
		}
		for range size {
			_, k := t.at(i, end)
			i += k
		}
		n -= size
		ends = append(ends, i)
	}
	return i, ends
}
