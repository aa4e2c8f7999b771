package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/gollm/gollm/engine"
	"golang.org/x/sync/errgroup"
)

// Test is one measurement: Prompt tokens read in one go, then Gen tokens one
// by one, after Depth tokens that are not timed. With only Prompt or only Gen it
// measures the one speed. With Sessions above 1 so many sessions do it at once, each with
// tokens of its own, and the speed is that of all together.
type Test struct{ Prompt, Gen, Depth, Sessions int }

// String returns the test's name as llama-bench writes it: pp512, tg128,
// pp512+tg128, tg128 @ d1024; and tg128 x4 of four sessions at once.
func (t Test) String() string {
	var s string
	switch {
	case t.Gen == 0:
		s = fmt.Sprintf("pp%d", t.Prompt)
	case t.Prompt == 0:
		s = fmt.Sprintf("tg%d", t.Gen)
	default:
		s = fmt.Sprintf("pp%d+tg%d", t.Prompt, t.Gen)
	}
	if t.Depth > 0 {
		s += fmt.Sprintf(" @ d%d", t.Depth)
	}
	if t.Sessions > 1 {
		s += fmt.Sprintf(" x%d", t.Sessions)
	}
	return s
}

// Tokens returns the tokens of a session that the test fills.
func (t Test) Tokens() int { return t.Depth + t.Prompt + t.Gen }

// Result is what a test measured. The JSON names are llama-bench's.
type Result struct {
	Commit     string    `json:"build_commit"`
	Build      int       `json:"build_number"` // 0: gollm counts no builds
	CPU        string    `json:"cpu_info"`
	GPU        string    `json:"gpu_info"`
	Backend    string    `json:"backends"`
	File       string    `json:"model_filename"`
	Model      string    `json:"model_type"`
	Size       int64     `json:"model_size"` // bytes of all tensors
	Parameters int64     `json:"model_n_params"`
	Batch      int       `json:"n_batch"`
	Microbatch int       `json:"n_ubatch"`
	Threads    int       `json:"n_threads"`
	KeyType    string    `json:"type_k"`
	ValueType  string    `json:"type_v"`
	GPULayers  int       `json:"n_gpu_layers"` // that do run there, see engine.Placement
	Device     string    `json:"devices"`
	Embeddings bool      `json:"embeddings"` // always false
	Prompt     int       `json:"n_prompt"`
	Gen        int       `json:"n_gen"`
	Depth      int       `json:"n_depth"`
	Time       string    `json:"test_time"` // RFC 3339, UTC, of the test's start
	AvgNS      int64     `json:"avg_ns"`
	StddevNS   int64     `json:"stddev_ns"`
	AvgTS      float64   `json:"avg_ts"` // tokens a second
	StddevTS   float64   `json:"stddev_ts"`
	SamplesNS  []int64   `json:"samples_ns"`
	SamplesTS  []float64 `json:"samples_ts"`

	// llama-bench has none of these; they are left out of the formats csv and sql.
	Sessions   int     `json:"n_sessions,omitempty"`       // at once, if several
	TokenBytes int64   `json:"token_bytes,omitempty"`      // weights that a generated token reads, where tokens are only generated
	Bandwidth  float64 `json:"memory_bandwidth,omitempty"` // bytes a second that memory was measured at, by Bandwidth
	Share      float64 `json:"memory_share,omitempty"`     // of it, that reading the weights makes
}

// Compare says how fast memory is, in bytes a second, which bounds a test that only
// generates.
func (r *Result) Compare(bandwidth float64) {
	if r.TokenBytes > 0 && bandwidth > 0 {
		r.Bandwidth, r.Share = bandwidth, r.AvgTS*float64(r.TokenBytes)/bandwidth
	}
}

// Test returns the test that was measured.
func (r *Result) Test() Test { return Test{r.Prompt, r.Gen, r.Depth, r.Sessions} }

