package jinja

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// referenceTime is the clock of reference.py.
var referenceTime = time.Date(2026, 3, 7, 14, 5, 9, 0, time.UTC)

type recording struct {
	Context   json.RawMessage
	Templates []struct {
		Name, Source string
		Text         *string
		Error, Etype string
		Relaxed      bool
	}
}

func readRecording(t testing.TB) recording {
	t.Helper()
	b, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec recording
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func renderSource(source string, context []byte) (string, error) {
	tmpl, err := Parse(source)
	if err != nil {
		return "", err
	}
	vars, err := DecodeJSON(context)
	if err != nil {
		return "", err
	}
	return tmpl.Render(vars.(*Dict), referenceTime, LimitsFor(len(context)))
}

// TestRecorded compares with what Python's jinja2 makes of the same templates
// (testdata/record.py).
func TestRecorded(t *testing.T) {
	rec := readRecording(t)
	if len(rec.Templates) < 900 {
		t.Fatalf("only %d recorded templates", len(rec.Templates))
	}
	for _, want := range rec.Templates {
		text, err := renderSource(want.Source, rec.Context)
		switch {
		case want.Text != nil && err != nil:
			t.Errorf("%s: %v, want %q", want.Name, err, *want.Text)
		case want.Text != nil && text != *want.Text:
			t.Errorf("%s:\n got %q\nwant %q", want.Name, text, *want.Text)
		case want.Text != nil:
		case err == nil:
			t.Errorf("%s: got %q, the reference fails with %s %s", want.Name, text, want.Etype, want.Error)
		default:
			e := err.(*Error)
			if e.Bug {
				t.Errorf("%s: %v", want.Name, err)
			}
			// Others are told in words of our own.
			if (want.Etype == "TemplateError" || want.Etype == "UndefinedError") && e.Msg != want.Error {
				t.Errorf("%s:\n got error %q\nwant error %q", want.Name, e.Msg, want.Error)
			}
			if e.Raised != (want.Etype == "TemplateError") {
				t.Errorf("%s: Raised is %v, the reference fails with %s", want.Name, e.Raised, want.Etype)
			}
		}
	}
}
