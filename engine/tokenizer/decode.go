package tokenizer

import (
	"bytes"
	"fmt"
	"strings"
)

// DecodeOptions say how to decode. The zero value gives back the text that was
// encoded, without control tokens.
type DecodeOptions struct {
	// RemoveSpecial drops the BOS and EOS that Options.AddSpecial adds.
	RemoveSpecial bool
	// UnparseSpecial writes control tokens by their names.
	UnparseSpecial bool
	// CleanSpaces takes away spaces before punctuation where the vocabulary
	// is one that decodes so. It changes text that had such spaces.
	CleanSpaces bool
}

// setPieces makes the text of every token. escaped says that a BPE vocabulary
// writes spaces as U+2581.
func (t *Tokenizer) setPieces(escaped bool) {
	t.pieces = make([]byte, 0, len(t.texts.all))
	t.ends = make([]uint32, t.texts.len())
	for id := range t.ends {
		t.pieces = t.appendPiece(t.pieces, int32(id), escaped)
		t.ends[id] = uint32(len(t.pieces))
	}
}

func (t *Tokenizer) appendPiece(b []byte, id int32, escaped bool) []byte {
	s, a := t.text(id), t.attrs[id]
	switch t.kind {
	case kindRWKV:
		return append(b, unescapeRWKV(s)...)
	case kindTest:
		return fmt.Appendf(b, "%x", id)
	case kindPLaMo2:
		if c, ok := namedByte(s); ok && a&attrByte != 0 {
			return append(b, c)
		}
		return append(b, s...)
	}
	switch {
	case a&(attrControl|attrUnknown|attrUser) != 0:
		return append(b, s...)
	case a&attrNormal != 0 && t.kind == kindBPE && !escaped:
		return appendUnspelt(b, s)
	case a&attrNormal != 0:
		return append(b, strings.ReplaceAll(s, spaceMark, " ")...)
	case a&attrByte != 0:
		if c, ok := namedByte(s); ok {
			return append(b, c)
		}
		return append(b, s...)
	}
	return b // unused
}

// Piece returns the bytes that a token stands for, which need not be whole
// characters; control tokens give their names. An id that is no token gives
// nil. The caller must not change the bytes.
func (t *Tokenizer) Piece(id int32) []byte {
	if uint32(id) >= uint32(len(t.ends)) {
		return nil
	}
	start := uint32(0)
	if id > 0 {
		start = t.ends[id-1]
	}
	end := t.ends[id]
	return t.pieces[start:end:end]
}

// hidden reports whether decoding leaves id out.
func (t *Tokenizer) hidden(id int32) bool { return t.has(id, attrControl|attrUnknown) }

// Decode returns the text of tokens. Ids that are no tokens give nothing.
func (t *Tokenizer) Decode(ids []int32, opt DecodeOptions) string {
	return string(t.AppendDecode(nil, ids, opt))
}

// AppendDecode is Decode that appends to dst.
func (t *Tokenizer) AppendDecode(dst []byte, ids []int32, opt DecodeOptions) []byte {
	start := len(dst)
	dropSpace := t.prefixSpace
	if opt.RemoveSpecial {
		if len(ids) > 0 && t.addBOS && ids[0] == t.special.BOS {
			ids = ids[1:]
		}
		if len(ids) > 0 && t.addEOS && ids[len(ids)-1] == t.special.EOS {
			ids = ids[:len(ids)-1]
		}
	}
	for _, id := range ids {
		if opt.UnparseSpecial || !t.hidden(id) {
			p := t.Piece(id)
			if dropSpace && len(p) > 0 {
				dropSpace = false
				p = bytes.TrimPrefix(p, []byte(" "))
			}
			dst = append(dst, p...)
		}
	}
	if opt.CleanSpaces && t.cleanSpaces {
		dst = append(dst[:start], cleanSpaces(dst[start:])...)
	}
	return dst
}

// cleanSpaces undoes the spaces that word-by-word vocabularies put before
// punctuation: " ?" " !" " ." " ," " 's" " 'm" " 're" " 've" lose theirs, and
// " ' " both. One pass for each of the three kinds, in this order.
func cleanSpaces(b []byte) []byte {
	pass := func(f func(b []byte, i int) (dropBefore, dropAfter bool)) {
		out := b[:min(len(b), 1)]
		in := bytes.Clone(b)
		for i := 1; i < len(in); i++ {
			before, after := f(in, i)
			if before && len(out) > 0 {
				out = out[:len(out)-1]
			}
			out = append(out, in[i])
			if after {
				i++
				in[i] = 0 // not a space for what follows
			}
		}
		b = out
	}
	pass(func(b []byte, i int) (bool, bool) {
		return b[i-1] == ' ' && strings.IndexByte("?!.,", b[i]) >= 0, false
	})
	pass(func(b []byte, i int) (bool, bool) {
		lone := b[i] == '\'' && i+1 < len(b) && b[i-1] == ' ' && b[i+1] == ' '
		return lone, lone
	})
	pass(func(b []byte, i int) (bool, bool) {
		if b[i-1] != ' ' || b[i] != '\'' {
			return false, false
		}
		rest := b[i+1:]
		return bytes.HasPrefix(rest, []byte("s")) || bytes.HasPrefix(rest, []byte("m")) ||
			bytes.HasPrefix(rest, []byte("re")) || bytes.HasPrefix(rest, []byte("ve")), false
	})
	return b
}