// Run measures a test with a model, the given number of times after one run
// that does not count, unless cold is set. The tokens are random. The model's
// context must hold Test.Tokens.
func Run(ctx context.Context, m *engine.Model, t Test, repetitions int, cold bool) (*Result, error) {
	info := m.Info()
	switch {
	case t.Sessions < 0:
		return nil, fmt.Errorf("bench: %d sessions", t.Sessions)
	case t.Prompt < 0 || t.Gen < 0 || t.Depth < 0 || t.Prompt+t.Gen == 0:
		return nil, fmt.Errorf("bench: %d prompt and %d generated tokens at depth %d measure nothing", t.Prompt, t.Gen, t.Depth)
	case repetitions < 1:
		return nil, fmt.Errorf("bench: %d repetitions", repetitions)
	case t.Tokens() > info.Context:
		return nil, fmt.Errorf("bench: %s needs a context of %d tokens, the model has %d", t, t.Tokens(), info.Context)
	}
	sessions := make([]*engine.Session, max(1, t.Sessions))
	for i := range sessions {
		s, err := m.NewSession()
		if err != nil {
			return nil, err
		}
		defer s.Close()
		sessions[i] = s
	}
	r := &Result{
		Commit: commit(), CPU: cpuName(), GPU: info.GPU, Backend: backend(info.Placement), GPULayers: info.GPULayers,
		File: m.File().Name(), Model: modelName(m), Size: info.Bytes, Parameters: info.Parameters,
		Batch: info.Batch, Microbatch: info.Batch, Threads: info.Threads,
		KeyType: info.KVType, ValueType: info.KVType, Device: info.Device,
		Prompt: t.Prompt, Gen: t.Gen, Depth: t.Depth,
		Time: time.Now().UTC().Format(time.RFC3339),
	}
	if len(sessions) > 1 {
		r.Sessions = len(sessions)
	} else if t.Prompt == 0 {
		r.TokenBytes = tokenBytes(m)
	}
	random := func(n int) []int32 {
		ids := make([]int32, n)
		for i := range ids {
			ids[i] = rand.Int32N(int32(info.Vocab))
		}
		return ids
	}
	// fill makes a session hold the tokens that are not timed, and returns what is.
	fill := func(s *engine.Session, prompt, gen int) (timed func() error, err error) {
		s.Truncate(0)
		if t.Depth > 0 {
			if _, err := s.Eval(ctx, random(t.Depth)); err != nil {
				return nil, err
			}
		}
		p, g := random(prompt), random(gen)
		return func() error {
			if prompt > 0 {
				if _, err := s.Eval(ctx, p); err != nil {
					return err
				}
			}
			for i := range g {
				if _, err := s.Eval(ctx, g[i:i+1]); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
	// once fills the sessions anew and returns how long the timed part took.
	once := func(prompt, gen int) (time.Duration, error) {
		timed := make([]func() error, len(sessions))
		for i, s := range sessions {
			var err error
			if timed[i], err = fill(s, prompt, gen); err != nil {
				return 0, err
			}
		}
		var group errgroup.Group
		start := time.Now()
		for _, f := range timed[1:] {
			group.Go(f)
		}
		err := errors.Join(timed[0](), group.Wait())
		return max(time.Since(start), 1), err
	}
	if !cold {
		if _, err := once(t.Prompt, min(t.Gen, 1)); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", t, err)
		}
	}
	for range repetitions {
		d, err := once(t.Prompt, t.Gen)
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %w", t, err)
		}
		r.SamplesNS = append(r.SamplesNS, d.Nanoseconds())
		r.SamplesTS = append(r.SamplesTS, float64(len(sessions)*(t.Prompt+t.Gen))/d.Seconds())
	}
	avg, dev := spread(r.SamplesNS)
	r.AvgNS, r.StddevNS = int64(math.Round(avg)), int64(math.Round(dev))
	r.AvgTS, r.StddevTS = spread(r.SamplesTS)
	return r, nil
}

// backend names what runs the layers. An emulated GPU is no Metal, and no speed.
func backend(p engine.Placement) string {
	switch {
	case p.GPULayers == 0:
		return "CPU"
	case p.Device == "metal":
		return "Metal"
	}
	return p.Device
}

// spread returns the mean and the standard deviation of a sample.
func spread[T int64 | float64](x []T) (mean, dev float64) {
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	if len(x) < 2 {
		return mean, 0
	}
	for _, v := range x {
		dev += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, math.Sqrt(dev / float64(len(x)-1))
}
