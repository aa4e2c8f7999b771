package engine

import (
	"context"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/engine/sample"
)

// decoder gives the tokens that follow a session's, one after another.
type decoder interface {
	// next evaluates the token it gave last, if there is one, and picks the one
	// after it. An error leaves the session with the tokens evaluated before.
	next(ctx context.Context) (int32, error)
	// stop ends the decoder; the token it gave last is not evaluated. It may be called
	// again.
	stop()
}

// decode returns a decoder of at most tokens tokens, of which 0 is as many as the
// context holds, after the one the logits are for.
func (s *Session) decode(sampler *sample.Sampler, logits []float32, tokens int) decoder {
	first := sampled{s: s, sampler: sampler, logits: logits, last: -1}
	f, ok := s.runner.(program.Feeder)
	if !ok || !sampler.Greedy() {
		return &first
	}
	steps := s.model.options.Context - len(s.tokens)
	if tokens > 0 {
		steps = min(steps, tokens-1)
	}
	return &fed{first: first, runner: f, steps: steps, step: program.Step{
		Positions: make([]int32, 1), Sequences: make([]int32, 1), Tables: make([][]int32, 1), Outputs: make([]int32, 1),
	}}
}

// sampled picks tokens from logits, and so waits for each.
type sampled struct {
	s       *Session
	sampler *sample.Sampler
	logits  []float32
	last    int32 // token given last; -1 before the first
}

func (d *sampled) next(ctx context.Context) (int32, error) {
	if d.last >= 0 {
		var err error
		if d.logits, err = d.s.eval(ctx, d.s.one(d.last)); err != nil {
			return 0, err
		}
	}
	id, err := d.sampler.Sample(d.logits)
	if err != nil {
		return 0, err
	}
	d.sampler.Accept(id)
	d.last = id
	return id, nil
}

func (d *sampled) stop() {}

// fed has the executor pick the likeliest tokens itself, so that a step is under
// way before the token of the one before it is known here. What was begun in
// vain, because that token was the last, is forgotten.
type fed struct {
	first  sampled
	runner program.Feeder
	steps  int          // that may still be started: all of them are wanted if no token ends the text before
	ahead  int          // steps under way
	step   program.Step // without tokens, of one position
}

func (d *fed) next(ctx context.Context) (int32, error) {
	if d.first.last < 0 {
		return d.first.next(ctx)
	}
	id, err := d.following(ctx)
	if err != nil {
		d.stop()
	}
	return id, err
}

func (d *fed) following(ctx context.Context) (int32, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for d.ahead < program.FeedAhead && (d.steps > 0 || d.ahead == 0) {
		if err := d.feed(); err != nil {
			return 0, err
		}
	}
	picked, err := d.runner.Picked()
	if err != nil {
		return 0, err
	}
	d.ahead--
	s, last := d.first.s, &d.first.last
	s.tokens = append(s.tokens, *last)
	if *last = picked[0]; *last < 0 {
		return 0, sample.ErrNotFinite
	}
	return *last, nil
}

// feed starts the step at the position after those under way.
func (d *fed) feed() error {
	s := d.first.s
	position := s.seq.Len()
	if err := s.seq.Grow(1); err != nil {
		return err
	}
	d.step.Positions[0], d.step.Tables[0] = int32(position), s.seq.Table()
	d.step.Tokens = nil
	if position == len(s.tokens) { // nothing is under way: it is a token given
		d.step.Tokens = s.one(d.first.last)
	}
	if err := d.runner.Feed(&d.step); err != nil {
		return err
	}
	d.ahead, d.steps = d.ahead+1, d.steps-1
	return nil
}

func (d *fed) stop() {
	if d.ahead > 0 {
		d.runner.Drop()
		d.ahead = 0
	}
	s := d.first.s
	s.seq.Truncate(len(s.tokens))
}

// one returns a slice of one token without allocating: the place after the
// session's own tokens, where eval will append it.
func (s *Session) one(id int32) []int32 {
	buf := append(s.tokens, id)
	return buf[len(s.tokens):]
}
