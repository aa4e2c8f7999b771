package jinja

import (
	"errors"
	"testing"
)

// FuzzRender: whatever the template and the variables, rendering ends in text or
// in an error of the template, never in a fault of this package, and twice in
// the same.
func FuzzRender(f *testing.F) {
	rec := readRecording(f)
	for _, t := range rec.Templates {
		f.Add(t.Source, string(rec.Context))
	}
	for _, source := range hostile {
		if len(source) < 1000 {
			f.Add(source, `{}`)
		}
	}
	f.Fuzz(func(t *testing.T, source, context string) {
		if len(source) > 4096 || len(context) > 4096 {
			return
		}
		tmpl, err := Parse(source)
		if err != nil {
			checkError(t, err)
			return
		}
		var texts [2]string
		var errs [2]error
		for i := range texts {
			v, err := DecodeJSON([]byte(context))
			if err != nil {
				return
			}
			vars, ok := v.(*Dict)
			if !ok {
				return
			}
			texts[i], errs[i] = tmpl.Render(vars, referenceTime, Limits{Steps: 100_000, Bytes: 1 << 20, Depth: 500})
			if errs[i] != nil {
				checkError(t, errs[i])
			}
		}
		if texts[0] != texts[1] || (errs[0] == nil) != (errs[1] == nil) || errs[0] != nil && errs[0].Error() != errs[1].Error() {
			t.Fatalf("two renderings differ:\n%q %v\n%q %v", texts[0], errs[0], texts[1], errs[1])
		}
		if len(texts[0]) > 1<<20 {
			t.Fatalf("%d bytes of text", len(texts[0]))
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is a %T: %v", err, err)
	}
	if e.Bug {
		t.Fatalf("fault: %v", err)
	}
}

// FuzzJSON: what is read as JSON is written and read again the same.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`null`, `[1, 2.0, -0, 1e5, 12345678901234567890, "a\u00e9\ud83d\ude00\n"]`, `{"b": {"a": []}, "a": {}, "b": 1}`, `[[[[`, `1 2`, `1e999`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := DecodeJSON([]byte(s))
		if err != nil {
			return
		}
		b, err := EncodeJSON(v)
		if err != nil {
			t.Fatalf("cannot write what was read from %q: %v", s, err)
		}
		w, err := DecodeJSON(b)
		if err != nil {
			if floatOverflow(v) {
				return
			}
			t.Fatalf("cannot read %q again: %v", b, err)
		}
		again, err := EncodeJSON(w)
		if err != nil || string(again) != string(b) {
			t.Fatalf("%q became %q, %v", b, again, err)
		}
	})
}

// floatOverflow tells whether a value holds an infinity, which JSON cannot.
func floatOverflow(v Value) bool {
	switch x := v.(type) {
	case float64:
		return x-x != 0
	case *List:
		for _, e := range x.Items {
			if floatOverflow(e) {
				return true
			}
		}
	case *Dict:
		for i := range x.Len() {
			if _, e := x.At(i); floatOverflow(e) {
				return true
			}
		}
	}
	return false
}
