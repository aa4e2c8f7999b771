package tokenizer

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestNewRefuses(t *testing.T) {
	spm := smallVocabs()["spm"].pairs()
	bpe := preVocab("gpt-2").pairs()
	ugm := smallVocabs()["unigram, merge spaces true"].pairs()
	plamo := smallVocabs()["plamo2"].pairs()
	for name, test := range map[string]struct {
		base map[string]any
		key  string
		val  any // nil: without the key
		want string
	}{
		"no model":             {spm, keyModel, nil, `key "tokenizer.ggml.model": no such key`},
		"unknown model":        {spm, keyModel, "bytes", `key "tokenizer.ggml.model": unknown tokenizer "bytes"`},
		"no vocabulary":        {spm, keyModel, "none", `the model has no vocabulary`},
		"unknown pre":          {bpe, keyPre, "gpt-17", `key "tokenizer.ggml.pre": unknown pre-tokenizer "gpt-17"`},
		"no tokens":            {spm, keyTokens, nil, `key "tokenizer.ggml.tokens": no such key`},
		"empty vocabulary":     {spm, keyTokens, []string{}, `key "tokenizer.ggml.tokens": has 0 tokens`},
		"equal tokens":         {spm, keyTokens, []string{"a", "b", "a"}, `key "tokenizer.ggml.tokens": tokens 0 and 2 are both "a"`},
		"tokens of ids":        {spm, keyTokens, []int32{1}, `key "tokenizer.ggml.tokens"`},
		"too few scores":       {spm, keyScores, []float32{1}, `key "tokenizer.ggml.scores": has 1 scores`},
		"score not a number":   {spm, keyScores, slices.Repeat([]float32{float32(math.NaN())}, 400), `key "tokenizer.ggml.scores": score 0 is not a number`},
		"too few types":        {spm, keyTypes, []int32{1}, `key "tokenizer.ggml.token_type": has 1 types`},
		"types of text":        {spm, keyTypes, []string{"x"}, `key "tokenizer.ggml.token_type"`},
		"no merges":            {bpe, keyMerges, nil, `key "tokenizer.ggml.merges": a BPE vocabulary needs it`},
		"merge of one":         {bpe, keyMerges, []string{"a b", "ab"}, `key "tokenizer.ggml.merges": merge 1, "ab", is no pair`},
		"merge without first":  {bpe, keyMerges, []string{" b"}, `merge 0, " b", is no pair`},
		"add_bos is a number":  {spm, "tokenizer.ggml.add_bos_token", uint32(1), `key "tokenizer.ggml.add_bos_token"`},
		"bos is text":          {spm, "tokenizer.ggml.bos_token_id", "1", `key "tokenizer.ggml.bos_token_id"`},
		"charsmap without end": {ugm, "tokenizer.ggml.precompiled_charsmap", []uint8{4, 0, 0, 0, 1, 2, 3, 4, 'x'}, `the last replacement has no end`},
		"charsmap too long":    {ugm, "tokenizer.ggml.precompiled_charsmap", []uint8{255, 255, 255, 255, 0}, `does not fit`},
		"charsmap too short":   {ugm, "tokenizer.ggml.precompiled_charsmap", []uint8{1}, `shorter than its head`},
		"charsmap of text":     {ugm, "tokenizer.ggml.precompiled_charsmap", "x", `want bytes`},
		"bytes missing":        {plamo, keyTypes, slices.Repeat([]int32{1}, 400), `has no token <0x00>`},
	} {
		t.Run(name, func(t *testing.T) {
			pairs := maps.Clone(test.base)
			if pairs[test.key] = test.val; test.val == nil {
				delete(pairs, test.key)
			}
			_, err := newFrom(pairs)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "tokenizer: ") {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if none := test.val == "none"; errors.Is(err, ErrNone) != none {
				t.Errorf("errors.Is(err, ErrNone) is %v", !none)
			}
		})
	}
}

func TestNewTakes(t *testing.T) {
	pairs := smallVocabs()["spm"].pairs()
	// Ids that are no tokens are passed over, as files have them.
	pairs["tokenizer.ggml.eos_token_id"] = uint32(1 << 31)
	pairs["tokenizer.ggml.padding_token_id"] = uint32(math.MaxUint32)
	pairs["tokenizer.ggml.mask_token_id"] = uint32(4)
	tok, err := newFrom(pairs)
	if err != nil {
		t.Fatal(err)
	}
	if sp := tok.Special(); sp.EOS != 2 || sp.Padding != -1 || sp.Mask != 4 {
		t.Errorf("special tokens %+v", sp)
	}
	if id, ok := tok.ID("▁the"); !ok || tok.Text(id) != "▁the" || string(tok.Piece(id)) != " the" {
		t.Errorf("▁the is %d, %v", id, ok)
	}
	for _, id := range []int32{-1, int32(tok.Size()), math.MaxInt32, math.MinInt32} {
		if tok.Piece(id) != nil || tok.Text(id) != "" || tok.IsEOG(id) || tok.IsControl(id) || tok.Decode([]int32{id}, DecodeOptions{}) != "" {
			t.Errorf("id %d is something", id)
		}
	}
}

