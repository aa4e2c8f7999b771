package objc

import "strings"

// SplitEncoding takes a method's type encoding apart, as method_getTypeEncoding returns it, into the
// types of result, self, _cmd and arguments. What declarations do not decide is left out: offsets, type
// qualifiers (const, oneway, …), the class after @ and the signature after a block's @?.
func SplitEncoding(s string) (list []string) {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c >= '0' && c <= '9' || c == '-' || strings.IndexByte("rnNoORVA", c) >= 0:
			i++
		default:
			t, n := oneType(s[i:])
			list = append(list, t)
			i += n
		}
	}
	return list
}

// oneType reads a type at the start of s and says how long it is there.
func oneType(s string) (t string, n int) {
	switch s[0] {
	case '^':
		rest := strings.TrimLeft(s[1:], "rnNoORVA")
		if rest == "" {
			return "^", len(s)
		}
		t, n = oneType(rest)
		return "^" + t, len(s) - len(rest) + n
	case '{', '(', '[':
		return s[:closing(s)], closing(s)
	case '@':
		switch {
		case strings.HasPrefix(s, "@?<"):
			return "@?", 2 + closing(s[2:])
		case strings.HasPrefix(s, "@?"):
			return "@?", 2
		case strings.HasPrefix(s, `@"`):
			if end := strings.IndexByte(s[2:], '"'); end >= 0 {
				return "@", end + 3
			}
		}
	}
	return s[:1], 1
}

// closing is the length of a bracketed type.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{', '(', '[', '<':
			depth++
		case '}', ')', ']', '>':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// SameEncoding tells whether a runtime's encoding is that of a declaration. Signed and unsigned words
// are one, because enumerations are declared without saying which; BOOL is B, on x86-64 c.
func SameEncoding(declared, runtime string) bool {
	a, b := SplitEncoding(declared), SplitEncoding(runtime)
	if len(a) != len(b) {
		return false
	}
	plain := strings.NewReplacer("q", "Q", "c", "B")
	for i := range a {
		if plain.Replace(a[i]) != plain.Replace(b[i]) {
			return false
		}
	}
	return true
}
