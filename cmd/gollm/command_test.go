package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the command, for the tests that need a
// process: see command.
func TestMain(m *testing.M) {
	if os.Getenv("GOLLM_TEST_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}

// command returns the command as a process that is yet to be started.
func command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "GOLLM_TEST_COMMAND=1", "TERM=xterm")
	return cmd
}

// result is what a command line came to.
type result struct {
	status         int
	stdout, stderr string
}

// do runs a command line in this process.
func do(stdin string, args ...string) result {
	var out, errs bytes.Buffer
	status := gollm(append([]string{"gollm"}, args...), strings.NewReader(stdin), &out, &errs)
	return result{status, out.String(), errs.String()}
}

// story is what stories260K continues "Once upon a time" with at temperature 0.
const (
	once  = opening
	story = beginning + " One day, she saw a big, red ball."
)

// stories is the model inside the program, as a file.
const stories = "stories260K.gguf"

// oneLine fails unless a refusal is one line for people that holds all of want.
func (r result) oneLine(t *testing.T, want ...string) {
	t.Helper()
	if !strings.HasPrefix(r.stderr, "gollm: ") || strings.Count(r.stderr, "\n") != 1 || !strings.HasSuffix(r.stderr, "\n") {
		t.Errorf("stderr is not one line of gollm's:\n%s", r.stderr)
	}
	for _, w := range append(want, "") {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("stderr %q does not say %q", r.stderr, w)
		}
	}
	r.noTrace(t)
	if r.stdout != "" {
		t.Errorf("stdout %q of a refusal", r.stdout)
	}
}

func (r result) noTrace(t *testing.T) {
	t.Helper()
	for _, trace := range []string{"goroutine", "panic", "runtime", ".go:"} {
		if strings.Contains(r.stderr, trace) {
			t.Errorf("stderr holds %q:\n%s", trace, r.stderr)
		}
	}
}

// TestRefusedLines are command lines that are refused with status 2, before any
// model is loaded.
func TestRefusedLines(t *testing.T) {
	for _, test := range []struct {
		line string
		want string // in the message
	}{
		{"rum", `did you mean "run"?`},
		{"benhc", `did you mean "bench"?`},
		{"xyz", `no command "xyz" (`},
		{"help xyz", "xyz"},
		{"run --tempp 1", "did you mean --temp?"},
		{"run --zzz", "unknown flag --zzz"},
		{"run -p", "-p needs a value"},
		{"run -p x -n abc", `-n: "abc" is not a whole number`},
		{"run -p x --temp warm", `--temp: "warm" is not a number`},
		{"run -p x --no-template=perhaps", `--no-template: "perhaps" is neither true nor false`},
		{"run -p x --seed 99999999999999999999", "is out of range"},
		{"run x", `unexpected argument "x"`},
		{"run -p x -f y", "--prompt and --file"},
		{"run -p x -m=", "--model"},
		{"run -p x --temp -0.1", "--temp -0.1"},
		{"run -p x --temp NaN", "--temp NaN"},
		{"run -p x --temp Inf", "--temp +Inf"},
		{"run -p x --top-p 1.5", "--top-p 1.5: must lie between 0 and 1"},
		{"run -p x --top-p -1", "--top-p -1"},
		{"run -p x --min-p 2", "--min-p 2"},
		{"run -p x --typical 7", "--typical 7"},
		{"run -p x --repeat-penalty -1", "--repeat-penalty -1"},
		{"run -p x --presence-penalty NaN", "--presence-penalty NaN"},
		{"run -p x --frequency-penalty 1e9", "--frequency-penalty 1e+09"},
		{"run -p x --top-k -2", "--top-k -2"},
		{"run -p x --repeat-last-n -2", "--repeat-last-n -2"},
		{"run -p x --seed -2", "--seed -2"},
		{"run -p x -n -2", "--n-predict -2"},
		{"run -p x -c -2", "--ctx-size -2"},
		{"run -p x -b 0", "--batch-size 0"},
		{"run -p x -t -1", "--threads -1"},
		{"run -p x -t 100000", "--threads 100000"},
		{"run -p x -ngl -2", "--n-gpu-layers -2"},
		{"run -p x -ctk q4_0", "--cache-type-k q4_0: must be one of f32, f16, q8_0"},
		{"run -p x -ctv q4_0", "--cache-type-v q4_0: must be one of f32, f16, q8_0"},
		{"bench -ctk f16 -ctv q8_0", "--cache-type-k f16 and --cache-type-v q8_0: keys and values must be of the same type"},
		{"run -p x --device abacus", "--device abacus: not available here (have cpu, ref)"},
		{"info", "takes one argument, FILE; got 0"},
		{"info a b", "got 2"},
		{"version x", `unexpected argument "x"`},
		{"perplexity", "--file"},
		{"perplexity x", `unexpected argument "x"`},
		{"perplexity -f x -c 3", "--ctx-size 3"},
		{"perplexity --kl-divergence", "--kl-divergence-base"},
		{"logits", "--ids"},
		{"logits --ids 1,z", `"z" is no token id`},
		{"logits --ids 99999999999", "is no token id"},
		{"bench x", `unexpected argument "x"`},
		{"bench -p ten", "--n-prompt"},
		{"bench -n 3-1", "--n-gen"},
		{"bench -n 1-10*1", "--n-gen"},
		{"bench -b 0", "--batch-size"},
		{"bench -p 0 -n 0", "nothing to measure"},
		{"bench -pg 5", "--pg"},
		{"bench -pg 5,x", "--pg"},
		{"bench -np 0", "--parallel"},
		{"bench -np 1,4 -o csv", "--output csv"},
		{"bench -r 0", "--repetitions 0"},
		{"bench -o xml", `"xml"`},
		{"bench --device abacus", "--device abacus"},
		{"bench -t 100000", "--threads"},
		{"quantize a b", "three arguments"},
		{"quantize a b Q4_9", "Q4_9"},
		{"quantize -t -1 a b Q4_0", "--threads -1"},
		{"tokenize -m x", "give one of"},
		{"tokenize -m= -p x", "--model"},
	} {
		t.Run(test.line, func(t *testing.T) {
			r := do("", strings.Fields(test.line)...)
			if r.status != 2 {
				t.Errorf("status %d, want 2", r.status)
			}
			r.oneLine(t, test.want)
		})
	}
}

