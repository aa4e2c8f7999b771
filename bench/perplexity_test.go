package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/engine/tokenizer"
)

// sample returns the tokens of the text the perplexities are of.
func sample(t testing.TB, m *engine.Model) []int32 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "tinystories_sample.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return m.Tokenizer().Encode(string(text), tokenizer.Options{AddSpecial: true})
}

func newText(t testing.TB, m *engine.Model, size, chunks int) Text {
	t.Helper()
	text, err := NewText(sample(t, m), size, chunks)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func session(t testing.TB, m *engine.Model) *engine.Session {
	t.Helper()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestPerplexity wants the oracle's: oracle ppl stories260K.gguf
// tinystories_sample.txt 256 100.
func TestPerplexity(t *testing.T) {
	m := stories(t, engine.Options{Context: 256})
	text := newText(t, m, 256, 0)
	last := 0
	score, err := Perplexity(context.Background(), session(t, m), text, nil, func(chunk int, sofar Score) {
		if last++; chunk != last || sofar.Tokens != chunk*text.Scored() || !(sofar.PPL > 1) {
			t.Errorf("chunk %d after %d: %+v", chunk, last, sofar)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !(math.Abs(score.PPL-6.898) <= 0.002) || score.Tokens != 127*text.Chunks() || last != text.Chunks() {
		t.Errorf("%+v over %d chunks, want 6.898", score, last)
	}
	// The standard error is of the order of ppl·σ/√n.
	if !(score.Error > 0.1 && score.Error < 1) {
		t.Errorf("standard error %v", score.Error)
	}
}

func TestNewText(t *testing.T) {
	tokens := make([]int32, 100)
	for _, test := range []struct{ size, chunks, want, scored int }{{10, 0, 10, 4}, {11, -1, 9, 5}, {10, 3, 3, 4}, {100, 7, 1, 49}, {4, 0, 25, 1}} {
		text, err := NewText(tokens, test.size, test.chunks)
		if err != nil || text.Chunks() != test.want || text.Scored() != test.scored {
			t.Errorf("%+v: %d chunks of which %d positions are scored, %v", test, text.Chunks(), text.Scored(), err)
		}
	}
	for _, test := range []struct {
		size int
		want string
	}{{3, "at least 4"}, {-1, "at least 4"}, {101, "fewer than one chunk of 101"}} {
		if _, err := NewText(tokens, test.size, 0); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%d: %v", test.size, err)
		}
	}
}

func TestMean(t *testing.T) {
	var m mean
	for _, v := range []float64{1, 2, 3, 4} {
		m.add(v)
	}
	// σ² = 1.25 over n-1 = 3
	if m.value() != 2.5 || math.Abs(m.err()-math.Sqrt(1.25/3)) > 1e-12 {
		t.Errorf("%v ± %v", m.value(), m.err())
	}
	if s := m.perplexity(); s.PPL != math.Exp(2.5) || s.Tokens != 4 || math.Abs(s.Error-s.PPL*m.err()) > 1e-12 {
		t.Errorf("%+v", s)
	}
}

// writeBase returns a base file of the model's predictions of the text.
func writeBase(t testing.TB, m *engine.Model, text Text) ([]byte, Score) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewBaseWriter(&b, text, m.Info().Vocab)
	if err != nil {
		t.Fatal(err)
	}
	score, err := Perplexity(context.Background(), session(t, m), text, w, nil)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), score
}

// TestDivergenceOfItself compares a model with its own base: what remains is
// the file's 16 bits.
func TestDivergenceOfItself(t *testing.T) {
	m := stories(t, engine.Options{Context: 128})
	text := newText(t, m, 128, 3)
	file, score := writeBase(t, m, text)
	if want := 20 + 4*128*3 + 3*63*(8+2*512); len(file) != want {
		t.Errorf("%d bytes, want %d", len(file), want)
	}
	base, err := NewBase(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Diverge(context.Background(), session(t, m), base, nil)
	if err != nil {
		t.Fatal(err)
	}
	if kld, _ := d.Mean(); !(math.Abs(kld) < 1e-4) || d.Positions() != 3*63 {
		t.Errorf("KL divergence %v over %d positions", kld, d.Positions())
	}
	if same, _ := d.SameTop(); same < 0.99 {
		t.Errorf("same most likely token: %v", same)
	}
	model, from := d.Scores()
	// The file reaches 16 nats down: what is less likely than that is made likelier.
	if model != score || !(from.PPL <= score.PPL && from.PPL > 0.9*score.PPL) {
		t.Errorf("perplexities %+v and %+v, want %+v", model, from, score)
	}
	var out strings.Builder
	if err := d.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf("Mean PPL(Q)                   : %10.6f", score.PPL), "Maximum KLD:", "Median  KLD:", "Minimum KLD:", "Same top p:", "99.9%"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if err := d.Print(&full{200}); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
}

// TestDivergenceOf compares predictions that are known: two tokens with
// probabilities p and q.
func TestDivergenceOf(t *testing.T) {
	logits := func(p float64) []float32 { return []float32{float32(math.Log(p)), float32(math.Log(1 - p))} }
	d := &Divergence{}
	d.add(logits(0.5), logits(0.75), 0)
	d.add(logits(0.25), logits(0.75), 1)
	want := (0.75*math.Log(0.75/0.5) + 0.25*math.Log(0.25/0.5) + 0.75*math.Log(0.75/0.25) + 0.25*math.Log(0.25/0.75)) / 2
	if kld, _ := d.Mean(); math.Abs(kld-want) > 1e-6 {
		t.Errorf("KL divergence %v, want %v", kld, want)
	}
	if same, _ := d.SameTop(); same != 0.5 {
		t.Errorf("same most likely token %v, want 0.5", same)
	}
	// p - p(base): 0.5-0.75 and 0.75-0.25.
	if rms, _ := d.rms(); math.Abs(rms-math.Sqrt((0.0625+0.25)/2)) > 1e-6 {
		t.Errorf("RMS Δp %v", rms)
	}
	model, base := d.Scores()
	if math.Abs(model.PPL-math.Exp(-(math.Log(0.5)+math.Log(0.75))/2)) > 1e-5 || math.Abs(base.PPL-math.Exp(-(math.Log(0.75)+math.Log(0.25))/2)) > 1e-5 {
		t.Errorf("%+v, %+v", model, base)
	}
}

func TestPercentile(t *testing.T) {
	x := []float64{0, 10, 20, 30, 40}
	for f, want := range map[float64]float64{0: 0, 1: 40, 0.5: 20, 0.25: 10, 0.1: 4, 0.99: 39.6} {
		if got := percentile(x, f); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", f, got, want)
		}
	}
}

// TestBadBases gives base files that are none, or are cut off anywhere.
func TestBadBases(t *testing.T) {
	m := stories(t, engine.Options{Context: 16})
	good, _ := writeBase(t, m, newText(t, m, 16, 2))
	edit := func(at int, v uint32) []byte {
		b := append([]byte(nil), good...)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	row := 20 + 4*16*2
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":            {nil, "not a file of base logits"},
		"another file":     {[]byte("GGUF\x03 and so on, for more than twenty bytes"), "not a file of base logits"},
		"context 0":        {edit(8, 0), "chunks of 0 tokens"},
		"context negative": {edit(8, 1<<31), "chunks of -2147483648 tokens"},
		"context huge":     {edit(8, math.MaxInt32), "do not fit"},
		"vocabulary 0":     {edit(12, 0), "vocabulary of 0"},
		"vocabulary huge":  {edit(12, math.MaxInt32), "does not fit"},
		"vocabulary small": {edit(12, 2), "outside the vocabulary of 2"},
		"no chunks":        {edit(16, 0), "0 chunks"},
		"chunks huge":      {edit(16, math.MaxInt32), "do not fit"},
		"one chunk more":   {edit(16, 3), ""},
		"token":            {edit(24, 512), "token 1 is 512"},
		"token negative":   {edit(24, math.MaxUint32), "token 1 is -1"},
		"scale NaN":        {edit(row, math.Float32bits(float32(math.NaN()))), "scale of NaN"},
		"scale negative":   {edit(row, math.Float32bits(-1)), "scale of -1"},
		"least infinite":   {edit(row+4, math.Float32bits(float32(math.Inf(-1)))), "from -Inf"},
	} {
		t.Run(name, func(t *testing.T) {
			err := readBase(m, session(t, m), test.data)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	s := session(t, m)
	for n := range good {
		if n%97 != 0 && n > 200 && n < len(good)-3 {
			continue
		}
		if err := readBase(m, s, good[:n]); err == nil {
			t.Errorf("%d of %d bytes: no error", n, len(good))
		}
	}
	if err := readBase(m, s, good); err != nil {
		t.Errorf("the whole file: %v", err)
	}
	other := edit(12, 511)
	if err := readBase(m, s, other); err == nil || !strings.Contains(err.Error(), "the base has a vocabulary of 511, the model of 512") {
		t.Errorf("another vocabulary: %v", err)
	}
}

func readBase(_ *engine.Model, s *engine.Session, data []byte) error {
	base, err := NewBase(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	_, err = Diverge(context.Background(), s, base, nil)
	return err
}

// FuzzNewBase reads any bytes as a base file, to its end.
func FuzzNewBase(f *testing.F) {
	var b bytes.Buffer
	w, err := NewBaseWriter(&b, Text{Context: 4, Tokens: []int32{0, 1, 2, 1}}, 3)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(w.write([]float32{1, 2, -30}), w.Flush()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:30])
	f.Add([]byte(baseMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		base, err := NewBase(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for range base.Text.Chunks() * base.Text.Scored() {
			logp, err := base.next()
			if err != nil {
				return
			}
			if len(logp) != base.Vocab {
				t.Fatalf("%d values, vocabulary of %d", len(logp), base.Vocab)
			}
		}
	})
}