// addAll returns a BPE vocabulary with more tokens.
func withTokens(control, user []string) *small {
	v := preVocab("gpt-2")
	for _, s := range control {
		v.add(s, 3, 0)
	}
	for _, s := range user {
		v.add(s, 4, 0)
	}
	return v
}

func TestEndOfGeneration(t *testing.T) {
	for name, test := range map[string]struct {
		tokens []string
		want   []string
	}{
		"chatml":             {[]string{"<|im_start|>", "<|im_end|>", "<|endoftext|>"}, []string{"<|im_end|>", "<|endoftext|>"}},
		"llama 3":            {[]string{"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|begin_of_text|>"}, []string{"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"}},
		"gpt-oss":            {[]string{"<|end|>", "<|return|>", "<|call|>", "<|channel|>"}, []string{"<|return|>", "<|call|>"}},
		"solar-open":         {[]string{"<|end|>", "<|flush|>", "<|calls|>"}, []string{"<|flush|>", "<|calls|>"}},
		"phi-3":              {[]string{"<|end|>", "<|user|>"}, []string{"<|end|>"}},
		"gemma 4":            {[]string{"<eos>", "<turn|>", "<|tool_response>", "</s>"}, []string{"<eos>", "<turn|>", "<|tool_response>"}},
		"deepseek":           {[]string{"<｜end▁of▁sentence｜>", "<｜fim▁hole｜>"}, []string{"<｜end▁of▁sentence｜>"}},
		"fill in the middle": {[]string{"<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|fim_prefix|>"}, []string{"<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"}},
		"nothing":            {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := withTokens(nil, test.tokens)
			v.add("end", 3, 0)
			v.more = map[string]any{"tokenizer.ggml.eos_token_id": uint32(len(v.tokens) - 1)}
			tok := v.tokenizer(t)
			var got []string
			for _, id := range tok.EOG() {
				got = append(got, tok.Text(id))
				if !tok.IsEOG(id) {
					t.Errorf("IsEOG(%d) is false", id)
				}
			}
			want := append(slices.Clone(test.want), "end")
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestSpecialTokensInText(t *testing.T) {
	v := withTokens([]string{"<|im_end|>", "<a>", "b<a>cd"}, []string{"<tool>", "\n\n\n", "\n\n"})
	tok := v.tokenizer(t)
	names := func(ids []int32) string {
		var out []string
		for _, id := range ids {
			out = append(out, tok.Text(id))
		}
		return strings.Join(out, "|")
	}
	for _, test := range []struct {
		text  string
		parse bool
		want  string
	}{
		{"x<|im_end|>y", true, "x|<|im_end|>|y"},
		{"x<|im_end|>y", false, "x|<|im_end|>|y"}, // see below
		{"<tool>", false, "<tool>"},
		{"b<a>c", true, "b|<a>|c"},
		{"b<a>cd", true, "b<a>cd"},
		// The longest wins though a shorter one begins before it.
		{"<a>b<a>cd", true, "<a>|b<a>cd"},
		{"\n\n\n\n\n\n\n", false, "\n\n\n|\n\n\n|Ċ"},
		{"\n\n\n\n\n", false, "\n\n\n|\n\n"},
		{"", true, ""},
	} {
		got := names(tok.Encode(test.text, Options{ParseSpecial: test.parse}))
		if !test.parse && strings.Contains(test.text, "im_end") {
			if strings.Contains("|"+got+"|", "|<|im_end|>|") && len(tok.Encode(test.text, Options{})) == 3 {
				t.Errorf("%q without ParseSpecial gives the control token", test.text)
			}
			continue
		}
		if got != test.want {
			t.Errorf("%q, parse %v: got %q, want %q", test.text, test.parse, got, test.want)
		}
	}
}

func TestAddSpecial(t *testing.T) {
	vocabs := smallVocabs()
	for name, test := range map[string]struct{ first, last string }{
		"spm":                        {"<s>", ""},
		"spm without space prefix":   {"", "</s>"},
		"wordpiece":                  {"[CLS]", "[SEP]"},
		"unigram, merge spaces true": {"", "</s>"},
		"rwkv":                       {"", ""},
		"plamo2":                     {"", ""},
		"hybriddna":                  {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tok := vocabs[name].tokenizer(t)
			plain := tok.Encode("the", Options{})
			var want []int32
			if id, ok := tok.ID(test.first); ok {
				want = append(want, id)
			}
			want = append(want, plain...)
			if id, ok := tok.ID(test.last); ok {
				want = append(want, id)
			}
			if got := tok.Encode("the", Options{AddSpecial: true}); !slices.Equal(got, want) || len(plain) == 0 {
				t.Errorf("got %v, want %v", got, want)
			}
			if tok.AddBOS() != (test.first != "") || tok.AddEOS() != (test.last != "") {
				t.Errorf("AddBOS %v, AddEOS %v", tok.AddBOS(), tok.AddEOS())
			}
		})
	}
}

// exact are the small vocabularies that give back every text.
var exact = []string{"spm", "spm without space prefix", "rwkv", "plamo2"}

func TestRoundTrip(t *testing.T) {
	toks := map[string]*Tokenizer{"stories260K": openVocab(t, stories)}
	for _, name := range exact {
		toks[name] = smallVocabs()[name].tokenizer(t)
	}
	for _, pre := range []string{"llama-bpe", "qwen35", "deepseek-v3", "kimi-k2", "superbpe", "gemma4"} {
		toks[pre] = preVocab(pre).tokenizer(t)
	}
	for name, tok := range toks {
		t.Run(name, func(t *testing.T) {
			for _, text := range fresh(t, 300, func(r *rand.Rand) string { return randomText(r, 30, nil, false) }) {
				if name == "plamo2" {
					text = strings.TrimLeft(text, "\uFEFF")
				}
				if tok.prefixSpace || name == "gemma4" || name == "spm without space prefix" {
					text = strings.ReplaceAll(text, spaceMark, "_")
				}
				ids := tok.Encode(text, Options{AddSpecial: true})
				if got := tok.Decode(ids, DecodeOptions{RemoveSpecial: true, UnparseSpecial: true}); got != text {
					t.Fatalf("%q\ncame back as\n%q", text, got)
				}
			}
		})
	}
}

func TestDecodeOptions(t *testing.T) {
	tok := smallVocabs()["spm"].tokenizer(t)
	ids := tok.Encode("the<|im_end|> the", Options{AddSpecial: true, ParseSpecial: true})
	for _, test := range []struct {
		opt  DecodeOptions
		want string
	}{
		{DecodeOptions{}, "the  the"},
		{DecodeOptions{UnparseSpecial: true}, "<s> the<|im_end|>  the"},
		{DecodeOptions{UnparseSpecial: true, RemoveSpecial: true}, "the<|im_end|>  the"},
	} {
		if got := tok.Decode(ids, test.opt); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.opt, got, test.want)
		}
	}
	if got := tok.AppendDecode([]byte("x"), tok.Encode("the", Options{}), DecodeOptions{}); string(got) != "xthe" {
		t.Errorf("AppendDecode gives %q", got)
	}
	clean := preVocab("gpt-2").tokenizer(t)
	text := "a ! b , ' x 's 're 't"
	if got, want := clean.Decode(clean.Encode(text, Options{}), DecodeOptions{CleanSpaces: true}), "a! b,'x's're 't"; got != want {
		t.Errorf("clean spaces: got %q, want %q", got, want)
	}
}