// TestFailures are command lines that are right and yet cannot be done: status 1.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ line, want string }{
		{"run -m /nowhere/model.gguf -p x", "open /nowhere/model.gguf: no such file or directory"},
		{"run -m " + stories + " -f /nowhere/text", "/nowhere/text"},
		{"run -m " + stories + " -f " + dir, "is a directory"},
		{"run -m " + stories + " -c 4 -p time,time,time,time", "fills the context of 4: --ctx-size sets its size"},
		{"run -m " + stories + " -p x -ctv q8_0", "KV cache type Q8_0: heads of layer 0 have keys of 8 values, not whole blocks of 32"},
		{"run -m " + stories + " -p x -c 2000000000", "needs 1288.0 GB of memory"},
		{"run -m " + stories + " -p x -c 99999999999", "99999999999"},
		{"perplexity -m " + stories + " -f ../../testdata/tinystories_sample.txt -c 100000", "fewer than one chunk"},
		{"perplexity -m " + stories + " --kl-divergence --kl-divergence-base /nowhere/base", "/nowhere/base"},
		{"perplexity -m " + stories + " --kl-divergence --kl-divergence-base " + stories, "not a file of base logits"},
		{"perplexity -m " + stories + " -f ../../testdata/tinystories_sample.txt --kl-divergence-base /nowhere/base", "/nowhere"},
		{"logits -m " + stories + " --ids 1,512", "outside the vocabulary of 512"},
		{"logits -m " + stories + " --ids 1,-1", "outside the vocabulary of 512"},
		{"logits -m " + stories + " -c 2 --ids 1,2,3", "the context of 2"},
		{"bench -m " + dir, "is a directory"},
		{"info /nowhere/model.gguf", "/nowhere/model.gguf"},
	} {
		t.Run(strings.ReplaceAll(test.line, dir, "DIR"), func(t *testing.T) {
			r := do("", strings.Fields(test.line)...)
			if r.status != 1 {
				t.Errorf("status %d, want 1", r.status)
			}
			r.oneLine(t, test.want)
		})
	}
}

