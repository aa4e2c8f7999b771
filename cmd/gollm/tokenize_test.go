package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The outputs wanted here are those of llama-tokenize (llama.cpp 0.7.0):
//
//	llama-tokenize -m stories260K.gguf -p TEXT …
func TestTokenize(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte("Hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args        []string
		stdin, want string
		status      int
	}{
		"pieces": {args: []string{"-p", "Hello\n wörld </s>", "--show-count"}, want: "     1 -> '<s>'\n   346 -> ' He'\n   306 -> 'll'\n   414 -> 'o'\n" +
			"    13 -> '\n'\n   263 -> ' w'\n   198 -> '\xc3'\n   185 -> '\xb6'\n   420 -> 'r'\n   341 -> 'ld'\n   410 -> ' '\n     2 -> '</s>'\n" +
			"Total number of tokens: 12\n"},
		"ids":        {args: []string{"-p", "Hello", "--ids"}, want: "[1, 346, 306, 414]\n"},
		"file":       {args: []string{"-f", file, "--ids"}, want: "[1, 346, 306, 414]\n"},
		"stdin":      {args: []string{"--stdin", "--ids"}, stdin: "Hello", want: "[1, 346, 306, 414]\n"},
		"no special": {args: []string{"-p", "Hello</s>", "--ids", "--no-parse-special", "--no-bos", "--show-count"}, want: "[346, 306, 414, 504, 492, 419, 505]\nTotal number of tokens: 7\n"},
		"nothing":    {args: []string{"-p", "", "--ids", "--no-bos"}, want: "[]\n"},
		"no text":    {status: 2},
		"two texts":  {args: []string{"-p", "a", "--stdin"}, status: 2},
		"no file":    {args: []string{"-f", filepath.Join(t.TempDir(), "none")}, status: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			args := append([]string{"gollm", "tokenize", "-m", "stories260K.gguf"}, test.args...)
			if status := gollm(args, strings.NewReader(test.stdin), &out, &errs); status != test.status {
				t.Fatalf("status %d, want %d: %s", status, test.status, errs.String())
			}
			if out.String() != test.want {
				t.Errorf("got\n%q\nwant\n%q", out.String(), test.want)
			}
		})
	}
}
