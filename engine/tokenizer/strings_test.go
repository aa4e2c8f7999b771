package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestStringTable holds the table to a map, full as it may be.
func TestStringTable(t *testing.T) {
	if _, ok := new(stringTable).find("a"); ok {
		t.Error("an empty table has a string")
	}
	for _, n := range []int{1, 2, 3, 4, 255, 256, 257, 5000} {
		table, want := newStringTable(n, 0), map[string]int32{}
		var list []string
		for len(list) < n {
			s := fmt.Sprintf("%.*d", rand.IntN(4), rand.IntN(2*n)) // the empty one, too
			at, fresh := table.add(s)
			if id, ok := want[s]; ok == fresh || ok && at != id || !ok && int(at) != len(list) {
				t.Fatalf("of %d: %q is added as %d, %v; there was %d, %v", n, s, at, fresh, id, ok)
			}
			if fresh {
				want[s], list = at, append(list, s)
			}
		}
		if table.len() != n {
			t.Fatalf("of %d: there are %d", n, table.len())
		}
		for i, s := range table.each() {
			if at, ok := table.find(s); !ok || at != i || s != list[i] || table.at(i) != s {
				t.Fatalf("of %d: %d is %q, found at %d, %v, want %q", n, i, s, at, ok, list[i])
			}
			if _, ok := table.find(s + "x"); ok {
				t.Fatalf("of %d: %q is found", n, s+"x")
			}
		}
	}
}

// A special token whose name is the mark alone has, shown, no name.
func TestMarkAlone(t *testing.T) {
	v := preVocab("qwen2")
	v.model = "hybriddna"
	for _, w := range []string{"<dna>", "</dna>", "<oov>"} {
		v.add(w, 1, 0)
	}
	v.add(dnaMark, 3, 0)
	tok := v.tokenizer(t)
	if got := tok.Text(int32(tok.Size() - 1)); got != "" {
		t.Errorf("its text is %q", got)
	}
	tok.Encode("a "+dnaMark, Options{ParseSpecial: true})
}
