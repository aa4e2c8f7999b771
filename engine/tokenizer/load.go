package tokenizer

import (
	"fmt"
	"hash/maphash"

	"github.com/gollm/gollm/gguf"
)

// load reads the metadata. The order matters, as in llama.cpp: the algorithm is
// built on the token types as the file has them, then tokens with well-known
// names get the type they should have had, then the special tokens are listed.
func load(f *gguf.File) (*Tokenizer, error) {
	name, err := gguf.Get[string](f, keyModel)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if name == "none" || name == "no_vocab" {
		return nil, fail(f, keyModel, "is %q: %w", name, ErrNone)
	}
	preName, err := gguf.GetOr(f, keyPre, "")
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}

	t := &Tokenizer{seed: maphash.MakeSeed()}
	none := Special{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}
	sp := none
	pre := &preTokenizer{}
	switch name {
	case "llama":
		t.kind = kindSPM
		sp.BOS, sp.EOS, sp.Unknown = 1, 2, 0
		t.addBOS, t.prefixSpace = true, true
	case "gpt2", "hybriddna", "whitespace", "gemma4":
		t.kind = kindBPE
		if name == "gemma4" {
			preName = "gemma4"
		} else {
			sp.BOS, sp.EOS = 11, 11
		}
		if pre = preTokenizers[preName]; pre == nil {
			return nil, fail(f, keyPre, "unknown pre-tokenizer %q", preName)
		}
		if pre.noBOS {
			sp.BOS = -1
		}
		t.addBOS, t.cleanSpaces = pre.addBOS, !pre.keepSpaces
	case "bert":
		t.kind = kindWPM
		sp.BOS, sp.Unknown, sp.Separator, sp.Padding, sp.Mask = 101, 100, 102, 0, 103
		t.addBOS, t.cleanSpaces = true, true
	case "t5":
		t.kind = kindUGM
		sp.EOS, sp.Unknown, sp.Padding = 1, 2, 0
		t.addEOS = true
	case "rwkv":
		t.kind = kindRWKV
	case "plamo2":
		t.kind = kindPLaMo2
		sp.BOS, sp.EOS, sp.Unknown, sp.Padding = 1, 2, 0, 3
	case "test":
		t.kind = kindTest
	default:
		return nil, fail(f, keyModel, "unknown tokenizer %q", name)
	}

	if t.vocab, err = readVocab(f); err != nil {
		return nil, err
	}
	norm, err := readNormalizer(f, preName != "whitespace")
	if err != nil {
		return nil, err
	}
	if err := readBools(f, boolKey{"tokenizer.ggml.add_space_prefix", &t.prefixSpace}); err != nil {
		return nil, err
	}
	switch t.kind {
	case kindSPM:
		t.model = newSPM(t)
	case kindBPE:
		t.model, err = newBPE(f, t, name, pre, norm)
	case kindWPM:
		t.model = newWordPiece(t, norm)
	case kindUGM:
		t.model, err = newUnigram(f, t)
	case kindRWKV:
		t.model = newRWKV(t)
	case kindPLaMo2:
		t.model, err = newPLaMo2(f, t)
	case kindTest:
		t.model = testModel{t.texts.len()}
	}
	if err != nil {
		return nil, err
	}

	if err := t.readSpecial(f, sp); err != nil {
		return nil, err
	}
	if err := readBools(f, boolKey{"tokenizer.ggml.add_bos_token", &t.addBOS}, boolKey{"tokenizer.ggml.add_eos_token", &t.addEOS}); err != nil {
		return nil, err
	}
	if pre.newlineWords {
		t.addBOS = true // Gemma 4's files say no where the model needs it
	}
	t.nameSpecial()
	t.listSpecials()
	t.setPieces(pre.escape)
	if err := t.setStrip(f, preName); err != nil {
		return nil, err
	}
	return t, nil
}

// normalizer is what WordPiece does to a text before it looks.
type normalizer struct {
	lowercase, stripAccents bool
}

func readNormalizer(f *gguf.File, lowercase bool) (normalizer, error) {
	n := normalizer{lowercase: lowercase}
	if err := readBools(f, boolKey{"tokenizer.ggml.normalizer.lowercase", &n.lowercase}); err != nil {
		return n, err
	}
	n.stripAccents = n.lowercase
	return n, readBools(f, boolKey{"tokenizer.ggml.normalizer.strip_accents", &n.stripAccents})
}

// boolKey is a boolean key and where its value goes if the file has it.
type boolKey struct {
	key string
	to  *bool
}

func readBools(f *gguf.File, list ...boolKey) error {
	for _, l := range list {
		v, err := gguf.GetOr(f, l.key, *l.to)
		if err != nil {
			return fmt.Errorf("tokenizer: %w", err)
		}
		*l.to = v
	}
	return nil
}
