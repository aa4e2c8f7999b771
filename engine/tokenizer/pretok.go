package tokenizer

// A BPE vocabulary was trained on words, not on running text, and its merges
// hold inside a word only. What a word is, each vocabulary says with a list
// of regular expressions; the file names the list in tokenizer.ggml.pre. The
// expressions fall into a few families, and each family is a hand-written
// scanner with options. preTokenizers names for every value of the key its
// scanners and their options.
//
// The expressions of a list apply in turn: each cuts the pieces left by the
// one before into its matches and the gaps between them.

// scanner appends to ends the ends of the pieces that t.s[start:end], which is
// not empty, falls into; the last one is end.
type scanner func(t *scanText, start, end int, ends []int) []int

// matcher returns the end of the match that begins at start, or -1. A match
// is never empty and does not look beyond end.
type matcher func(t *scanText, start, end int) int

// isolate makes a scanner of a matcher: matches are pieces, and so is the text
// between two matches.
func isolate(match matcher) scanner {
	return func(t *scanText, start, end int, ends []int) []int {
		gap := start
		for i := start; i < end; {
			e := match(t, i, end)
			if e < 0 {
				_, n := t.at(i, end)
				i += n
				continue
			}
			if gap < i {
				ends = append(ends, i)
			}
			ends = append(ends, e)
			i, gap = e, e
		}
		if gap < end {
			ends = append(ends, end)
		}
		return ends
	}
}

// preTokenizer is what tokenizer.ggml.pre stands for.
type preTokenizer struct {
	scanners []scanner

	ignoreMerges bool // a word that is a token is that token, whatever the merges say
	addBOS       bool // begin with BOS unless the file says otherwise
	noBOS        bool // the vocabulary has no BOS by default
	keepSpaces   bool // decoding does not clean up spaces
	raw          bool // characters are characters, not bytes spelt as GPT-2 spells them
	escape       bool // spaces are written as U+2581
	newlineWords bool // a run of newlines that is a token is that token
}

// words cuts s into words and returns their ends. The result is one of bufs.
func (p *preTokenizer) words(s string, bufs *[2][]int) []int {
	if s == "" {
		return nil
	}
	t := newScanText(s)
	ends := append(bufs[0][:0], len(s))
	next := bufs[1]
	for _, scan := range p.scanners {
		next = next[:0]
		start := 0
		for _, end := range ends {
			next = scan(&t, start, end, next)
			start = end
		}
		ends, next = next, ends
	}
	bufs[0], bufs[1] = ends, next
	return ends
}

// The expressions that several vocabularies share.
var (
	digits1   = isolate(run(number, 1))
	digits3   = isolate(run(number, 3))
	allDigits = isolate(run(number, 0))
	newline1  = isolate(runOf(1, [2]rune{'\n', '\n'}, [2]rune{'\r', '\r'}))
	cjk       = isolate(runOf(0, [2]rune{0x4E00, 0x9FA5}, [2]rune{0x3040, 0x309F}, [2]rune{0x30A0, 0x30FF}))
	eastAsian = isolate(runOf(0, [2]rune{0x4E00, 0x9FA5}, [2]rune{0x0800, 0x4E00}, [2]rune{0xAC00, 0xD7FF}))
	digitTrio = isolate(exactly3Digits)

	llama3 = words{contraction: foldCase, letters: letter, digits: 3, tail: "\r\n"}
	qwen2  = words{contraction: foldCase, letters: letter, digits: 1, tail: "\r\n"}
	gpt4o  = words{letters: letter, byCase: true, suffix: true, digits: 3, tail: "\r\n/"}
)

// with returns w changed by f.
func (w words) with(f func(*words)) words {
	f(&w)
	return w
}

