package tokenizer

// rwkv takes the longest token at every place.
type rwkv struct {
	t    *Tokenizer
	trie *trie
}

func newRWKV(t *Tokenizer) *rwkv {
	list := make([]trieEntry, t.texts.len())
	for id, s := range t.texts.each() {
		list[id] = trieEntry{string(unescapeRWKV(s)), id}
	}
	return &rwkv{t, newTrie(list)}
}

func (m *rwkv) encode(_ *scratch, dst []int32, text string, _ bool) []int32 {
	for text != "" {
		id, n := m.trie.longest(text)
		if n == 0 {
			id, n = m.t.special.Unknown, 1
		}
		if id >= 0 {
			dst = append(dst, id)
		}
		text = text[n:]
	}
	return dst
}

// unescapeRWKV returns the bytes of a token's name, in which \t \n \r \xHH and
// a backslash before any other character are escapes.
func unescapeRWKV(s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b = append(b, '\t')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 'x':
			if i+2 < len(s) {
				hi, _ := hexValue(s[i+1])
				lo, _ := hexValue(s[i+2])
				b = append(b, hi<<4|lo)
			}
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return b
}

// testModel makes ids of text for models that have no real vocabulary, as
// llama.cpp's own tests do: five bytes a token.
type testModel struct{ size int }

func (m testModel) encode(_ *scratch, dst []int32, text string, _ bool) []int32 {
	for text != "" {
		n := min(5, len(text))
		hash := uint64(0)
		for _, b := range []byte(text[:n]) {
			hash = hash*31 + uint64(b)
		}
		dst = append(dst, int32(hash%uint64(m.size)))
		text = text[n:]
	}
	return dst
}
