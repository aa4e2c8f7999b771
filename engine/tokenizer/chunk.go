package tokenizer

// seams tells where a text may be cut without changing its tokens: between two
// characters that stand side by side in no token no merge can ever happen. SPM
// merges over the whole text, which has no words; cut at the seams it becomes
// words all the same, short and often repeated.
type seams struct {
	ascii [128][2]uint64 // bit b of ascii[a]: ab stands in a token
	other []uint64       // a bit for each hash of a pair; a wrong yes is harmless
	shift uint
}

// newSeams collects the pairs of characters in the tokens, of which there are
// in all size bytes.
func newSeams(tokens func(yield func(string) bool), size int) *seams {
	s := &seams{shift: 64 - 12}
	for n := 4096; n < 4*size && n < 1<<24; n *= 2 {
		s.shift--
	}
	s.other = make([]uint64, 1<<(64-s.shift)/64)
	for text := range tokens {
		a, n := charBits(text)
		for i := n; i < len(text); i += n {
			var b uint32
			b, n = charBits(text[i:])
			if a|b < 128 {
				s.ascii[a][b/64] |= 1 << (b % 64)
			} else {
				h := s.hash(a, b)
				s.other[h/64] |= 1 << (h % 64)
			}
			a = b
		}
	}
	return s
}

// charBits returns the first character of s, which is not empty, as the number
// its bytes make, and its length.
func charBits(s string) (uint32, int) {
	if s[0] < 0x80 {
		return uint32(s[0]), 1
	}
	n := min(charLen(s[0]), len(s))
	c := uint32(0)
	for i := range n {
		c = c<<8 | uint32(s[i])
	}
	return c, n
}

func (s *seams) hash(a, b uint32) uint64 {
	return (uint64(a)<<32 | uint64(b)) * 0x9E3779B97F4A7C15 >> s.shift
}

// next returns the end of the piece of text that begins at i.
func (s *seams) next(text string, i int) int {
	a, n := charBits(text[i:])
	for i += n; i < len(text); i += n {
		var b uint32
		b, n = charBits(text[i:])
		if a|b < 128 {
			if s.ascii[a][b/64]>>(b%64)&1 == 0 {
				return i
			}
		} else if h := s.hash(a, b); s.other[h/64]>>(h%64)&1 == 0 {
			return i
		}
		a = b
	}
	return len(text)
}
