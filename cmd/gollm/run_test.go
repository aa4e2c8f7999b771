package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var timings = regexp.MustCompile(`(?m)^prompt \d+ tokens, \d+\.\d t/s, generation \d+ tokens, \d+\.\d t/s$`)

// greedily are the flags of the tests that know the text.
func greedily(more ...string) []string {
	return append([]string{"run", "-m", stories, "--temp", "0"}, more...)
}

// TestPromptSources gives the prompt in every way. Standard output carries the
// text and nothing else.
func TestPromptSources(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"flag":           {args: []string{"-p", once}, want: story},
		"long flag":      {args: []string{"--prompt=" + once}, want: story},
		"file":           {args: []string{"-f", file("plain", once)}, want: story},
		"file, newline":  {args: []string{"-f", file("newline", once+"\n")}, want: story},
		"file, CR LF":    {args: []string{"-f", file("crlf", once+"\r\n")}, want: story},
		"dash":           {stdin: once, args: []string{"-f", "-"}, want: story},
		"pipe":           {stdin: once, want: story},
		"pipe, newline":  {stdin: once + "\n", want: story},
		"flag over pipe": {stdin: "not read", args: []string{"-p", once}, want: story},
		"displayed":      {args: []string{"-p", once, "--display-prompt"}, want: once + story},
		"displayed pipe": {stdin: once + "\n", args: []string{"--display-prompt"}, want: once + story},
		"raw":            {args: []string{"-p", once, "--no-template"}, want: story},
		"one thread":     {args: []string{"-p", once, "-t", "1"}, want: story},
		"small steps":    {args: []string{"-p", once, "-b", "2"}, want: story},
		"small context":  {args: []string{"-p", once, "-c", "64"}, want: story},
		"cpu":            {args: []string{"-p", once, "--device", "cpu"}, want: story},
		"ref":            {args: []string{"-p", once, "--device", "ref"}, want: story},
		"top-k 1":        {args: []string{"-p", once, "--temp", "1", "--top-k", "1"}, want: story},
		"stop":           {args: []string{"-p", once, "--stop", "ly. She"}, want: ", there was a little girl named Li"},
		"stop, comma":    {args: []string{"-p", once, "--stop", "day, she"}, want: story[:strings.Index(story, "day, she")]},
		"two stops":      {args: []string{"-p", once, "--stop", "never", "--stop", " girl"}, want: ", there was a little"},
	} {
		t.Run(name, func(t *testing.T) {
			r := do(test.stdin, greedily(append([]string{"-n", "60"}, test.args...)...)...)
			if r.status != 0 {
				t.Fatalf("status %d: %s", r.status, r.stderr)
			}
			if !strings.HasPrefix(r.stdout, test.want) || len(test.want) < len(story) && r.stdout != test.want {
				t.Errorf("got %q, want %q", r.stdout, test.want)
			}
			if !timings.MatchString(r.stderr) || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("stderr is not the timings: %q", r.stderr)
			}
		})
	}
}

// TestBytesBack checks that a prompt is displayed byte for byte.
func TestBytesBack(t *testing.T) {
	prompt := " two  spaces\ttab\r\nline “quotes” \xff \x00 end "
	if r := do(prompt, greedily("-n", "1", "--display-prompt")...); r.status != 0 || !strings.HasPrefix(r.stdout, prompt) {
		t.Errorf("%+v", r)
	}
}

func TestLengths(t *testing.T) {
	r := do("", greedily("-p", once, "-n", "5")...)
	if r.stdout != ", there was a little" {
		t.Errorf("5 tokens: %q", r.stdout)
	}
	if !strings.Contains(r.stderr, "prompt 5 tokens, ") {
		t.Errorf("timings: %q", r.stderr)
	}
	if r := do("", greedily("-p", once, "-n", "0")...); r.status != 0 || r.stdout != "" || !strings.Contains(r.stderr, "generation 0 tokens") {
		t.Errorf("0 tokens: %+v", r)
	}
	// As many as the context holds: the prompt's 5 tokens and 27 more.
	r = do("", greedily("-p", once, "-n", "-1", "-c", "32")...)
	if r.status != 0 || !strings.HasPrefix(story, r.stdout) || len(r.stdout) < 60 || len(r.stdout) > 100 {
		t.Errorf("context of 32: %+v", r)
	}
}

