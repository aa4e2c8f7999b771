package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unsafe"

	"github.com/gollm/gollm/gguf"
)

// kind is the algorithm, by llama.cpp's names.
type kind uint8

const (
	kindSPM kind = iota
	kindBPE
	kindWPM
	kindUGM
	kindRWKV
	kindPLaMo2
	kindTest
)

// attr is what a token is; a token can be several things.
type attr uint8

const (
	attrNormal attr = 1 << iota
	attrUnknown
	attrControl
	attrUser
	attrByte
	attrUnused
	attrLStrip // takes the spaces before it
	attrRStrip // takes the spaces after it
)

// vocab is the list of tokens.
type vocab struct {
	texts  stringTable
	marked int32 // hybriddna: the first of the tokens whose texts end with dnaMark
	attrs  []attr
	scores []float32 // nil: all 0
	maxLen int       // longest text in bytes
}

func (v *vocab) has(id int32, a attr) bool {
	return uint32(id) < uint32(len(v.attrs)) && v.attrs[id]&a != 0
}

func (v *vocab) id(text string) int32 {
	if id, ok := v.texts.find(text); ok {
		return id
	}
	return -1
}

// idOf is id for bytes.
func (v *vocab) idOf(text []byte) int32 {
	return v.id(unsafe.String(unsafe.SliceData(text), len(text))) // not kept
}

// text is the token's name.
func (v *vocab) text(id int32) string {
	s := v.texts.at(id)
	if v.marked > 0 && id >= v.marked {
		s = strings.TrimSuffix(s, dnaMark)
	}
	return s
}

const (
	keyModel  = "tokenizer.ggml.model"
	keyPre    = "tokenizer.ggml.pre"
	keyTokens = "tokenizer.ggml.tokens"
	keyScores = "tokenizer.ggml.scores"
	keyTypes  = "tokenizer.ggml.token_type"
	keyMerges = "tokenizer.ggml.merges"
)

// ErrNone is returned by New for a model that says it has no vocabulary.
var ErrNone = errors.New("the model has no vocabulary")

// fail makes an error about a key.
func fail(f *gguf.File, key, format string, args ...any) error {
	return fmt.Errorf("tokenizer: %s: key %q: %w", f.Name(), key, fmt.Errorf(format, args...))
}

func readVocab(f *gguf.File) (vocab, error) {
	var v vocab
	texts, err := gguf.Get[[]string](f, keyTokens)
	if err != nil {
		return v, fmt.Errorf("tokenizer: %w", err)
	}
	if len(texts) == 0 || len(texts) > math.MaxInt32/2 {
		return v, fail(f, keyTokens, "has %d tokens", len(texts))
	}
	size := 0
	for _, s := range texts {
		if s == "" {
			size += len("[EMPTY_2147483647]")
		}
		if size += len(s); size > math.MaxInt32 {
			return v, fail(f, keyTokens, "has more than 2 GiB of text")
		}
	}
	v.texts = newStringTable(len(texts), size)
	v.attrs = make([]attr, len(texts))
	for i, s := range texts {
		if s == "" {
			s = fmt.Sprintf("[EMPTY_%d]", i)
		}
		if other, ok := v.texts.add(s); !ok {
			return v, fail(f, keyTokens, "tokens %d and %d are both %q", other, i, s)
		}
		v.maxLen = max(v.maxLen, len(s))
		v.attrs[i] = attrNormal
	}

	v.scores, err = gguf.GetOr[[]float32](f, keyScores, nil)
	if err != nil {
		return v, fmt.Errorf("tokenizer: %w", err)
	}
	if v.scores != nil {
		if len(v.scores) < len(texts) {
			return v, fail(f, keyScores, "has %d scores for %d tokens", len(v.scores), len(texts))
		}
		v.scores = v.scores[:len(texts)]
		for i, s := range v.scores {
			if s != s {
				return v, fail(f, keyScores, "score %d is not a number", i)
			}
		}
	}

	types, err := gguf.GetOr[[]int32](f, keyTypes, nil)
	if err != nil {
		return v, fmt.Errorf("tokenizer: %w", err)
	}
	if types != nil {
		if len(types) < len(texts) {
			return v, fail(f, keyTypes, "has %d types for %d tokens", len(types), len(texts))
		}
		for i, t := range types[:len(texts)] {
			v.attrs[i] = typeAttr(t)
		}
	}
	return v, nil
}

// typeAttr translates tokenizer.ggml.token_type.
func typeAttr(t int32) attr {
	switch t {
	case 1:
		return attrNormal
	case 2:
		return attrUnknown
	case 3:
		return attrControl
	case 4:
		return attrUser
	case 5:
		return attrUnused
	case 6:
		return attrByte
	}
	return 0
}

// score is the score of a token of this vocabulary.
func (v *vocab) score(id int32) float32 {
	if v.scores == nil {
		return 0
	}
	return v.scores[id]
}

const hexDigits = "0123456789ABCDEF"

// byteName returns the name that vocabularies with byte fallback give a byte.
func byteName(b byte) string {
	return "<0x" + string([]byte{hexDigits[b>>4], hexDigits[b&15]}) + ">"
}

// namedByte is the inverse of byteName; it takes small letters too.
func namedByte(s string) (byte, bool) {
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	hi, ok1 := hexValue(s[3])
	lo, ok2 := hexValue(s[4])
	return hi<<4 | lo, ok1 && ok2
}

func hexValue(b byte) (byte, bool) {
	switch {
	case isDigit(b):
		return b - '0', true
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return b | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// byteIDs returns the tokens of single bytes by byteName, -1 where there is
// none.
func (v *vocab) byteIDs() (ids [256]int32) {
	for b := range ids {
		ids[b] = v.id(byteName(byte(b)))
	}
	return ids
}
