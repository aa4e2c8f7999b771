package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
)

// rewrite writes a copy of the storyteller, with its metadata and tensors as
// edit leaves them, and returns its path.
func rewrite(t testing.TB, edit func(pairs []gguf.Pair, tensors []*gguf.Tensor) ([]gguf.Pair, []*gguf.Tensor)) string {
	t.Helper()
	f, err := gguf.Open(stories)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	path := filepath.Join(t.TempDir(), "model.gguf")
	w, err := gguf.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	pairs, tensors := edit(append([]gguf.Pair(nil), f.Pairs...), f.Tensors)
	for _, p := range pairs {
		if err := w.Set(p.Key, p.Value); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range tensors {
		if err := w.Declare(s.Name, s.Type, s.Dims...); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range tensors {
		if err := w.WriteTensor(s.Name, s.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return path
}

// withTemplate returns a storyteller with a chat template.
func withTemplate(t testing.TB, template string) string {
	t.Helper()
	return rewrite(t, func(p []gguf.Pair, s []*gguf.Tensor) ([]gguf.Pair, []*gguf.Tensor) {
		return append(p, gguf.Pair{Key: "tokenizer.chat_template", Value: template}), s
	})
}

// set replaces the value of a key.
func set(t testing.TB, key string, value any) string {
	t.Helper()
	return rewrite(t, func(p []gguf.Pair, s []*gguf.Tensor) ([]gguf.Pair, []*gguf.Tensor) {
		for i := range p {
			if p[i].Key == key {
				p[i].Value = value
				return p, s
			}
		}
		t.Fatalf("no key %s", key)
		return nil, nil
	})
}

// TestBadModels gives every command that reads a model files that are none:
// one line that says why, and status 1.
func TestBadModels(t *testing.T) {
	good, err := os.ReadFile(stories)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	without := func(name string) string {
		return rewrite(t, func(p []gguf.Pair, s []*gguf.Tensor) ([]gguf.Pair, []*gguf.Tensor) {
			for i := range s {
				if s[i].Name == name {
					return p, append(append([]*gguf.Tensor(nil), s[:i]...), s[i+1:]...)
				}
			}
			t.Fatalf("no tensor %s", name)
			return nil, nil
		})
	}
	for name, test := range map[string]struct {
		path string
		info bool   // info refuses it too
		want string // in the message
	}{
		"missing":              {filepath.Join(dir, "missing.gguf"), true, "no such file"},
		"zero length":          {file("empty.gguf", nil), true, "empty.gguf"},
		"directory":            {dir, true, "is a directory"},
		"text":                 {file("text.gguf", []byte("Once upon a time there was a text file.\n")), true, "not a GGUF file"},
		"header only":          {file("header.gguf", good[:24]), true, "header.gguf"},
		"cut in metadata":      {file("metadata.gguf", good[:3000]), true, "metadata.gguf"},
		"cut in the tensors":   {file("tensors.gguf", good[:len(good)-5000]), true, "tensors.gguf"},
		"one byte short":       {file("short.gguf", good[:len(good)-1]), true, "short.gguf"},
		"version 9":            {file("version.gguf", append([]byte("GGUF\x09\x00\x00\x00"), good[8:]...)), true, "version 9"},
		"big-endian":           {file("big.gguf", append([]byte("GGUF\x00\x00\x00\x03"), good[8:]...)), true, "big-endian"},
		"device":               {os.DevNull, true, "not a regular file"},
		"tensor removed":       {without("blk.3.ffn_down.weight"), false, `"blk.3.ffn_down.weight"`},
		"norm removed":         {without("output_norm.weight"), false, `"output_norm.weight"`},
		"unknown architecture": {set(t, "general.architecture", "perceptron"), false, `"perceptron"`},
		"unknown tokenizer":    {set(t, "tokenizer.ggml.model", "morse"), false, `"morse"`},
		"other width":          {set(t, "llama.embedding_length", uint32(128)), false, "token_embd.weight"},
		"heads of another":     {set(t, "llama.attention.head_count", uint32(7)), false, "7"},
		"absurd layers":        {set(t, "llama.block_count", uint32(4_000_000_000)), false, "llama.block_count"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := [][]string{{"run", "-m", test.path, "-p", "x", "-n", "1"}, {"bench", "-m", test.path, "-r", "1"}, {"logits", "-m", test.path, "--ids", "1"},
				{"perplexity", "-m", test.path, "-f", "../../testdata/tinystories_sample.txt"}}
			if test.info {
				lines = append(lines, []string{"info", test.path}, []string{"tokenize", "-m", test.path, "-p", "x"})
			}
			for _, line := range lines {
				r := do("", line...)
				if r.status != 1 {
					t.Errorf("%s: status %d, want 1", line[0], r.status)
				}
				r.oneLine(t, test.want)
			}
		})
	}
}

// TestFlippedBits flips bits of a model, in the front where the metadata is
// and anywhere. What then happens may be an error or another story; it is never a
// crash, and an error is one line.
func TestFlippedBits(t *testing.T) {
	good, err := os.ReadFile(stories)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "flipped.gguf")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	refused := 0
	for range 300 {
		bad := append([]byte(nil), good...)
		for range 1 + r.IntN(3) {
			n := len(bad)
			if r.IntN(3) > 0 {
				n = 20_000
			}
			bad[r.IntN(n)] ^= 1 << r.IntN(8)
		}
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		switch r := do("", "run", "-m", path, "-p", once, "-n", "2", "-c", "32"); r.status {
		case 0:
			r.noTrace(t)
		case 1:
			refused++
			// Some of the text may have been written when a logit turned out NaN.
			if r.stdout == "" && !strings.HasPrefix(r.stderr, "prompt ") {
				r.oneLine(t)
			}
			r.noTrace(t)
		default:
			t.Errorf("status %d: %s", r.status, r.stderr)
		}
	}
	if refused == 0 {
		t.Error("no flipped model was refused")
	}
}
