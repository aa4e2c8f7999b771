package gguf

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestJSONRoundTrip(t *testing.T) {
	pairs := append([]Pair{
		{"nan", float32(math.NaN())}, {"inf", math.Inf(1)}, {"infs", []float32{float32(math.Inf(-1)), 0.1}},
		{"html", "<s> & </s>"},
	}, everyKind...)
	for _, p := range pairs {
		b, err := json.Marshal(p)
		if err != nil {
			t.Errorf("%q: %v", p.Key, err)
			continue
		}
		var got Pair
		if err := json.Unmarshal(b, &got); err != nil {
			t.Errorf("%s: %v", b, err)
			continue
		}
		want := p.Value
		if p.Key == "a.string" { // its last element is not UTF-8
			want = []string{"", "a", "", "bc", "\ufffd not UTF-8"}
		}
		if got.Key != p.Key || !same(got.Value, want) && fmt.Sprint(got.Value) != "NaN" {
			t.Errorf("%q %#v became %s became %q %#v", p.Key, want, b, got.Key, got.Value)
		}
	}
}

func TestJSONForm(t *testing.T) {
	for _, c := range []struct {
		pair Pair
		want string
	}{
		{Pair{"a", uint32(7)}, `{"key":"a","kind":"uint32","value":7}`},
		{Pair{"a", "<s>"}, `{"key":"a","kind":"string","value":"<s>"}`},
		{Pair{"a", []uint8{1, 2}}, `{"key":"a","kind":"[]uint8","value":[1,2]}`},
		{Pair{"a", float32(1e-5)}, `{"key":"a","kind":"float32","value":0.00001}`},
		{Pair{"a", []any{[]bool{true}}}, `{"key":"a","kind":"[]array","value":[{"kind":"[]bool","value":[true]}]}`},
	} {
		if got, err := c.pair.MarshalJSON(); string(got) != c.want || err != nil {
			t.Errorf("%v: %s, %v; want %s", c.pair, got, err, c.want)
		}
	}
}

func TestJSONRefuses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"key":"a","kind":"int","value":1}`, `gguf: key "a": kind "int" is unknown`},
		{`{"key":"a","kind":"uint8","value":256}`, `gguf: key "a": uint8: json: cannot unmarshal number 256`},
		{`{"key":"a","kind":"uint8","value":null}`, `gguf: key "a": uint8: has no value`},
		{`{"key":"a","kind":"uint8"}`, `gguf: key "a": uint8: unexpected end of JSON input`},
		{`{"key":"a","kind":"float32","value":"x"}`, `gguf: key "a": float32: strconv.ParseFloat`},
		{`{"key":"a","kind":"[]array","value":[{"kind":"[]bool","value":[1]}]}`, `gguf: key "a": element 0: []bool: json:`},
	} {
		var p Pair
		if err := json.Unmarshal([]byte(c.in), &p); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s…", c.in, err, c.want)
		}
	}
	if _, err := json.Marshal(Pair{"a", 1}); err == nil || !strings.Contains(err.Error(), `gguf: key "a": a int is no metadata value`) {
		t.Errorf("a Go int: error %v", err)
	}
}