// TestEmptyPrompt lets the model begin where it has a token to begin with.
func TestEmptyPrompt(t *testing.T) {
	for _, args := range [][]string{{"-p", ""}, {}, {"-f", "-"}} {
		if r := do("", greedily(append(args, "-n", "4")...)...); r.status != 0 || r.stdout != " Once upon a time" {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

func TestSeeds(t *testing.T) {
	text := func(seed ...string) string {
		r := do("", append([]string{"run", "-m", stories, "-p", once, "-n", "40", "--temp", "1.5"}, seed...)...)
		if r.status != 0 {
			t.Fatalf("%+v", r)
		}
		return r.stdout
	}
	first := text("--seed", "7")
	if again := text("-s", "7"); again != first {
		t.Errorf("seed 7 gives %q and %q", first, again)
	}
	if other := text("--seed", "8"); other == first {
		t.Errorf("seeds 7 and 8 both give %q", first)
	}
	one := text()
	if two := text("--seed", "-1"); two == one {
		t.Errorf("without a seed the text is twice %q", one)
	}
}

// TestSamplingFlags checks that each flag reaches the sampler: the text with
// the seed changes, or does not where the flag makes it greedy.
func TestSamplingFlags(t *testing.T) {
	text := func(args ...string) string {
		r := do("", append([]string{"run", "-m", stories, "-p", once, "-n", "60", "--seed", "3", "--temp", "1"}, args...)...)
		if r.status != 0 {
			t.Fatalf("%q: %+v", args, r)
		}
		return r.stdout
	}
	plain, greedy := text(), do("", greedily("-p", once, "-n", "60")...).stdout
	if plain == greedy {
		t.Fatal("seed 3 happens to give the greedy text")
	}
	for _, args := range [][]string{{"--temp", "0"}, {"--top-k", "1"}, {"--top-p", "0.0001"}, {"--min-p", "1"}} {
		if got := text(args...); got != greedy {
			t.Errorf("%q gives %q, want the greedy text", args, got)
		}
	}
	for _, args := range [][]string{{"--temp", "3"}, {"--top-k", "2"}, {"--top-p", "0.3"}, {"--min-p", "0.5"}, {"--typical", "0.2"},
		{"--repeat-penalty", "3"}, {"--presence-penalty", "5"}, {"--frequency-penalty", "5"}, {"--seed", "4"}} {
		if text(args...) == plain {
			t.Errorf("%q changes nothing", args)
		}
	}
	if p := []string{"--repeat-penalty", "3"}; text(append(p, "--repeat-last-n", "0")...) != plain || text(append(p, "--repeat-last-n", "-1")...) == plain {
		t.Error("--repeat-last-n does not bound the penalties")
	}
}

// TestGPULayers accepts -ngl where there is no GPU, and says so.
func TestGPULayers(t *testing.T) {
	for _, flag := range []string{"-ngl", "--ngl", "--gpu-layers", "--n-gpu-layers"} {
		r := do("", greedily("-p", once, "-n", "60", flag, "99")...)
		if r.status != 0 || !strings.HasPrefix(r.stdout, story) || !strings.Contains(r.stderr, "run on the CPU") {
			t.Errorf("%s: %+v", flag, r)
		}
	}
	if r := do("", greedily("-p", once, "-n", "1", "-ngl", "0")...); strings.Contains(r.stderr, "GPU") {
		t.Errorf("-ngl 0 speaks of the GPU: %q", r.stderr)
	}
}

// TestModelInside runs without -m, and says how to get a real model.
func TestModelInside(t *testing.T) {
	r := do("", "run", "-p", once, "-n", "60", "--temp", "0")
	if r.status != 0 || !strings.HasPrefix(r.stdout, story) {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"stories260K", "https://", "-m FILE"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr does not say %q: %q", want, r.stderr)
		}
	}
}

func TestIgnoreEnd(t *testing.T) {
	// A stop that never comes; the storyteller never ends before its context does.
	r := do("", greedily("-p", once, "-n", "300", "--ignore-eos")...)
	if r.status != 0 || !strings.HasPrefix(r.stdout, story) {
		t.Errorf("%+v", r)
	}
}

// TestChatTemplate puts the prompt and the system message through the model's
// template: what the model reads has the template's own tokens.
func TestChatTemplate(t *testing.T) {
	path := withTemplate(t, "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}")
	count := func(args ...string) string {
		r := do("", append([]string{"run", "-m", path, "--temp", "0", "-n", "2"}, args...)...)
		if r.status != 0 {
			t.Fatalf("%q: %+v", args, r)
		}
		return regexp.MustCompile(`prompt (\d+) tokens`).FindStringSubmatch(r.stderr)[1]
	}
	raw := func(text string) string { return count("--no-template", "-p", text) }
	if got, want := count("-p", "hi"), raw("[user] hi\n[assistant]"); got != want {
		t.Errorf("%s tokens, want %s", got, want)
	}
	if got, want := count("-p", "hi", "--system", "be kind"), raw("[system] be kind\n[user] hi\n[assistant]"); got != want {
		t.Errorf("with a system message %s tokens, want %s", got, want)
	}
	if r := do("", "run", "-m", path, "-p", ""); r.status != 1 {
		t.Errorf("an empty message: %+v", r)
	} else {
		r.oneLine(t, "the prompt is empty")
	}
	if r := do("", "run", "-m", path, "-p", "x", "--no-template", "--system", "y"); r.status != 2 {
		t.Errorf("--system without a template: %+v", r)
	} else {
		r.oneLine(t, "--system")
	}
	broken := withTemplate(t, "{% for %}")
	if r := do("", "run", "-m", broken, "-p", "x"); r.status != 1 {
		t.Errorf("a broken template: %+v", r)
	} else {
		r.oneLine(t, "template")
	}
	if r := do("", "run", "-m", broken, "-p", once, "--no-template", "--temp", "0", "-n", "60"); !strings.HasPrefix(r.stdout, story) {
		t.Errorf("--no-template with a broken template: %+v", r)
	}
}