func TestStream(t *testing.T) {
	tok := openVocab(t, stories)
	s := tok.NewStream(DecodeOptions{})
	for _, text := range fresh(t, 500, func(r *rand.Rand) string { return randomText(r, 20, nil, false) }) {
		var out []byte
		for _, id := range tok.Encode(text, Options{AddSpecial: true}) {
			p := s.Push(id)
			if !utf8.Valid(p) {
				t.Fatalf("%q: piece %q", text, p)
			}
			out = append(out, p...)
		}
		if rest := s.Flush(); len(rest) > 0 {
			t.Fatalf("%q: %q was left", text, rest)
		}
		if want := strings.ReplaceAll(" "+text, spaceMark, " "); string(out) != want && text != "" {
			t.Fatalf("%q\ncame back as\n%q", want, out)
		}
	}

	// Bytes that make no character.
	id := func(b byte) int32 { id, _ := tok.ID(byteName(b)); return id }
	for _, test := range []struct {
		bytes string
		want  []string // by push, and by Flush last
	}{
		{"\xE2\x82\xAC", []string{"", "", "€", ""}},
		{"\xE2\x82", []string{"", "", "\uFFFD\uFFFD"}},
		{"\x80a", []string{"\uFFFD", "a", ""}},
		{"\xE2a", []string{"", "\uFFFDa", ""}},
		{"\xF0\x9F\xE2\x82\xAC", []string{"", "", "\uFFFD\uFFFD", "", "€", ""}},
		{"\xED\xA0\x80", []string{"", "\uFFFD\uFFFD", "\uFFFD", ""}},
		{"\xFF", []string{"\uFFFD", ""}},
	} {
		var got []string
		for _, b := range []byte(test.bytes) {
			got = append(got, string(s.Push(id(b))))
		}
		got = append(got, string(s.Flush()))
		if !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.bytes, got, test.want)
		}
	}

	ids := tok.Encode("Once upon a time 😀 there was", Options{})
	if n := testing.AllocsPerRun(10, func() {
		for _, id := range ids {
			s.Push(id)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestMergesInOrder holds the merging of cut-up text with caches and heaps
// against a plain one: over the whole text, always the best pair.
func TestMergesInOrder(t *testing.T) {
	plain := func(word string, pieces []piece, j joiner) []int32 {
		for {
			best, at, id := noRank, 0, int32(0)
			for i := range len(pieces) - 1 {
				if rank, both := j.join(word, &pieces[i], &pieces[i+1]); rank < best {
					best, at, id = rank, i, both
				}
			}
			if best == noRank {
				break
			}
			pieces[at].n += pieces[at+1].n
			pieces[at].id = id
			pieces = slices.Delete(pieces, at+1, at+2)
		}
		var ids []int32
		for _, p := range pieces {
			ids = append(ids, p.id)
		}
		return ids
	}
	spmTok := smallVocabs()["spm without space prefix"].tokenizer(t)
	bpeTok := preVocab("gemma4").tokenizer(t)
	for name, tok := range map[string]*Tokenizer{"spm": spmTok, "bpe": bpeTok} {
		t.Run(name, func(t *testing.T) {
			chars := []string{"▁", "t", "h", "e", "a", "i", "n", "中", "文"}
			if name == "bpe" {
				chars = []string{"a", "e", "s", "B", "1", "é", "中", "."}
			}
			for _, text := range fresh(t, 300, func(r *rand.Rand) string {
				var b strings.Builder
				for range 1 + r.IntN(150) {
					b.WriteString(chars[r.IntN(len(chars))])
				}
				return b.String()
			}) {
				var m merger
				for _, c := range text {
					m.add(utf8.RuneLen(c), tok.id(string(c)))
				}
				want := plain(text, m.pieces, tok.model.(joiner))
				if got := tok.Encode(text, Options{}); !slices.Equal(got, want) {
					t.Fatalf("%q:\n got %v\nwant %v", text, got, want)
				}
			}
		})
	}
}

// TestLongRuns encodes texts that never end a word. Time that grew with the
// square of their length would be minutes.
func TestLongRuns(t *testing.T) {
	toks := map[string]*Tokenizer{"stories260K": openVocab(t, stories)}
	for name, v := range smallVocabs() {
		toks[name] = v.tokenizer(t)
	}
	for _, pre := range []string{"llama-bpe", "jais-2", "deepseek-llm", "superbpe", "afmoe", "exaone-moe", "gemma4", "chameleon"} {
		toks[pre] = preVocab(pre).tokenizer(t)
	}
	for name, tok := range toks {
		for _, unit := range []string{"a", " ", "\n", "1", "😀", "\u3000", "\u0301", "'", "aaaa\n", "\x80", "<"} {
			text := strings.Repeat(unit, 200_000/len(unit))
			ids := tok.Encode(text, Options{ParseSpecial: true})
			for _, id := range ids {
				if int(id) >= tok.Size() || id < 0 {
					t.Fatalf("%s, %q: id %d", name, unit, id)
				}
			}
		}
	}
}

func TestConcurrent(t *testing.T) {
	text := english(t, 20_000)
	for name, tok := range map[string]*Tokenizer{"spm": openVocab(t, stories), "bpe": preVocab("llama-bpe").tokenizer(t), "wordpiece": smallVocabs()["wordpiece"].tokenizer(t)} {
		t.Run(name, func(t *testing.T) {
			want := tok.Encode(text, Options{AddSpecial: true, ParseSpecial: true})
			var group sync.WaitGroup
			for i := range 8 {
				group.Go(func() {
					for range 4 {
						got := tok.AppendEncode(nil, text, Options{AddSpecial: true, ParseSpecial: true})
						if !slices.Equal(got, want) {
							t.Errorf("goroutine %d: other ids", i)
						}
						var out []byte
						s := tok.NewStream(DecodeOptions{})
						for _, id := range got {
							out = append(out, s.Push(id)...)
						}
						if plain := tok.Decode(got, DecodeOptions{}); !bytes.HasSuffix(out, []byte(plain)) {
							t.Errorf("goroutine %d: other text", i)
						}
					}
				})
			}
			group.Wait()
		})
	}
}