// TestHelp reads the help of every command.
func TestHelp(t *testing.T) {
	root := do("", "--help")
	if root.status != 0 || root.stderr != "" {
		t.Fatalf("status %d, stderr %q", root.status, root.stderr)
	}
	if bare := do(""); bare != root {
		t.Errorf("gollm alone says something else than gollm --help: %+v", bare)
	}
	for name, flags := range map[string][]string{
		"run": {"--model FILE, -m FILE", "--prompt", "-p", "--file", "-f", "-n int", "-c int", "--ngl int", "-t int", "-b int", "--temp", "--top-k", "--top-p",
			"--min-p", "--repeat-penalty", "--seed", "--device", "--precise", "--system", "--no-template", "--display-prompt", "--stop"},
		"bench":      {"-m FILE", "-p", "-n", "--pg", "-d", "--np", "-r", "-t", "-b", "--precise", "-o", "md, csv, json, jsonl, sql"},
		"perplexity": {"-f", "-c int", "--kl-divergence-base", "--kl-divergence", "--precise"},
		"logits":     {"--ids", "--precise"},
		"info":       {"FILE", "--json"},
		"tokenize":   {"-f", "-p", "--ids", "--no-bos", "--no-parse-special", "--show-count", "--stdin"},
		"quantize":   {"IN OUT TYPE", "Q4_K_M", "--dry-run", "--allow-requantize", "--threads", "-t"},
		"version":    {},
		"completion": {"bash", "zsh", "fish"},
	} {
		if !strings.Contains(root.stdout, "\n   "+name+" ") {
			t.Errorf("gollm --help does not list %s", name)
		}
		r := do("", name, "--help")
		if r.status != 0 || r.stderr != "" {
			t.Errorf("%s --help: status %d, stderr %q", name, r.status, r.stderr)
		}
		for _, f := range append(flags, "gollm "+name+" ") {
			if !strings.Contains(r.stdout, f) {
				t.Errorf("%s --help does not name %s:\n%s", name, f, r.stdout)
			}
		}
		if again := do("", "help", name); again != r {
			t.Errorf("gollm help %s differs from gollm %s --help", name, name)
		}
	}
}

func TestVersion(t *testing.T) {
	r := do("", "version")
	if r.status != 0 || r.stderr != "" || !strings.HasPrefix(r.stdout, "gollm ") || !strings.Contains(r.stdout, "go1.") || strings.Count(r.stdout, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	if r := do("", "--version"); r.status != 0 || !strings.HasPrefix(r.stdout, "gollm ") {
		t.Errorf("--version: %+v", r)
	}
}

// TestCompletion prints the scripts and lets the shells that are here read them.
func TestCompletion(t *testing.T) {
	for shell, check := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"-n"}} {
		r := do("", "completion", shell)
		if r.status != 0 || r.stderr != "" || !strings.Contains(r.stdout, "gollm") {
			t.Errorf("%s: %+v", shell, r)
		}
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte(r.stdout), 0o644); err != nil {
			t.Fatal(err)
		}
		program, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not here: its script was printed and not checked", shell)
			continue
		}
		if out, err := exec.Command(program, append(check, path)...).CombinedOutput(); err != nil {
			t.Errorf("%s finds fault with its script: %v\n%s", shell, err, out)
		}
	}
	// What the scripts ask for.
	offers := func(args ...string) string {
		out, err := command(t, append(args, "--generate-shell-completion")...).Output()
		if err != nil {
			t.Error(err)
		}
		return string(out)
	}
	all := offers()
	for _, name := range []string{"run", "bench", "info", "perplexity", "logits", "tokenize", "version"} {
		if !strings.Contains(all, name+":") {
			t.Errorf("completion offers no %s: %q", name, all)
		}
	}
	if some := offers("run", "--top"); !strings.Contains(some, "--top-k") || !strings.Contains(some, "--top-p") || strings.Contains(some, "--min-p") {
		t.Errorf("completion of run --top offers %q", some)
	}
}
