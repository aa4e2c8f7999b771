package bench

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gollm/gollm/engine"
)

const storiesPath = "../testdata/stories260K.gguf"

func stories(t testing.TB, o engine.Options) *engine.Model {
	t.Helper()
	m, err := engine.Load(context.Background(), filepath.FromSlash(storiesPath), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestNames(t *testing.T) {
	for test, want := range map[Test]string{
		{Prompt: 512}:                      "pp512",
		{Gen: 128}:                         "tg128",
		{Gen: 128, Sessions: 1}:            "tg128",
		{Gen: 64, Depth: 8, Sessions: 4}:   "tg64 @ d8 x4",
		{Prompt: 512, Gen: 128}:            "pp512+tg128",
		{Gen: 128, Depth: 1024}:            "tg128 @ d1024",
		{Prompt: 8, Gen: 4, Depth: 100000}: "pp8+tg4 @ d100000",
	} {
		if got := test.String(); got != want {
			t.Errorf("%+v is named %s, want %s", test, got, want)
		}
	}
	for n, want := range map[int64]string{292_800: "293K", 999_600: "1M", 134_515_008: "135M", 999_400_000: "999M", 999_600_000: "1.0B",
		1_500_000_000: "1.5B", 6_738_415_616: "6.7B", 9_960_000_000: "10B", 70_553_706_496: "71B", 671_026_419_200: "671B"} {
		if got := parameters(n); got != want {
			t.Errorf("%d parameters are written %s, want %s", n, got, want)
		}
	}
}

func TestRun(t *testing.T) {
	for _, test := range []Test{{Prompt: 20}, {Gen: 5}, {Prompt: 20, Gen: 5}, {Prompt: 3, Depth: 17}, {Gen: 2, Depth: 30}, {Prompt: 100}, {Prompt: 4, Gen: 5, Depth: 7, Sessions: 3}} {
		t.Run(test.String(), func(t *testing.T) {
			// The context is exactly as long as the test: more tokens would fail.
			m := stories(t, engine.Options{Context: test.Tokens(), Batch: 64, Threads: 1})
			before := time.Now()
			r, err := Run(context.Background(), m, test, 3, false)
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(before)
			if r.Test() != test || len(r.SamplesNS) != 3 || len(r.SamplesTS) != 3 {
				t.Errorf("%+v", r)
			}
			var sum int64
			for i, ns := range r.SamplesNS {
				sum += ns
				if want := float64(max(1, test.Sessions)*(test.Prompt+test.Gen)) / (float64(ns) / 1e9); ns <= 0 || math.Abs(r.SamplesTS[i]-want) > 1e-6*want {
					t.Errorf("sample %d: %d ns, %v t/s", i, ns, r.SamplesTS[i])
				}
			}
			if sum > took.Nanoseconds() {
				t.Errorf("samples of %d ns in %v", sum, took)
			}
			if max(3*r.AvgNS-sum, sum-3*r.AvgNS) > 3 || r.AvgTS <= 0 || r.StddevNS < 0 || r.StddevTS < 0 {
				t.Errorf("of %d ns the mean is said to be %d ± %d, %v ± %v t/s", r.SamplesNS, r.AvgNS, r.StddevNS, r.AvgTS, r.StddevTS)
			}
			if r.Model != "llama 293K F32" || r.Parameters != 292800 || r.Size != 1171200 || r.Threads != 1 || r.Batch != 64 || r.Backend != "CPU" ||
				r.KeyType != "f16" || r.File != filepath.FromSlash(storiesPath) || r.CPU == "" || r.Commit == "" {
				t.Errorf("%+v", r)
			}
			if _, err := time.Parse(time.RFC3339, r.Time); err != nil || !strings.HasSuffix(r.Time, "Z") {
				t.Errorf("time %q: %v", r.Time, err)
			}
		})
	}
}

// TestRunTimesTheTest checks that the time is that of the test and not of what
// is read before it: a test at depth takes no longer than reading the depth.
func TestRunTimesTheTest(t *testing.T) {
	m := stories(t, engine.Options{Context: 500, Threads: 1})
	at, err := Run(context.Background(), m, Test{Gen: 1, Depth: 400}, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	all, err := Run(context.Background(), m, Test{Prompt: 400, Gen: 1}, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	// A hundred times as long; the quickest and the slowest, so that a busy
	// machine changes nothing.
	if at, all := slices.Min(at.SamplesNS), slices.Max(all.SamplesNS); at*4 > all {
		t.Errorf("tg1 @ d400 took %d ns, pp400+tg1 %d ns", at, all)
	}
}

func TestRunRefuses(t *testing.T) {
	m := stories(t, engine.Options{Context: 64})
	for name, f := range map[string]func() error{
		"measure nothing":      func() error { _, err := Run(context.Background(), m, Test{Depth: 4}, 1, false); return err },
		"-1 prompt":            func() error { _, err := Run(context.Background(), m, Test{Prompt: -1, Gen: 3}, 1, false); return err },
		"-1 sessions":          func() error { _, err := Run(context.Background(), m, Test{Gen: 1, Sessions: -1}, 1, false); return err },
		"0 repetitions":        func() error { _, err := Run(context.Background(), m, Test{Gen: 1}, 0, false); return err },
		"a context of 65 toke": func() error { _, err := Run(context.Background(), m, Test{Prompt: 60, Gen: 5}, 1, false); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, m, Test{Gen: 4}, 3, false); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// TestRunCanceled cancels in the middle of a test that would take hours.
func TestRunCanceled(t *testing.T) {
	m := stories(t, engine.Options{Context: 1_000_000, Threads: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, m, Test{Gen: 900_000}, 100, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		in        []float64
		mean, dev float64
	}{
		{[]float64{5}, 5, 0},
		{[]float64{2, 4}, 3, math.Sqrt2},
		{[]float64{2, 4, 4, 4, 5, 5, 7, 9}, 5, math.Sqrt(32.0 / 7)},
		{[]float64{1e9, 1e9, 1e9}, 1e9, 0},
	} {
		if mean, dev := spread(test.in); math.Abs(mean-test.mean) > 1e-9*test.mean || math.Abs(dev-test.dev) > 1e-6 {
			t.Errorf("%v: %v ± %v, want %v ± %v", test.in, mean, dev, test.mean, test.dev)
		}
	}
}

// TestTokenBytes: the table of embeddings is not read through when the output has
// weights of its own; stories260K has.
func TestTokenBytes(t *testing.T) {
	m := stories(t, engine.Options{Context: 8, Threads: 1})
	f := m.File()
	want := m.Info().Bytes - int64(len(f.Tensor("token_embd.weight").Data))
	if f.Tensor("output.weight") == nil {
		want = m.Info().Bytes
	}
	for test, want := range map[Test]int64{{Gen: 2}: want, {Prompt: 2}: 0, {Prompt: 2, Gen: 2}: 0} {
		r, err := Run(context.Background(), m, test, 1, true)
		if err != nil {
			t.Fatal(err)
		}
		if r.TokenBytes != want {
			t.Errorf("%s: a token reads %d bytes, want %d", test, r.TokenBytes, want)
		}
		r.AvgTS = 10
		if r.Compare(100 * float64(want)); want > 0 && math.Abs(r.Share-0.1) > 1e-9 || want == 0 && r.Share != 0 {
			t.Errorf("%s: a share of %v", test, r.Share)
		}
	}
}

// TestBandwidth: slower than a cache could be, faster than a disk.
func TestBandwidth(t *testing.T) {
	for _, threads := range []int{1, 3} {
		if b := Bandwidth(threads); !(b > 1e8 && b < 1e13) {
			t.Errorf("%d threads: %v bytes a second", threads, b)
		}
	}
}
