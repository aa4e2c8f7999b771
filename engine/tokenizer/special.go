package tokenizer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gollm/gollm/gguf"
)

// readSpecial sets the special tokens: the algorithm's defaults where the
// vocabulary has such ids, and what the file says. An id outside the vocabulary
// is passed over, as in llama.cpp: files have them for tokens nobody uses.
func (t *Tokenizer) readSpecial(f *gguf.File, def Special) error {
	t.special = def
	sp := &t.special
	sp.Newline = t.newline()
	for _, k := range []struct {
		key string
		id  *int32
	}{
		{"bos_token_id", &sp.BOS},
		{"eos_token_id", &sp.EOS},
		{"eot_token_id", &sp.EOT},
		{"eom_token_id", &sp.EOM},
		{"unknown_token_id", &sp.Unknown},
		{"seperator_token_id", &sp.Separator}, // as the format spells it
		{"padding_token_id", &sp.Padding},
		{"mask_token_id", &sp.Mask},
		{"fim_pre_token_id", &sp.FIMPrefix},
		{"fim_suf_token_id", &sp.FIMSuffix},
		{"fim_mid_token_id", &sp.FIMMiddle},
		{"fim_pad_token_id", &sp.FIMPad},
		{"fim_rep_token_id", &sp.FIMRepo},
		{"fim_sep_token_id", &sp.FIMSep},
		{"prefix_token_id", &sp.FIMPrefix}, // older names
		{"suffix_token_id", &sp.FIMSuffix},
		{"middle_token_id", &sp.FIMMiddle},
	} {
		if int(*k.id) >= t.texts.len() {
			*k.id = -1
		}
		id, err := gguf.GetOr[int64](f, "tokenizer.ggml."+k.key, int64(*k.id))
		if err != nil {
			return fmt.Errorf("tokenizer: %w", err)
		}
		if id >= 0 && id < int64(t.texts.len()) {
			*k.id = int32(id)
		}
	}
	if t.kind == kindUGM && sp.Unknown < 0 {
		return fail(f, "tokenizer.ggml.unknown_token_id", "a Unigram vocabulary needs it")
	}
	return nil
}

// newline returns the token of "\n", or -1.
func (t *Tokenizer) newline() int32 {
	switch t.kind {
	case kindSPM:
		if id := t.id(byteName('\n')); id >= 0 {
			return id
		}
		return t.id("\n")
	case kindWPM, kindTest:
		return -1
	}
	if ids := t.model.encode(&scratch{}, nil, "\n", true); len(ids) > 0 {
		return ids[0]
	}
	return -1
}

// Tokens with a meaning are recognised by their names where the file does not
// name them by id. The lists are llama.cpp's. Where a vocabulary has several
// names of one list the first counts.
var (
	namesEOT = []string{"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>",
		"[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"}
	namesEOM       = []string{"<|eom_id|>"}
	namesFIMPrefix = []string{"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>"}
	namesFIMSuffix = []string{"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>"}
	namesFIMMiddle = []string{"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>"}
	namesFIMPad    = []string{"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}
	namesFIMRepo   = []string{"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}
	namesFIMSep    = []string{"<|file_sep|>"}

	// namesEOG end a generation besides EOS, EOT, EOM and the three FIM
	// tokens that separate.
	namesEOG = []string{"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
		"<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>",
		"<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~["}

	// namesShown are gpt-oss's tokens that are shown although they are control
	// tokens.
	namesShown = []string{"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"}
)

// nameSpecial finds the special tokens that the file does not name and the
// tokens that end a generation.
func (t *Tokenizer) nameSpecial() {
	sp := &t.special
	for _, k := range []struct {
		id    *int32
		names []string
	}{
		{&sp.EOT, namesEOT}, {&sp.EOM, namesEOM}, {&sp.FIMPrefix, namesFIMPrefix}, {&sp.FIMSuffix, namesFIMSuffix},
		{&sp.FIMMiddle, namesFIMMiddle}, {&sp.FIMPad, namesFIMPad}, {&sp.FIMRepo, namesFIMRepo}, {&sp.FIMSep, namesFIMSep},
	} {
		for _, name := range k.names {
			if *k.id >= 0 {
				break
			}
			if *k.id = t.id(name); *k.id >= 0 {
				t.attrs[*k.id] |= attrControl
			}
		}
	}

	t.eog = map[int32]bool{}
	for _, id := range []int32{sp.FIMPad, sp.FIMRepo, sp.FIMSep, sp.EOS, sp.EOT, sp.EOM} {
		if id >= 0 {
			t.eog[id] = true
		}
	}
	for _, name := range namesEOG {
		if id := t.id(name); id >= 0 {
			t.eog[id] = true
			t.attrs[id] |= attrControl
		}
	}
	for _, name := range namesShown {
		if id := t.id(name); id >= 0 {
			t.attrs[id] = attrUser
		}
	}
	ends := func(name string) bool { return t.eog[t.id(name)] }
	call := ends("<|call|>") || ends("<|calls|>")
	if ends("<|end|>") && call && (ends("<|return|>") || ends("<|flush|>")) {
		// gpt-oss and solar-open end a message with <|end|>, not the turn.
		id := t.id("<|end|>")
		delete(t.eog, id)
		t.attrs[id] = attrUser
	}
	if ends("<|tool_response>") && ends("</s>") {
		// In Gemma 4's vocabulary </s> is a tag like others.
		id := t.id("</s>")
		delete(t.eog, id)
		t.attrs[id] = attrNormal
	}
}

// EOG returns the tokens for which IsEOG holds, in order.
func (t *Tokenizer) EOG() []int32 {
	ids := make([]int32, 0, len(t.eog))
	for id := range t.eog {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// setStrip marks the special tokens that take the spaces beside them along.
// The format has no place for this, so it goes by the names of models.
func (t *Tokenizer) setStrip(f *gguf.File, pre string) error {
	name, err := gguf.GetOr(f, "general.name", "")
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	arch, err := gguf.GetOr(f, "general.architecture", "")
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	name = strings.ToLower(name)
	contains := func(s string, parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
	}
	mark := func(token string, a attr, on bool) {
		if id := t.id(token); id >= 0 {
			t.attrs[id] &^= a
			if on {
				t.attrs[id] |= a
			}
		}
	}
	switch {
	case contains(pre, "jina-v2-de", "jina-v2-es", "jina-v2-code"), contains(arch, "nomic-bert-moe", "jina-bert-v3"):
		mark("<mask>", attrLStrip, true)
	case contains(name, "phi-3", "phi3"):
		for id, a := range t.attrs {
			if a&specialAttrs != 0 {
				t.attrs[id] |= attrRStrip
			}
		}
		mark("</s>", attrRStrip, true)
		for _, token := range []string{"<unk>", "<s>", "<|endoftext|>"} {
			mark(token, attrRStrip, false)
		}
	case contains(name, "modern-bert"):
		mark("[MASK]", attrLStrip, true)
	}
	return nil
}
