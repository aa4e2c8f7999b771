package tokenizer

import "strings"

// dna encodes what is between <dna> and </dna> in words of six bases.
type dna struct {
	begin, end, unknown int32
}

// dnaMark ends the names of the tokens of six bases, which could be common
// tokens otherwise.
const dnaMark = "\uE000"

// newDNA returns nil where the vocabulary has no such tokens.
func newDNA(t *Tokenizer) *dna {
	d := &dna{t.id("<dna>"), t.id("</dna>"), t.id("<oov>")}
	if d.unknown >= 0 {
		t.marked = d.unknown + 1
	}
	if d.begin < 0 || d.end < 0 || d.unknown < 0 {
		return nil
	}
	return d
}

func (d *dna) encode(m *bpe, s *scratch, dst []int32, text string) []int32 {
	for text != "" {
		before, rest, open := strings.Cut(text, "<dna>")
		if before != "" {
			dst = m.text(s, dst, before)
		}
		if !open {
			break
		}
		seq, after, closed := strings.Cut(rest, "</dna>")
		dst = append(dst, d.begin)
		for i := 0; i < len(seq); i += 6 {
			word := []byte("AAAAAA" + dnaMark)
			copy(word, seq[i:min(i+6, len(seq))])
			for j, b := range word[:6] {
				if b >= 'a' && b <= 'z' {
					word[j] = b - 'a' + 'A'
				}
			}
			id := m.t.idOf(word)
			if id < 0 {
				id = d.unknown
			}
			dst = append(dst, id)
		}
		if !closed {
			break
		}
		dst = append(dst, d.end)
		text = after
	}
	return dst
}
