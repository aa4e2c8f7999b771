package testmodel

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gollm/gollm/gguf"
)

const families = "../../../testdata/families/"

func TestFamiliesLoad(t *testing.T) {
	paths, err := filepath.Glob(families + "*.json")
	if err != nil || len(paths) < 25 {
		t.Fatalf("%d descriptions, %v", len(paths), err)
	}
	for _, p := range paths {
		d, err := Load(p)
		if err != nil {
			t.Error(err)
			continue
		}
		if len(d.Metadata) == 0 || len(d.Tensors) == 0 || d.Metadata[0].Key != "general.architecture" || d.Source == "" {
			t.Errorf("%s: %d pairs, %d tensors, from %q", p, len(d.Metadata), len(d.Tensors), d.Source)
		}
		want, _ := os.ReadFile(p)
		if got, err := d.Encode(); !bytes.Equal(got, want) {
			t.Errorf("%s: encodes to something else, %v", p, err)
		}
	}
}

// A written model has the form of its description.
func TestWrite(t *testing.T) {
	for _, name := range []string{"llama-dense", "gpt-oss-moe"} {
		d, err := Load(families + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := Write(path, d, 1); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got := Describe(f, d.Source); !reflect.DeepEqual(got, d) {
			t.Errorf("%s: the model's description is another", name)
		}
	}
}

// The same seed gives the same file everywhere: recorded logits depend on it.
func TestWriteIsDeterministic(t *testing.T) {
	d := &Description{
		Metadata: []gguf.Pair{{Key: "general.architecture", Value: "llama"}},
		Tensors: []Tensor{
			{"blk.0.attn_q.weight", gguf.F32, []int{64, 64}},
			{"blk.0.attn_q.bias", gguf.F32, []int{64}},
			{"blk.0.attn_norm.weight", gguf.F32, []int{64}},
			{"blk.0.ssm_a", gguf.F32, []int{64}},
			{"rope_freqs.weight", gguf.F32, []int{32}},
			{"blk.0.ssm_conv1d.weight", gguf.F16, []int{4, 64}},
			{"blk.0.ffn_up.weight", gguf.BF16, []int{64, 4}},
		},
	}
	for seed, want := range map[uint64]string{
		1: "84cd05090a29381a5f76a2765e31946461eb5bb3d31d057646d67451f1c11e28",
		2: "1b92a43ca4addcd9ce555bc9b8575a85db33632c4b6afc2b29bfdb713b3a2c20",
	} {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := Write(path, d, seed); err != nil {
			t.Fatal(err)
		}
		b, _ := os.ReadFile(path)
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != want {
			t.Errorf("seed %d: sha256 %s, want %s", seed, got, want)
		}
	}
}

func TestWeights(t *testing.T) {
	const n = 40000
	for _, c := range []struct {
		name            string
		mean, deviation float64
		least, most     float64
	}{
		{"blk.0.attn_q.weight", 0, 0.1, -0.35, 0.35},
		{"blk.0.ffn_up.bias", 0, 0.1, -0.35, 0.35},
		{"blk.0.attn_norm.bias", 0, 0.1, -0.35, 0.35},
		{"output_norm.weight", 1, 0.1, 0.65, 1.35},
		{"blk.0.attn_q_norm.weight", 1, 0.1, 0.65, 1.35},
		{"blk.0.attn_q.scale", 1, 0.1, 0.65, 1.35},
		{"blk.0.ssm_a", -1, 0.1, -1.35, -0.65},
		// The mean of |x| is 0.804 here, √(2/π) = 0.798 for a normal x.
		{"rope_freqs.weight", 1.0804, 0.0595, 1, 1.35},
	} {
		w := Weights(c.name, []int{n / 4, 4}, 7)
		sum, squares := 0.0, 0.0
		for _, v := range w {
			if !(float64(v) >= c.least && float64(v) <= c.most) {
				t.Fatalf("%s: a weight is %v, not in %v to %v", c.name, v, c.least, c.most)
			}
			sum += float64(v)
			squares += float64(v) * float64(v)
		}
		mean := sum / n
		deviation := math.Sqrt(squares/n - mean*mean)
		// Five times the standard error of the mean of n values.
		if len(w) != n || math.Abs(mean-c.mean) > 0.0025 || math.Abs(deviation-c.deviation) > 0.0015 {
			t.Errorf("%s: %d values of mean %.5f, deviation %.5f; want %v, %v", c.name, len(w), mean, deviation, c.mean, c.deviation)
		}
	}
	a, b, c := Weights("a", []int{8}, 1), Weights("b", []int{8}, 1), Weights("a", []int{8}, 2)
	if reflect.DeepEqual(a, b) || reflect.DeepEqual(a, c) {
		t.Error("tensors of other names or seeds have the same weights")
	}
}

func TestJSONRoundTrip(t *testing.T) {
	d := &Description{
		Source: "a <test>",
		Metadata: []gguf.Pair{
			{Key: "short", Value: []uint32{7, 7, 7}}, {Key: "same", Value: make([]float32, 512)}, {Key: "strings", Value: []string{"x", "x", "x", "x"}},
			{Key: "other", Value: []int8{1, 1, 1, 2}}, {Key: "string", Value: "xxxxxxxx"}, {Key: "inf", Value: float32(math.Inf(-1))},
		},
		Tensors: []Tensor{{"a", gguf.Q4_K, []int{256, 2}}},
	}
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(`{"key":"same","kind":"[]float32","value":[0],"repeat":512}`+",\n")) {
		t.Errorf("an array of equal elements is not shortened:\n%s", b)
	}
	got := new(Description)
	if err := json.Unmarshal(b, got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, d) {
		t.Errorf("%+v became\n%s\nbecame %+v", d, b, got)
	}
	var none Description
	if b, err = none.Encode(); err != nil || json.Unmarshal(b, got) != nil || !reflect.DeepEqual(*got, none) {
		t.Errorf("the empty description became\n%s\nbecame %+v, %v", b, got, err)
	}
}

