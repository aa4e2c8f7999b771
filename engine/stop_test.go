package engine

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestStopperHoldsBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		stops []string
		in    []string
		show  []string // for each piece
		stop  bool
		flush string
	}{
		{"none", nil, []string{"a", "b"}, []string{"a", "b"}, false, ""},
		{"whole", []string{"END"}, []string{"x END y"}, []string{"x "}, true, ""},
		{"straddles", []string{"END"}, []string{"xE", "N", "D!"}, []string{"x", "", ""}, true, ""},
		{"false_start", []string{"END"}, []string{"E", "N", "E", "N", "X"}, []string{"", "", "EN", "", "ENX"}, false, ""},
		{"repeated_prefix", []string{"aab"}, []string{"a", "a", "a", "b"}, []string{"", "", "a", ""}, true, ""},
		{"first_of_two", []string{"later", "now"}, []string{"now later"}, []string{""}, true, ""},
		{"held_at_the_end", []string{"\n\n"}, []string{"x\n"}, []string{"x"}, false, "\n"},
		{"empty_stop_ignored", []string{""}, []string{"x"}, []string{"x"}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStopper(c.stops)
			stopped := false
			for i, in := range c.in {
				var show string
				if show, stopped = s.push(in); show != c.show[i] {
					t.Errorf("push(%q) shows %q, want %q", in, show, c.show[i])
				}
			}
			if stopped != c.stop {
				t.Errorf("stopped %v, want %v", stopped, c.stop)
			}
			if got := s.flush(); got != c.flush {
				t.Errorf("flush gives %q, want %q", got, c.flush)
			}
		})
	}
}

// However a text is cut into pieces, what is shown is the text up to the stop
// string that is complete first.
func TestStopperAnyCut(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "ab"[r.IntN(2)]
		}
		return string(b)
	}
	for range 2000 {
		text, stops := word(r.IntN(40)), []string{word(1 + r.IntN(5)), word(1 + r.IntN(5))}
		want, end := text, len(text)+1
		for _, s := range stops {
			i := strings.Index(text, s)
			if e := i + len(s); i >= 0 && (e < end || e == end && i < len(want)) {
				want, end = text[:i], e
			}
		}
		s, got, stopped := newStopper(stops), "", false
		for rest := text; len(rest) > 0 && !stopped; {
			n := 1 + r.IntN(len(rest))
			var show string
			show, stopped = s.push(rest[:n])
			got, rest = got+show, rest[n:]
		}
		if !stopped {
			got += s.flush()
		}
		if got != want {
			t.Fatalf("text %q, stops %q: shown %q, want %q", text, stops, got, want)
		}
	}
}
