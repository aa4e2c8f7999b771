package engine

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/gollm/gollm/engine/sample"
	"github.com/gollm/gollm/engine/tokenizer"
)

// GenerateOptions are the choices of one Generate. The zero value generates
// greedily until the model ends or the context is full.
type GenerateOptions struct {
	MaxTokens int           // most tokens to generate; 0 = no bound but the context
	Sampling  sample.Params // how tokens are picked; the zero value is greedy
	Stop      []string      // generation ends before the first of these in the text
	IgnoreEnd bool          // go on when the model says it has ended
	Special   bool          // put control tokens into the text too
}

// Finish says why a generation ended.
type Finish string

const (
	NotFinished     Finish = ""
	FinishEnd       Finish = "end"     // the model's end-of-generation token
	FinishStop      Finish = "stop"    // one of GenerateOptions.Stop
	FinishMaxTokens Finish = "length"  // GenerateOptions.MaxTokens
	FinishContext   Finish = "context" // the context is full
)

// Token is one generated token.
type Token struct {
	ID int32
	// Text is what the token adds to the text: whole UTF-8 characters, so it is
	// empty while a character or a possible stop string is incomplete. The texts
	// of all tokens together are the generated text.
	Text string
	// Finish is set on the last token. With FinishEnd the token is the end
	// token itself, which is no part of the text.
	Finish Finish
}

// Generate makes the session hold the prompt, the whole text so far, and
// yields the tokens the model continues it with. What the session already holds
// of the prompt's beginning is not read again, so a conversation passes its full
// text each time. The last token yielded has Finish set; an error is yielded
// once, alone, and ends the sequence.
//
// When the loop is left early, or ctx ends, the session holds the tokens
// evaluated so far and can go on.
func (s *Session) Generate(ctx context.Context, prompt []int32, o GenerateOptions) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if err := s.generate(ctx, prompt, o, yield); err != nil {
			yield(Token{}, err)
		}
	}
}

// generate returns the error to yield, or nil if all was yielded or the loop
// was left.
func (s *Session) generate(ctx context.Context, prompt []int32, o GenerateOptions, yield func(Token, error) bool) error {
	if len(prompt) == 0 {
		return fmt.Errorf("engine: %w", errNoTokens)
	}
	limit := s.model.options.Context
	if len(prompt) >= limit {
		return fmt.Errorf("engine: %w: the prompt has %d tokens and the context %d", ErrContextFull, len(prompt), limit)
	}
	sampler, err := sample.New(o.Sampling)
	if err != nil {
		return err
	}
	for _, t := range prompt {
		sampler.Accept(t)
	}
	logits, err := s.Eval(ctx, s.rewind(prompt))
	if err != nil {
		return err
	}
	d := s.decode(sampler, logits, o.MaxTokens)
	defer d.stop() // where the text ends, before the caller hears of it
	text := s.model.tok.NewStream(tokenizer.DecodeOptions{UnparseSpecial: o.Special})
	stop := newStopper(o.Stop)
	start := time.Now()
	for n := 1; ; n++ {
		id, err := d.next(ctx)
		if err != nil {
			return fmt.Errorf("engine: generated token %d: %w", n, err)
		}
		if n > 1 { // the first is the prompt's
			s.stats.GeneratedTokens++
			s.stats.GenerateTime += time.Since(start)
			start = time.Now()
		}
		if s.model.tok.IsEOG(id) && !o.IgnoreEnd {
			d.stop()
			rest, _ := stop.push(string(text.Flush()))
			yield(Token{ID: id, Text: rest + stop.flush(), Finish: FinishEnd}, nil)
			return nil
		}
		t := Token{ID: id}
		var stopped bool
		t.Text, stopped = stop.push(string(text.Push(id)))
		switch {
		case stopped:
			t.Finish = FinishStop
		case o.MaxTokens > 0 && n >= o.MaxTokens:
			t.Finish = FinishMaxTokens
		case len(s.tokens) >= limit:
			t.Finish = FinishContext
		}
		if t.Finish != NotFinished && !stopped {
			rest, hit := stop.push(string(text.Flush()))
			if t.Text += rest; hit {
				t.Finish = FinishStop
			} else {
				t.Text += stop.flush()
			}
		}
		if t.Finish != NotFinished {
			d.stop()
		}
		if !yield(t, nil) || t.Finish != NotFinished {
			return nil
		}
	}
}
