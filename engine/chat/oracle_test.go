package chat

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"testing"
	"time"

	"github.com/gollm/gollm/engine/chat/internal/jinja"
)

// referenceTime is the clock of reference.py.
var referenceTime = time.Date(2026, 3, 7, 14, 5, 9, 0, time.UTC)

type referenceCase struct {
	Case    string          `json:"case"`
	Context json.RawMessage `json:"context"`
}

type referenceTemplate struct {
	Name   string `json:"name"`
	Source string `json:"source"`
}

type referenceResult struct {
	Template string  `json:"template"`
	Case     string  `json:"case"`
	Text     *string `json:"text"`
	Error    string  `json:"error"`
	Etype    string  `json:"etype"`
	Relaxed  bool    `json:"relaxed"`
}

// TestOracle renders the real templates of llama.cpp's tree and compares with
// Python's jinja2, which it runs.
func TestOracle(t *testing.T) {
	dir := os.Getenv("GOLLM_ORACLE")
	if dir == "" {
		t.Skip("needs GOLLM_ORACLE=DIR with chat templates in DIR/templates, and Python 3 with pip: make test-oracle")
	}
	python := referencePython(t)
	work := t.TempDir()
	casesFile := filepath.Join(work, "cases.json")
	command(t, python, "testdata/conversations.py", casesFile)
	var cases []referenceCase
	readJSON(t, casesFile, &cases)
	templates := readTemplates(t, filepath.Join(dir, "templates"))
	results := reference(t, python, work, cases, templates)
	if want := len(cases) * len(templates); len(results) != want || want == 0 {
		t.Fatalf("%d reference results for %d templates and %d cases", len(results), len(templates), len(cases))
	}
	sources := map[string]string{}
	for _, x := range templates {
		sources[x.Name] = x.Source
	}
	contexts := map[string]json.RawMessage{}
	for _, c := range cases {
		contexts[c.Case] = c.Context
	}
	right, failed, relaxed := 0, 0, 0
	for _, want := range results {
		if want.Text == nil {
			failed++
		}
		if want.Relaxed {
			relaxed++
		}
		if err := checkReference(sources[want.Template], contexts[want.Case], want); err != nil {
			t.Errorf("%s, %s: %v", want.Template, want.Case, err)
			continue
		}
		right++
	}
	t.Logf("%d of %d as the reference: %d templates, %d conversations; %d of the reference's results are errors, %d come from the sandbox that allows changes",
		right, len(results), len(templates), len(cases), failed, relaxed)
}

// TestOracleRecorded records again what internal/jinja's tests compare with.
func TestOracleRecorded(t *testing.T) {
	if os.Getenv("GOLLM_ORACLE") == "" {
		t.Skip("needs GOLLM_ORACLE, and Python 3 with pip: make test-oracle")
	}
	fresh := filepath.Join(t.TempDir(), "recorded.json")
	command(t, referencePython(t), "-W", "ignore", "internal/jinja/testdata/record.py", fresh)
	got, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("internal/jinja/testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("internal/jinja/testdata/recorded.json is not what record.py writes")
	}
}

// checkReference renders a context twice: as it is, and, where it says what
// Options can say, through Render.
func checkReference(source string, context json.RawMessage, want referenceResult) error {
	v, err := jinja.DecodeJSON(context)
	if err != nil {
		return err
	}
	tmpl, err := New(source, "<s>", "</s>")
	if err != nil {
		return compareReference("", err, want)
	}
	text, err := tmpl.render(v.(*jinja.Dict), referenceTime)
	if err := compareReference(text, err, want); err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(context, &fields); err != nil {
		return err
	}
	if _, ok := fields["tools"]; !ok {
		return nil // Render always defines tools, as transformers does
	}
	var messages []Message
	opts := Options{Now: referenceTime, Vars: map[string]any{}}
	for name, raw := range fields {
		var err error
		switch name {
		case "messages":
			err = json.Unmarshal(raw, &messages)
		case "tools":
			err = json.Unmarshal(raw, &opts.Tools)
		case "add_generation_prompt":
			err = json.Unmarshal(raw, &opts.GenerationPrompt)
		case "documents", "bos_token", "eos_token":
		default:
			opts.Vars[name] = raw
		}
		if err != nil {
			return err
		}
	}
	text, err = tmpl.Render(messages, opts)
	if err := compareReference(text, err, want); err != nil {
		return fmt.Errorf("through Render: %w", err)
	}
	return nil
}

func compareReference(text string, err error, want referenceResult) error {
	switch {
	case want.Text == nil && err == nil:
		return fmt.Errorf("rendered, but the reference says %s: %s", want.Etype, want.Error)
	case want.Text == nil:
		e, ok := err.(*Error)
		if !ok {
			return fmt.Errorf("error is a %T: %v", err, err)
		}
		// The template's own words, and what is undefined, are to be the same.
		raised := want.Etype == "TemplateError"
		if e.Refused != raised || (raised || want.Etype == "UndefinedError") && e.Message != want.Error {
			return fmt.Errorf("error %q, the reference says %s: %q", err, want.Etype, want.Error)
		}
		return nil
	case err != nil:
		return fmt.Errorf("%w, but the reference renders it", err)
	case text != *want.Text:
		i := 0
		for i < len(text) && i < len(*want.Text) && text[i] == (*want.Text)[i] {
			i++
		}
		around := func(s string) string { return s[max(0, i-40):min(len(s), i+40)] }
		return fmt.Errorf("differs at byte %d: %q, the reference has %q", i, around(text), around(*want.Text))
	}
	return nil
}

func readTemplates(t *testing.T, dir string) []referenceTemplate {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jinja"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no *.jinja in %s (%v)", dir, err)
	}
	sort.Strings(files)
	var list []referenceTemplate
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, referenceTemplate{filepath.Base(f), string(b)})
	}
	return list
}

// reference runs reference.py.
func reference(t *testing.T, python, work string, cases []referenceCase, templates []referenceTemplate) []referenceResult {
	t.Helper()
	jobs, err := json.Marshal(map[string]any{"cases": cases, "templates": templates})
	if err != nil {
		t.Fatal(err)
	}
	in, out := filepath.Join(work, "jobs.json"), filepath.Join(work, "results.json")
	if err := os.WriteFile(in, jobs, 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, python, "testdata/reference.py", in, out)
	var results []referenceResult
	readJSON(t, out, &results)
	return results
}

// referencePython returns a Python that has jinja2 3.1.6: $GOLLM_PYTHON, or one in
// the user's cache directory, made at the first use.
func referencePython(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("GOLLM_PYTHON"); p != "" {
		return p
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "gollm", "jinja2-3.1.6")
	python := filepath.Join(dir, "bin", "python")
	if runtime.GOOS == "windows" {
		python = filepath.Join(dir, "Scripts", "python.exe")
	}
	if exec.Command(python, "-c", "import jinja2; assert jinja2.__version__ == '3.1.6'").Run() != nil {
		command(t, "python3", "-m", "venv", "--clear", dir)
		command(t, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "jinja2==3.1.6", "markupsafe==3.0.4")
	}
	return python
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