var (
	preDefault = preTokenizer{scanners: []scanner{isolate(punctRun("$+<=>^~|")), gpt2, allDigits, digitTrio}}
	preGPT2    = preTokenizer{scanners: []scanner{gpt2}}
	preDigit1  = preTokenizer{scanners: []scanner{digits1, gpt2}}
	preLlama3  = preTokenizer{scanners: []scanner{llama3.scan}}
	preQwen2   = preTokenizer{scanners: []scanner{qwen2.scan}, keepSpaces: true}
	preDeep3   = preTokenizer{scanners: []scanner{digits3, cjk, isolate(deepseek3.match)}, keepSpaces: true}
	preGPT4o   = preTokenizer{scanners: []scanner{gpt4o.scan}, keepSpaces: true}
	preBloom   = preTokenizer{scanners: []scanner{isolate(bloomWord)}}
	preGemma4  = preTokenizer{scanners: []scanner{lines}, raw: true, escape: true, newlineWords: true}
	preLing    = preTokenizer{scanners: []scanner{qwen2.scan}, keepSpaces: true}
	preAya     = preTokenizer{scanners: []scanner{
		groupDigits, words{letters: letter | mark, suffix: true, digits: 3, tail: "\r\n/"}.scan}, keepSpaces: true}
)

// with returns p changed by f.
func (p preTokenizer) with(f func(*preTokenizer)) *preTokenizer {
	f(&p)
	return &p
}

func keepSpaces(p *preTokenizer) { p.keepSpaces = true }

