package jinja

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// longUpper are the characters whose upper case is more than one character
// (Unicode's SpecialCasing.txt), each followed by it.
const longUpper = "" +
	"\u00dfSS \u0149\u02bcN \u01f0J\u030c \u0390\u0399\u0308\u0301 \u03b0\u03a5\u0308\u0301 \u0587\u0535\u0552 \u1e96H\u0331 \u1e97T\u0308 \u1e98W\u030a \u1e99Y\u030a \u1e9aA\u02be \u1f50\u03a5\u0313 " +
	"\u1f52\u03a5\u0313\u0300 \u1f54\u03a5\u0313\u0301 \u1f56\u03a5\u0313\u0342 \u1f80\u1f08\u0399 \u1f81\u1f09\u0399 \u1f82\u1f0a\u0399 \u1f83\u1f0b\u0399 \u1f84\u1f0c\u0399 \u1f85\u1f0d\u0399 \u1f86\u1f0e\u0399 \u1f87\u1f0f\u0399 \u1f88\u1f08\u0399 " +
	"\u1f89\u1f09\u0399 \u1f8a\u1f0a\u0399 \u1f8b\u1f0b\u0399 \u1f8c\u1f0c\u0399 \u1f8d\u1f0d\u0399 \u1f8e\u1f0e\u0399 \u1f8f\u1f0f\u0399 \u1f90\u1f28\u0399 \u1f91\u1f29\u0399 \u1f92\u1f2a\u0399 \u1f93\u1f2b\u0399 \u1f94\u1f2c\u0399 " +
	"\u1f95\u1f2d\u0399 \u1f96\u1f2e\u0399 \u1f97\u1f2f\u0399 \u1f98\u1f28\u0399 \u1f99\u1f29\u0399 \u1f9a\u1f2a\u0399 \u1f9b\u1f2b\u0399 \u1f9c\u1f2c\u0399 \u1f9d\u1f2d\u0399 \u1f9e\u1f2e\u0399 \u1f9f\u1f2f\u0399 \u1fa0\u1f68\u0399 " +
	"\u1fa1\u1f69\u0399 \u1fa2\u1f6a\u0399 \u1fa3\u1f6b\u0399 \u1fa4\u1f6c\u0399 \u1fa5\u1f6d\u0399 \u1fa6\u1f6e\u0399 \u1fa7\u1f6f\u0399 \u1fa8\u1f68\u0399 \u1fa9\u1f69\u0399 \u1faa\u1f6a\u0399 \u1fab\u1f6b\u0399 \u1fac\u1f6c\u0399 " +
	"\u1fad\u1f6d\u0399 \u1fae\u1f6e\u0399 \u1faf\u1f6f\u0399 \u1fb2\u1fba\u0399 \u1fb3\u0391\u0399 \u1fb4\u0386\u0399 \u1fb6\u0391\u0342 \u1fb7\u0391\u0342\u0399 \u1fbc\u0391\u0399 \u1fc2\u1fca\u0399 \u1fc3\u0397\u0399 \u1fc4\u0389\u0399 " +
	"\u1fc6\u0397\u0342 \u1fc7\u0397\u0342\u0399 \u1fcc\u0397\u0399 \u1fd2\u0399\u0308\u0300 \u1fd3\u0399\u0308\u0301 \u1fd6\u0399\u0342 \u1fd7\u0399\u0308\u0342 \u1fe2\u03a5\u0308\u0300 \u1fe3\u03a5\u0308\u0301 \u1fe4\u03a1\u0313 \u1fe6\u03a5\u0342 \u1fe7\u03a5\u0308\u0342 " +
	"\u1ff2\u1ffa\u0399 \u1ff3\u03a9\u0399 \u1ff4\u038f\u0399 \u1ff6\u03a9\u0342 \u1ff7\u03a9\u0342\u0399 \u1ffc\u03a9\u0399 \ufb00FF \ufb01FI \ufb02FL \ufb03FFI \ufb04FFL \ufb05ST " +
	"\ufb06ST \ufb13\u0544\u0546 \ufb14\u0544\u0535 \ufb15\u0544\u053b \ufb16\u054e\u0546 \ufb17\u0544\u053d"

