package tokenizer

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// fuzzVocabs are the vocabularies that FuzzEncode chooses from.
var fuzzVocabs = sync.OnceValue(func() []*Tokenizer {
	var list []*small
	vocabs := smallVocabs()
	for _, name := range []string{"spm", "spm without space prefix", "spm that strips", "wordpiece", "wordpiece, cased", "unigram, merge spaces false",
		"unigram, merge spaces true", "rwkv", "plamo2", "hybriddna", "whitespace, lower case true", "test"} {
		list = append(list, vocabs[name])
	}
	for _, pre := range []string{"", "llama-bpe", "minicpm5", "jais-2", "qwen2", "qwen35", "seed-coder", "exaone-moe", "gpt-4o", "tekken",
		"granite-embed-multi-97m", "tiny_aya", "kimi-k2", "youtu", "deepseek-v3", "spark2_5", "afmoe", "deepseek-llm", "deepseek-coder", "gpt-2",
		"smollm", "falcon", "chameleon", "bloom", "viking", "superbpe", "gemma4", "sarvam-moe", "laguna", "bailingmoe"} {
		list = append(list, preVocab(pre))
	}
	var toks []*Tokenizer
	for _, v := range list {
		tok, err := newFrom(v.pairs())
		if err != nil {
			panic(err)
		}
		toks = append(toks, tok)
	}
	return toks
})

// FuzzEncode encodes any text with any vocabulary. Ids must be in range, and
// the same whether the text comes alone or after another with the caches warm;
// byte-level vocabularies must give the text back, at once and as a stream.
func FuzzEncode(f *testing.F) {
	f.Add(uint8(0), "Hello, wörld", false)
	for i, s := range []string{"'s 'RE 've'll", "12345 67٣²", "a\u0301\u3000\n\n \r\n", "中文。ひらがな한국어", "<|im_end|><s>", "\xff\xe2\x82", "👩‍👩‍👧 👍🏽", "HTTPServer aÀBc",
		"<dna>ACGTacg</dna>", "IMGIMGABZ<sentinel:1>", "\t\t    ", "ﬁxÅ①"} {
		f.Add(uint8(i*3), s, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, which uint8, text string, parse bool) {
		toks := fuzzVocabs()
		tok := toks[int(which)%len(toks)]
		ids := tok.Encode(text, Options{AddSpecial: parse, ParseSpecial: parse})
		for _, id := range ids {
			if id < 0 || int(id) >= tok.Size() {
				t.Fatalf("id %d of %d", id, tok.Size())
			}
		}
		if again := tok.AppendEncode(slices.Clone(ids[:len(ids)/2]), text, Options{AddSpecial: parse, ParseSpecial: parse}); !slices.Equal(again[len(ids)/2:], ids) {
			t.Fatalf("first %v, then %v", ids, again[len(ids)/2:])
		}
		whole := tok.Decode(ids, DecodeOptions{UnparseSpecial: true})
		s := tok.NewStream(DecodeOptions{UnparseSpecial: true})
		var streamed strings.Builder
		for _, id := range ids {
			p := s.Push(id)
			if !utf8.Valid(p) {
				t.Fatalf("piece %q", p)
			}
			streamed.Write(p)
		}
		streamed.Write(s.Flush())
		// Decode leaves out the space before the text.
		if want := string([]rune(whole)); streamed.String() != want && !tok.prefixSpace {
			t.Fatalf("streamed %q, decoded %q", streamed.String(), want)
		}
		lossless := tok.kind == kindBPE && !tok.model.(*bpe).pre.raw && tok.model.(*bpe).dna == nil
		if lossless && !parse && utf8.ValidString(text) && whole != text {
			t.Fatalf("%q came back as %q", text, whole)
		}
	})
}

// FuzzNew makes tokenizers of any metadata and encodes a text.
func FuzzNew(f *testing.F) {
	for _, v := range smallVocabs() {
		n := min(len(v.tokens), 60)
		if v.model == "plamo2" {
			n = len(v.tokens) // it wants all bytes
		}
		var types []byte
		for _, t := range v.types[:n] {
			types = append(types, byte(t))
		}
		m, _ := v.more["tokenizer.ggml.precompiled_charsmap"].([]byte)
		f.Add(v.model, v.pre, strings.Join(v.tokens[:n], "\x00"), types, strings.Join(v.merges[:min(len(v.merges), 60)], "\x00"), m, "the theatre", uint32(1))
	}
	f.Add("gpt2", "llama-bpe", "a\x00b\x00ab", []byte{1, 1, 1}, "a b", []byte(nil), "abab", uint32(0))
	f.Add("gemma4", "", "a\x00b\x00▁", []byte{1, 1, 1}, "a b\x00b ▁", []byte(nil), "ab b", uint32(2))
	f.Fuzz(func(t *testing.T, model, pre, tokens string, types []byte, merges string, charsmap []byte, text string, id uint32) {
		pairs := map[string]any{keyModel: model, keyPre: pre, keyTokens: strings.Split(tokens, "\x00")}
		if merges != "" {
			pairs[keyMerges] = strings.Split(merges, "\x00")
		}
		if types != nil {
			var list []int32
			var scores []float32
			for i, b := range types {
				list = append(list, int32(b))
				scores = append(scores, float32(math.Sin(float64(i)))*float32(b))
			}
			pairs[keyTypes] = list
			pairs[keyScores] = scores
		}
		if charsmap != nil {
			pairs["tokenizer.ggml.precompiled_charsmap"] = charsmap
		}
		for i, k := range []string{"bos", "eos", "unknown", "seperator"} {
			if id>>i&1 != 0 {
				pairs["tokenizer.ggml."+k+"_token_id"] = id
			}
		}
		tok, err := newFrom(pairs)
		if err != nil {
			return
		}
		for _, opt := range []Options{{}, {AddSpecial: true, ParseSpecial: true}} {
			ids := tok.Encode(text, opt)
			for _, id := range ids {
				if id < 0 || int(id) >= tok.Size() {
					t.Fatalf("id %d of %d", id, tok.Size())
				}
			}
			tok.Decode(ids, DecodeOptions{RemoveSpecial: true, CleanSpaces: true})
		}
		tok.EOG()
	})
}