// preTokenizers is indexed by tokenizer.ggml.pre. The names and what they mean
// are llama.cpp's (src/llama-vocab.cpp), the expressions those of the
// vocabularies' own tokenizer.json as that program reads them.
var preTokenizers = map[string]*preTokenizer{
	"":        &preDefault,
	"default": &preDefault,

	"llama3": llama3Model, "llama-v3": llama3Model, "llama-bpe": llama3Model, "falcon3": llama3Model,
	"falcon-h1": llama3Model, "pixtral": llama3Model, "midm-2.0": llama3Model, "lfm2": llama3Model,
	"jina-v5-nano": llama3Model,
	"dbrx":         &preLlama3,
	"smaug-bpe":    &preLlama3,
	"glm4":         preLlama3.with(func(p *preTokenizer) { p.noBOS = true }),
	"chatglm-bpe":  preLlama3.with(func(p *preTokenizer) { p.noBOS = true }),
	"minicpm5": {scanners: []scanner{digits3,
		llama3.with(func(w *words) { w.digits = 0 }).scan}, ignoreMerges: true},
	"jais-2": {scanners: []scanner{llama3.with(func(w *words) { w.cascade = true }).scan}},

	"qwen2": &preQwen2, "deepseek-r1-qwen": &preQwen2, "kormo": &preQwen2, "f2llmv2": &preQwen2,
	"hunyuan": &preQwen2, "grok-2": &preQwen2, "solar-open": &preQwen2,
	"megrez":    preQwen2.with(func(p *preTokenizer) { p.keepSpaces = false }),
	"stablelm2": preQwen2.with(func(p *preTokenizer) { p.keepSpaces = false }),
	"qwen35": {scanners: []scanner{
		qwen2.with(func(w *words) { w.letters, w.notPunct = letter|mark, mark }).scan}, keepSpaces: true},
	"ufakzeka":   {scanners: []scanner{qwen2.with(func(w *words) { w.contraction = noContraction }).scan}, keepSpaces: true},
	"seed-coder": {scanners: []scanner{qwen2.with(func(w *words) { w.tail = "" }).scan}, keepSpaces: true},
	"bailingmoe": &preLing, "bailingmoe2": &preLing, "llada-moe": &preLing,
	"laguna":     {scanners: []scanner{lines, qwen2.scan}, keepSpaces: true},
	"exaone-moe": {scanners: []scanner{qwen2.with(func(w *words) { w.spaced, w.tail, w.tail1 = true, "\r\n/", true }).scan}},

	"gpt-4o": &preGPT4o, "llama4": &preGPT4o, "kanana2": &preGPT4o, "talkie": &preGPT4o, "minimax-m2": &preGPT4o,
	"tekken": {scanners: []scanner{gpt4o.with(func(w *words) { w.suffix, w.digits = false, 1 }).scan},
		ignoreMerges: true, addBOS: true, keepSpaces: true},
	"granite-embed-multi-97m": {scanners: []scanner{gpt4o.with(func(w *words) { w.letters = letter | mark }).scan},
		ignoreMerges: true, keepSpaces: true},
	"tiny_aya": &preAya, "cohere2moe": &preAya,
	"kimi-k2": {scanners: []scanner{words{letters: letter, han: true, suffix: true, digits: 3, tail: "\r\n"}.scan}, keepSpaces: true},
	"youtu": {scanners: []scanner{
		isolate(oneOf(
			runOf(0, [2]rune{0xAC00, 0xD7A3}, [2]rune{0x3131, 0x318E}),
			runOf(0, [2]rune{'！', '！'}, [2]rune{'…', '…'}, [2]rune{'“', '”'}, [2]rune{'‘', '’'}, [2]rune{'—', '—'},
				[2]rune{'：', '：'}, [2]rune{'；', '；'}, [2]rune{'，', '，'}, [2]rune{0x3001, 0x303F}, [2]rune{0xFE30, 0xFE4F}),
			runOf(0, [2]rune{0x3105, 0x312F}),
			runOf(0, [2]rune{0x4E00, 0x9FA5}, [2]rune{0x3040, 0x309F}, [2]rune{0x30A0, 0x30FF}))),
		words{letters: letter | mark, suffix: true, digits: 1, tail: "\r\n/"}.scan},
		ignoreMerges: true, keepSpaces: true},

	"deepseek-v3": &preDeep3, "hunyuan-dense": &preDeep3, "joyai-llm": &preDeep3, "hy_v4": &preDeep3,
	"spark2_5": {scanners: []scanner{digits3, cjk, isolate(deepseekWords{newlines1: true}.match), digits1}, keepSpaces: true},
	"afmoe":    {scanners: []scanner{groupDigits, isolate(runOf(0, afmoeScripts...)), isolate(deepseek3.match)}, keepSpaces: true},
	"deepseek-llm": {scanners: []scanner{newline1, isolate(spaceThen(runOf(0, casedLetters...))),
		isolate(spaceThen(runOf(0, deepseekPunct...))), trailingSpace, eastAsian, allDigits}, keepSpaces: true},
	"deepseek-coder": {scanners: []scanner{newline1, isolate(spaceThen(run(letter, 0))), isolate(spaceThen(run(punct, 0))),
		eastAsian, digits1}, keepSpaces: true},

	"gpt-2": &preGPT2, "phi-2": &preGPT2, "jina-es": &preGPT2, "jina-de": &preGPT2, "gigachat": &preGPT2,
	"jina-v2-es": &preGPT2, "jina-v2-de": &preGPT2, "a.x-4.0": &preGPT2, "mellum": &preGPT2, "modern-bert": &preGPT2,
	"mpt": &preGPT2, "olmo": &preGPT2, "jais": &preGPT2, "exaone4": &preGPT2,
	"trillion": preGPT2.with(keepSpaces), "granite-docling": preGPT2.with(keepSpaces),
	"jina-v1-en": &preGPT2, "jina-v2-code": &preGPT2, "roberta-bpe": &preGPT2,
	"starcoder": &preDigit1, "refact": &preDigit1, "codeshell": &preDigit1, "exaone": &preDigit1,
	"minerva-7b": &preDigit1, "mellum2": &preDigit1,
	"command-r": preDigit1.with(keepSpaces), "smollm": preDigit1.with(keepSpaces),
	"falcon": {scanners: []scanner{isolate(punctRun("$+<=>^~|`")), gpt2, digitTrio}},
	"chameleon": {scanners: []scanner{isolate(sentinel), isolate(imageToken), isolate(indent), digits1,
		isolate(punctOne), gpt2}, addBOS: true, keepSpaces: true},

	"bloom": &preBloom, "gpt3-finnish": &preBloom, "poro-chat": preBloom.with(keepSpaces),
	"viking":   {scanners: []scanner{isolate(bloomWord), digits1}, keepSpaces: true},
	"superbpe": {scanners: []scanner{allDigits, digitsFromRight}, keepSpaces: true},

	"gemma4": &preGemma4, "granite-embed-multi-311m": &preGemma4,
	"sarvam-moe": {scanners: []scanner{lines}, raw: true, escape: true, keepSpaces: true},
	"whitespace": {scanners: []scanner{isolate(nonSpace)}, raw: true},
}

var llama3Model = preLlama3.with(func(p *preTokenizer) { p.ignoreMerges, p.addBOS = true, true })