var longUppers = sync.OnceValue(func() map[rune]string {
	m := map[rune]string{}
	for _, e := range strings.Fields(longUpper) {
		c, n := utf8.DecodeRuneInString(e)
		m[c] = e[n:]
	}
	return m
})

// mapCase maps every character, those with a longer upper case by long.
func mapCase(s string, one func(rune) rune, long func(string) string) string {
	m := longUppers()
	if strings.IndexFunc(s, func(c rune) bool { return c > unicode.MaxASCII && m[c] != "" }) < 0 {
		return strings.Map(one, s)
	}
	var b strings.Builder
	for _, c := range s {
		if u := m[c]; u != "" {
			b.WriteString(long(u))
		} else {
			b.WriteRune(one(c))
		}
	}
	return b.String()
}

func upper(s string) string {
	return mapCase(s, unicode.ToUpper, func(u string) string { return u })
}

// titled is a first letter in title case.
func titled(s string) string {
	return mapCase(s, unicode.ToTitle, func(u string) string {
		_, n := utf8.DecodeRuneInString(u)
		return u[:n] + lower(u[n:])
	})
}

// lower also knows the sigma that ends a word, and the dotted capital I.
func lower(s string) string {
	if !strings.ContainsAny(s, "Σİ") {
		return strings.ToLower(s)
	}
	var b strings.Builder
	before := false // a letter before this character
	for i, c := range s {
		switch c {
		case 'İ':
			b.WriteString("i\u0307")
		case 'Σ':
			next, _ := utf8.DecodeRuneInString(s[i+len("Σ"):])
			if before && !cased(next) {
				b.WriteRune('ς')
			} else {
				b.WriteRune('σ')
			}
		default:
			b.WriteRune(unicode.ToLower(c))
		}
		before = cased(c)
	}
	return b.String()
}

func cased(c rune) bool { return unicode.IsUpper(c) || unicode.IsLower(c) || unicode.IsTitle(c) }

func firstRune(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

func capitalize(s string) string {
	n := firstRune(s)
	return titled(s[:n]) + lower(s[n:])
}

// titleWords is str.title: every letter after something that is none.
func titleWords(s string) string {
	var b strings.Builder
	inside, start := false, 0
	for i, c := range s {
		if was := inside; cased(c) != was {
			inside = !was
			if inside {
				b.WriteString(s[start:i])
			} else {
				b.WriteString(capitalize(s[start:i]))
			}
			start = i
		}
	}
	if inside {
		b.WriteString(capitalize(s[start:]))
	} else {
		b.WriteString(s[start:])
	}
	return b.String()
}

func swapCase(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch t := string(c); {
		case unicode.IsUpper(c):
			b.WriteString(lower(t))
		case unicode.IsLower(c):
			b.WriteString(upper(t))
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

func hasCase(s string, no func(rune) bool) bool {
	return strings.IndexFunc(s, cased) >= 0 && strings.IndexFunc(s, no) < 0
}

func isUpper(s string) bool {
	return hasCase(s, func(c rune) bool { return unicode.IsLower(c) || unicode.IsTitle(c) })
}

func isLower(s string) bool {
	return hasCase(s, func(c rune) bool { return unicode.IsUpper(c) || unicode.IsTitle(c) })
}

// isTitle: capitals only where a word begins, small letters only inside.
func isTitle(s string) bool {
	inside, any := false, false
	for _, c := range s {
		capital := unicode.IsUpper(c) || unicode.IsTitle(c)
		if capital && inside || unicode.IsLower(c) && !inside {
			return false
		}
		inside = cased(c)
		any = any || inside
	}
	return any
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return s != ""
}

// isPyDigit also holds for superscripts, subscripts and digits in circles.
func isPyDigit(c rune) bool {
	return unicode.IsDigit(c) || unicode.Is(unicode.No, c) &&
		(c == '²' || c == '³' || c == '¹' || c >= 0x2070 && c <= 0x2089 || c >= 0x2460 && c <= 0x2468)
}