func TestJSONRefuses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"metadata":[{"key":"a","kind":"uint8","value":1,"repeat":2}]}`, `key "a": a repeat of 2`},
		{`{"metadata":[{"key":"a","kind":"[]uint8","value":[1],"repeat":-1}]}`, `key "a": a repeat of -1`},
		{`{"metadata":[{"key":"a","kind":"[]uint8","value":[1],"repeat":9000000}]}`, `key "a": a repeat of 9000000`},
		{`{"metadata":[{"key":"a","kind":"int","value":1}]}`, `key "a": kind "int" is unknown`},
		{`{"tensors":[{"name":"a","type":"Q9","dims":[1]}]}`, `tensor "a": gguf: unknown tensor type "Q9"`},
		{`{`, `unexpected end`},
	} {
		path := filepath.Join(t.TempDir(), "d.json")
		os.WriteFile(path, []byte(c.in), 0o644)
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "testmodel: "+path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.in, err, c.want)
		}
	}
}

func TestSetAndDelete(t *testing.T) {
	d := &Description{Metadata: []gguf.Pair{{Key: "a.x", Value: "1"}, {Key: "b", Value: "2"}}}
	d.Set("b", uint32(3))
	d.Set("c", uint32(4))
	d.Delete(func(key string) bool { return strings.HasPrefix(key, "a.") })
	if want := []gguf.Pair{{Key: "b", Value: uint32(3)}, {Key: "c", Value: uint32(4)}}; !reflect.DeepEqual(d.Metadata, want) {
		t.Errorf("metadata %v, want %v", d.Metadata, want)
	}
}

func TestWriteRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	d := &Description{Tensors: []Tensor{{"a", gguf.Q8_0, []int{32}}}}
	if err := Write(path, d, 1); err == nil || err.Error() != `testmodel: tensor "a": there are no weights of type Q8_0` {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("%d files are left", len(left))
	}
}
