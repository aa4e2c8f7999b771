package tokenizer

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// english returns the sample text of the repository, repeated to n bytes.
func english(b testing.TB, n int) string {
	text, err := os.ReadFile("../../testdata/tinystories_sample.txt")
	if err != nil {
		b.Fatal(err)
	}
	return strings.Repeat(string(text), n/len(text)+1)[:n]
}

// benchVocabs are the vocabularies that every checkout has, and the real ones
// where GOLLM_ORACLE names the oracle's folder.
func benchVocabs(b *testing.B) map[string]*Tokenizer {
	v := map[string]*Tokenizer{
		"spm-512": openVocab(b, stories),
		"bpe-4k":  preVocab("llama-bpe").tokenizer(b),
	}
	if dir := os.Getenv("GOLLM_ORACLE"); dir != "" {
		for _, name := range []string{"llama-spm", "llama-bpe", "gpt-2", "qwen2", "deepseek-llm", "gemma-4", "command-r", "bert-bge", "nomic-bert-moe"} {
			v[name] = openVocab(b, filepath.Join(dir, "vocab", "ggml-vocab-"+name+".gguf"))
		}
	}
	return v
}

func BenchmarkEncode(b *testing.B) {
	for name, tok := range benchVocabs(b) {
		b.Run(name, func(b *testing.B) { benchEncode(b, tok, english(b, 1<<20)) })
	}
}

func benchEncode(b *testing.B, tok *Tokenizer, text string) {
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	dst := tok.Encode(text, Options{})
	start := cpuTime(b)
	for b.Loop() {
		dst = tok.AppendEncode(dst[:0], text, Options{})
	}
	// The rate by the processor's clock, which a busy machine does not change
	// much.
	b.ReportMetric(float64(b.N*len(text))/(cpuTime(b)-start).Seconds()/1e6, "MB/core-s")
}

// cpuTime returns the time that processors have worked for this program.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEncodeHard encodes texts that have no words, at two lengths: the
// rates must be near each other.
func BenchmarkEncodeHard(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var hanzi, letters strings.Builder
	for range 1 << 20 {
		hanzi.WriteRune(0x4E00 + rune(r.IntN(5000)))
		letters.WriteByte('a' + byte(r.IntN(26)))
	}
	for name, tok := range benchVocabs(b) {
		for kind, unit := range map[string]string{"a": "a", "spaces": " ", "emoji": "😀", "newlines": "\n", "digits": "7", "hanzi": hanzi.String(), "letters": letters.String()} {
			for _, size := range []int{1 << 14, 1 << 20} {
				text := unit
				if len(text) < size {
					text = strings.Repeat(unit, size/len(unit))
				}
				b.Run(name+"/"+kind+"/"+map[bool]string{false: "16K", true: "1M"}[size == 1<<20], func(b *testing.B) {
					benchEncode(b, tok, strings.ToValidUTF8(text[:size/4*4], ""))
				})
			}
		}
	}
}

func BenchmarkStream(b *testing.B) {
	tok := openVocab(b, stories)
	ids := tok.Encode(english(b, 1<<16), Options{})
	s := tok.NewStream(DecodeOptions{})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, id := range ids {
			n += len(s.Push(id))
		}
	}
	b.SetBytes(int64(n / b.N))
}

func BenchmarkNew(b *testing.B) {
	dir := os.Getenv("GOLLM_ORACLE")
	if dir == "" {
		b.Skip("GOLLM_ORACLE is not set: it names the folder of the installed oracle (make test-oracle)")
	}
	for _, name := range []string{"llama-spm", "llama-bpe", "gemma-4", "nomic-bert-moe"} {
		b.Run(name, func(b *testing.B) {
			start := cpuTime(b)
			for b.Loop() {
				openVocab(b, filepath.Join(dir, "vocab", "ggml-vocab-"+name+".gguf"))
			}
			b.ReportMetric((cpuTime(b)-start).Seconds()*1e3/float64(b.N), "core-ms")
		})
	}
}
