// Package tokenizer turns text into the tokens of a model and back. A
// Tokenizer is made from the metadata of a GGUF file, which carries the
// vocabulary and names the algorithm:
//
//	tokenizer.ggml.model   algorithm                          here
//	llama                  SentencePiece BPE, merges by score  spm.go
//	gpt2, gemma4, …        BPE, merges by rank                 bpe.go, pretok.go
//	bert                   WordPiece                           wordpiece.go
//	t5                     SentencePiece Unigram               unigram.go
//	rwkv                   longest match                       rwkv.go
//	plamo2                 PLaMo-2's shortest path             plamo2.go
//
// The ids are those of llama.cpp (v0.5.0), bit for bit; where that program
// reads a vocabulary differently from the vocabulary's makers, so does this
// one, for its ids are what people compare with.
//
// Encoding takes time linear in the text, but for the words of merging
// algorithms that are longer than 32 characters, which cost n log n.
package tokenizer

import (
	"hash/maphash"
	"sync"

	"github.com/gollm/gollm/gguf"
)

// Tokenizer encodes and decodes. Any number of goroutines may use one at once.
type Tokenizer struct {
	vocab
	special Special
	eog     map[int32]bool

	kind   kind
	model  model
	addBOS bool
	addEOS bool

	prefixSpace bool // decoding drops the space that encoding put before the text
	cleanSpaces bool

	specials *trie     // tokens to find in raw text; of equal length the lower id wins
	first    [4]uint64 // bytes they begin with
	pieces   []byte    // the text of all tokens
	ends     []uint32

	seed maphash.Seed
	pool sync.Pool // *scratch
}

// Special holds the ids of tokens with a meaning, -1 where the vocabulary has
// none.
type Special struct {
	BOS, EOS, EOT, EOM              int32 // begin and end of text, end of turn, end of message
	Unknown, Separator, Padding     int32
	Mask, Newline                   int32
	FIMPrefix, FIMSuffix, FIMMiddle int32 // fill in the middle
	FIMPad, FIMRepo, FIMSep         int32
}

// Options say how to encode.
type Options struct {
	// AddSpecial puts BOS, EOS or what else the model expects around the text.
	AddSpecial bool
	// ParseSpecial makes control tokens of their names in the text, such as
	// "<|im_start|>". Never set it for text that a stranger wrote.
	// User-defined tokens are recognised always.
	ParseSpecial bool
}

// model is one of the algorithms.
type model interface {
	// encode appends the tokens of text, which is not empty and has no special
	// tokens. first says that nothing or a special token comes before it.
	encode(s *scratch, dst []int32, text string, first bool) []int32
}

// scratch is the memory one call of Encode works in.
type scratch struct {
	merger merger
	cache  wordCache
	ends   [2][]int
	text   []byte
	best   []bestPath
	parts  partition
}

// New reads the tokenizer of a model. It fails for a vocabulary that is missing
// (ErrNone where the file says that it has none), inconsistent, or of an
// unknown kind; the error names the key.
func New(f *gguf.File) (*Tokenizer, error) { return load(f) }

// Encode returns the tokens of text. Text that is no UTF-8 is encoded as if
// U+FFFD stood for what is wrong in it, or byte by byte where the vocabulary
// has bytes. Text of more than 512 MiB is encoded in parts of that length.
func (t *Tokenizer) Encode(text string, opt Options) []int32 {
	return t.AppendEncode(make([]int32, 0, len(text)/4+2), text, opt)
}

// AppendEncode is Encode that appends to dst.
func (t *Tokenizer) AppendEncode(dst []int32, text string, opt Options) []int32 {
	s, _ := t.pool.Get().(*scratch)
	if s == nil {
		s = &scratch{}
	}
	defer t.pool.Put(s)

	before, after := t.around()
	if opt.AddSpecial && before >= 0 {
		dst = append(dst, before)
	}
	first := true
	pos := 0
	for _, p := range t.split(&s.parts, text, opt.ParseSpecial) {
		if pos < p.start {
			dst = t.encode(s, dst, text[pos:p.start], first)
		}
		dst = append(dst, p.id)
		first = true
		pos = p.end
	}
	if pos < len(text) {
		dst = t.encode(s, dst, text[pos:], first)
	}
	if opt.AddSpecial && after >= 0 {
		dst = append(dst, after)
	}
	return dst
}

// maxText bounds what a model sees at once, for offsets have 32 bits.
const maxText = 1 << 29

func (t *Tokenizer) encode(s *scratch, dst []int32, text string, first bool) []int32 {
	for ; len(text) > maxText; first = false {
		n := maxText
		for n > maxText-4 && text[n]&0xC0 == 0x80 {
			n--
		}
		dst = t.model.encode(s, dst, text[:n], first)
		text = text[n:]
	}
	return t.model.encode(s, dst, text, first)
}

// around returns the tokens that AddSpecial puts before and after a text, or
// -1.
func (t *Tokenizer) around() (before, after int32) {
	before, after = -1, -1
	switch t.kind {
	case kindRWKV, kindPLaMo2, kindTest:
	case kindWPM:
		before, after = t.special.BOS, t.special.Separator
	default:
		if t.addBOS {
			before = t.special.BOS
		}
		if t.addEOS {
			after = t.special.EOS
		}
	}
	return before, after
}

// Size returns the number of tokens: ids are 0 to Size()-1.
func (t *Tokenizer) Size() int { return t.texts.len() }

// Special returns the ids of the tokens with a meaning.
func (t *Tokenizer) Special() Special { return t.special }

// BOS returns the token that begins a text, or -1.
func (t *Tokenizer) BOS() int32 { return t.special.BOS }

// EOS returns the token that ends a text, or -1. A model may end its text with
// another one: see IsEOG.
func (t *Tokenizer) EOS() int32 { return t.special.EOS }

// AddBOS reports whether AddSpecial puts a token before the text.
func (t *Tokenizer) AddBOS() bool { before, _ := t.around(); return before >= 0 }

// AddEOS reports whether AddSpecial puts a token after the text.
func (t *Tokenizer) AddEOS() bool { _, after := t.around(); return after >= 0 }

// IsEOG reports whether a model that generates id has ended its text: EOS, end
// of turn and the like.
func (t *Tokenizer) IsEOG(id int32) bool { return t.eog[id] }

// IsControl reports whether id is a control token, which stands for no text.
func (t *Tokenizer) IsControl(id int32) bool { return t.has(id, attrControl) }

// ID returns the token of exactly this name: the text as the vocabulary
// spells it, such as "▁the" or "<|im_end|>".
func (t *Tokenizer) ID(text string) (int32, bool) {
	return t.texts.find(text)
}

// Text returns the name of a token, as the vocabulary spells it, or "".
func (t *Tokenizer) Text(id int32) string {
	if uint32(id) >= uint32(t.texts.len()) {
		return ""
	}
	return t.text(id)
}
