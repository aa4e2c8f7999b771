package tokenizer

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
)

// small is a vocabulary made for tests. Token types are those of the format:
// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
type small struct {
	model, pre string
	tokens     []string
	types      []int32
	scores     []float32
	merges     []string
	more       map[string]any
}

func (v *small) add(text string, typ int32, score float32) {
	if !slices.Contains(v.tokens, text) {
		v.tokens = append(v.tokens, text)
		v.types = append(v.types, typ)
		v.scores = append(v.scores, score)
	}
}

// pairs returns the metadata.
func (v *small) pairs() map[string]any {
	pairs := map[string]any{
		"general.architecture": "llama",
		keyModel:               v.model,
		keyTokens:              v.tokens,
		keyTypes:               v.types,
		keyScores:              v.scores,
	}
	if v.pre != "" {
		pairs[keyPre] = v.pre
	}
	if v.merges != nil {
		pairs[keyMerges] = v.merges
	}
	maps.Copy(pairs, v.more)
	return pairs
}

// file writes the vocabulary to a GGUF file and returns its path.
func (v *small) file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.gguf")
	if err := os.WriteFile(path, ggufBytes(v.pairs()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (v *small) tokenizer(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := newFrom(v.pairs())
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// newFrom makes a Tokenizer of metadata.
func newFrom(pairs map[string]any) (*Tokenizer, error) {
	f, err := gguf.OpenBytes("test.gguf", ggufBytes(pairs))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return New(f)
}

// ggufBytes is a GGUF file with metadata and no tensors.
func ggufBytes(pairs map[string]any) []byte {
	b := []byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	b = binary.LittleEndian.AppendUint64(b, uint64(len(pairs)))
	text := func(s string) {
		b = append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	array := func(kind gguf.Kind, n int) {
		b = binary.LittleEndian.AppendUint32(b, uint32(gguf.KindArray))
		b = binary.LittleEndian.AppendUint32(b, uint32(kind))
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		text(k)
		switch v := pairs[k].(type) {
		case string:
			b = binary.LittleEndian.AppendUint32(b, uint32(gguf.KindString))
			text(v)
		case bool:
			b = binary.LittleEndian.AppendUint32(b, uint32(gguf.KindBool))
			b = append(b, map[bool]byte{true: 1}[v])
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, uint32(gguf.KindUint32))
			b = binary.LittleEndian.AppendUint32(b, v)
		case []string:
			array(gguf.KindString, len(v))
			for _, s := range v {
				text(s)
			}
		case []int32:
			array(gguf.KindInt32, len(v))
			b, _ = binary.Append(b, binary.LittleEndian, v)
		case []float32:
			array(gguf.KindFloat32, len(v))
			b, _ = binary.Append(b, binary.LittleEndian, v)
		case []uint8:
			array(gguf.KindUint8, len(v))
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("a %T in test metadata", v))
		}
	}
	return b
}

// preAlphabet has a character or more of every kind that some pre-tokenizer
// treats in its own way.
var preAlphabet = strings.Split("  \t\n\r/aesBEtdl'.,!-$+(_|<1237²٣éÀǅʰ中々가ㄅㄱあアก、！。…\u3000\u00A0\u0301\u093F😀\u200B\u0378\u0001", "")

// preVocab is a BPE vocabulary that shows where words begin and end: any two
// characters of preAlphabet merge, in random order, so that words that are cut
// otherwise come out as other pairs. Some tokens of three no merge makes.
func preVocab(pre string) *small {
	v := &small{model: "gpt2", pre: pre}
	if pre == "whitespace" {
		v.model = pre // the oracle gives up on spaces otherwise
	}
	p := preTokenizers[pre]
	spell := func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			b.WriteRune(byteSpelling()[c])
		}
		return b.String()
	}
	if p.raw {
		spell = func(s string) string {
			if p.escape {
				return strings.ReplaceAll(s, " ", spaceMark)
			}
			return s
		}
		for b := range 256 {
			v.add(byteName(byte(b)), 6, 0)
		}
	} else {
		for b := range 256 {
			v.add(string(byteSpelling()[b]), 1, 0)
		}
	}
	merge := func(a, b string) {
		if !strings.ContainsAny(a+b, " ") && a != "\n" && b != "\n" {
			v.merges = append(v.merges, a+" "+b)
			v.add(a+b, 1, 0)
		}
	}
	for _, c := range preAlphabet {
		s := spell(c)
		if p.raw {
			if s != " " {
				v.add(s, 1, 0)
			}
			continue
		}
		for i := 1; i < len(c); i++ {
			merge(spell(c[:i]), spell(c[i:i+1]))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	n := len(preAlphabet)
	for _, i := range r.Perm(n * n) {
		merge(spell(preAlphabet[i/n]), spell(preAlphabet[i%n]))
	}
	for range 300 {
		v.add(spell(preAlphabet[r.IntN(n)]+preAlphabet[r.IntN(n)]+preAlphabet[r.IntN(n)]), 1, 0)
	}
	if p.raw {
		v.add("\n\n", 1, 0)
		v.add("\n\n\n", 1, 0)
	}
	return v
}

// preText makes a text of preAlphabet with runs in it.
func preText(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(14) {
		c := preAlphabet[r.IntN(len(preAlphabet))]
		n := 1
		switch r.IntN(5) {
		case 0:
			n = 1 + r.IntN(4)
		case 1:
			c = string("0123456789"[r.IntN(10)])
			n = 1 + r.IntN(8)
		case 2:
			c = []string{"'s", "'RE", "'ll", "aBé", "ÀBB", " a", " 1", ". ", "\r\n", "éa", "  a", "a a", "!a"}[r.IntN(13)]
		}
		b.WriteString(strings.Repeat(c, n))
	}
	return b.String()
}

// smallVocabs are vocabularies of the algorithms that have no pre-tokenizer, by
// name.
func smallVocabs() map[string]*small {
	vocabs := map[string]*small{}

	spm := &small{model: "llama"}
	spm.add("<unk>", 2, 0)
	spm.add("<s>", 3, 0)
	spm.add("</s>", 3, 0)
	for b := range 256 {
		spm.add(byteName(byte(b)), 6, 0)
	}
	words := []string{"▁", "t", "h", "e", "▁t", "he", "▁the", "th", "in", "i", "n", "g", "ing", "▁i", "▁▁", "▁▁▁▁", "s", "a", "▁a", "é", "中", "文",
		"中文", "😀", "…", "\n", "aa", "aaaa", "ea", "1", "2", "12", "'s", "'", "<", ">", "an", "▁an", "ne", "e▁", "the", "he▁"}
	for i, w := range words {
		spm.add(w, 1, -float32(i*7%23)-1)
	}
	spm.add("<tool>", 4, 0)
	spm.add("<|im_end|>", 3, 0)
	vocabs["spm"] = spm

	bare := *spm
	bare.more = map[string]any{"tokenizer.ggml.add_space_prefix": false, "tokenizer.ggml.add_bos_token": false, "tokenizer.ggml.add_eos_token": true}
	vocabs["spm without space prefix"] = &bare

	strip := *spm
	strip.tokens = append(slices.Clone(spm.tokens), "<|endoftext|>")
	strip.types = append(slices.Clone(spm.types), 3)
	strip.scores = append(slices.Clone(spm.scores), 0)
	strip.more = map[string]any{"general.name": "Phi-3 small"}
	vocabs["spm that strips"] = &strip

	wpm := &small{model: "bert", more: map[string]any{
		"tokenizer.ggml.bos_token_id": uint32(1), "tokenizer.ggml.seperator_token_id": uint32(2), "tokenizer.ggml.unknown_token_id": uint32(0)}}
	wpm.add("[UNK]", 3, 0)
	wpm.add("[CLS]", 3, 0)
	wpm.add("[SEP]", 3, 0)
	wpm.add("[MASK]", 3, 0)
	for _, w := range []string{"▁the", "▁un", "aff", "able", "▁a", "a", "b", "▁b", "▁é", "▁e", "e", "s", "t", "▁t", "▁.", "▁,", "▁!", "▁$", "▁中", "▁文", "▁ᄒ",
		"▁1", "1", "2", "▁'", "▁x", "x", "▁i", "n", "g", "▁straße", "▁«", "▁+"} {
		wpm.add(w, 1, 0)
	}
	vocabs["wordpiece"] = wpm
	cased := *wpm
	cased.more = maps.Clone(wpm.more)
	cased.more["tokenizer.ggml.normalizer.lowercase"] = false
	cased.tokens = append(slices.Clone(wpm.tokens), "▁The", "T")
	cased.types = append(slices.Clone(wpm.types), 1, 1)
	cased.scores = append(slices.Clone(wpm.scores), 0, 0)
	vocabs["wordpiece, cased"] = &cased

	for _, merge := range []bool{false, true} {
		ugm := &small{model: "t5", more: map[string]any{"tokenizer.ggml.add_space_prefix": true,
			"tokenizer.ggml.remove_extra_whitespaces": merge, "tokenizer.ggml.precompiled_charsmap": charsmap(map[string]string{
				"ﬁ": "fi", "Å": "A", "①": "1", "e\u0301": "é", "\u3000": " ", "\t": " ", "\u200B": "", "ﬁx": "<X>", "ｱ": "ア"})}}
		ugm.add("<pad>", 3, 0)
		ugm.add("</s>", 3, 0)
		ugm.add("<unk>", 2, 0)
		for i, w := range []string{"▁", "▁the", "the", "t", "h", "e", "he", "▁a", "a", "aa", "aaa", "é", "中", "中文", "文", "ア", "1", "11", "fi", "f", "i", "x",
			"▁fi", "s", "▁t", ".", "'", "▁▁"} {
			ugm.add(w, 1, -float32(i*5%13)-1.25)
		}
		ugm.add("<X>", 4, 0)
		ugm.add("  ", 4, 0)
		ugm.add("zzz", 5, -3)
		vocabs[fmt.Sprintf("unigram, merge spaces %v", merge)] = ugm
	}

	rwkv := &small{model: "rwkv"}
	rwkv.add("<s>", 3, 0)
	for b := range 256 {
		rwkv.add(fmt.Sprintf(`\x%02x`, b), 1, 0)
	}
	for _, w := range []string{"the", " the", "th", `\n\n`, `\t\t`, "aa", "aaaa", "中", `\xe4\xb8`, "12", "'s", `\\`, "é", "theatre", `\'x`, "<s"} {
		rwkv.add(w, 1, 0)
	}
	vocabs["rwkv"] = rwkv

	plamo := &small{model: "plamo2"}
	plamo.add("<|plamo:unk|>", 2, 0)
	plamo.add("<|plamo:bos|>", 3, 0)
	plamo.add("<|plamo:eos|>", 3, 0)
	plamo.add("<|plamo:pad|>", 3, 0)
	for b := range 256 {
		plamo.add(byteName(byte(b)), 6, 0)
	}
	for i, w := range []string{"the", " the", "th", "he", "t", "h", "e", " ", "a", "aa", "aaa", "中", "中文", "文", "é", "\n", "1", "12", "2", "123", "😀", "あ", "ああ",
		"いう", "い", "う", "theatre", "atre"} {
		plamo.add(w, 1, -float32(i*5%17)*0.75-1)
	}
	vocabs["plamo2"] = plamo

	dna := preVocab("qwen2")
	dna.model = "hybriddna"
	for _, w := range []string{"<dna>", "</dna>", "<oov>", "ACGTAC" + dnaMark, "AAAAAA" + dnaMark, "CAAAAA" + dnaMark} {
		dna.add(w, 1, 0)
	}
	vocabs["hybriddna"] = dna

	for _, lower := range []bool{false, true} {
		ws := preVocab("whitespace")
		ws.more = map[string]any{"tokenizer.ggml.normalizer.lowercase": lower}
		vocabs[fmt.Sprintf("whitespace, lower case %v", lower)] = ws
	}
	vocabs["test"] = &small{model: "test", tokens: []string{"a", "b", "c", "d", "e", "f", "g"}, types: make([]int32, 7), scores: make([]float32, 7)}
	return vocabs
}

// smallText makes text of what the small vocabularies know, and of what they do
// not.
func smallText(r *rand.Rand) string {
	parts := []string{"the", "th", "e", "he", " ", "  ", "t", "in", "ing", "aa", "aaa", "a", "é", "e\u0301", "中", "文", "中文", "😀", "…", "\n", "\n\n", "\t", "1", "12", "23",
		"'s", "'", "<tool>", "<|im_end|>", "</s>", "<s>", "ﬁ", "ﬁx", "Å", "①", "\u3000", "\u200B", "ｱ", "zzz", "<X>", ".", ",", "!", "$", "«", "The", "É", "UN", "affable",
		"한", "x", "Straße", "+", "あ", "いう", "theatre", "\ufeff", "\\", "ACGTAC", "<dna>", "</dna>", "acg", "c", "\u0301", "[MASK]", "<unk>", "▁", "\x80", "\xe4\xb8", "q"}
	var b strings.Builder
	for range 1 + r.IntN(12) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

// charsmap builds a table of replacements as SentencePiece does: a double array
// (see unigram.replace) and the replacements, each ended by 0.
func charsmap(rules map[string]string) []uint8 {
	type node struct {
		kids  map[byte]*node
		value int // -1: none
	}
	root := &node{map[byte]*node{}, -1}
	var replaced []byte
	for _, from := range slices.Sorted(maps.Keys(rules)) {
		n := root
		for _, b := range []byte(from) {
			if n.kids[b] == nil {
				n.kids[b] = &node{map[byte]*node{}, -1}
			}
			n = n.kids[b]
		}
		n.value = len(replaced)
		replaced = append(append(replaced, rules[from]...), 0)
	}
	units := make([]uint32, 256)
	used := []bool{0: true, 255: false}
	taken := map[int]bool{} // no two nodes have their children at one base
	var place func(n *node, at int)
	place = func(n *node, at int) {
		labels := slices.Sorted(maps.Keys(n.kids))
		all := labels
		if n.value >= 0 {
			all = append([]byte{0}, labels...)
		}
		base := 1
		for ; ; base++ { // a free place for every child at base^label
			ok := !taken[base]
			for _, l := range all {
				k := base ^ int(l)
				for k >= len(used) {
					used, units = append(used, make([]bool, 256)...), append(units, make([]uint32, 256)...)
				}
				ok = ok && !used[k]
			}
			if ok {
				break
			}
		}
		taken[base] = true
		offset := uint32(base)
		if at > 0 {
			offset ^= uint32(at)
		}
		units[at] |= offset << 10
		for _, l := range all {
			used[base^int(l)] = true
		}
		if n.value >= 0 {
			units[at] |= 1 << 8
			units[base] = uint32(n.value) | 1<<31
		}
		for _, l := range labels {
			units[base^int(l)] = uint32(l)
		}
		for _, l := range labels {
			place(n.kids[l], base^int(l))
		}
	}
	place(root, 0)
	data := binary.LittleEndian.AppendUint32(nil, uint32(4*len(units)))
	for _, u := range units {
		data = binary.LittleEndian.AppendUint32(data, u)
	}
	return append(data, replaced...)
}
