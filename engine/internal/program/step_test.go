package program

import (
	"strings"
	"testing"
)

func TestStepCheck(t *testing.T) {
	kv := &KVMemory{BlockSize: 4, Blocks: 3}
	limits := Limits{Tokens: 5, Outputs: 2}
	good := func() *Step {
		return &Step{
			Tokens:    []int32{0, 9, 5},
			Positions: []int32{0, 7, 3},
			Sequences: []int32{1, 0, 1},
			Tables:    [][]int32{{2, 0}, {1}},
			Outputs:   []int32{0, 2},
		}
	}
	if err := good().Check(limits, kv, 10); err != nil {
		t.Fatal(err)
	}
	none := good()
	none.Outputs = nil
	if err := none.Check(limits, kv, 10); err != nil {
		t.Errorf("no outputs: %v", err)
	}
	for _, c := range []struct {
		name, want string
		change     func(*Step)
	}{
		{"empty", "no tokens", func(s *Step) { *s = Step{} }},
		{"too_many_tokens", "has 6 tokens, compiled for 5", func(s *Step) {
			s.Tokens, s.Positions, s.Sequences = make([]int32, 6), make([]int32, 6), make([]int32, 6)
		}},
		{"positions_missing", "3 tokens but 2 positions", func(s *Step) { s.Positions = s.Positions[:2] }},
		{"sequences_missing", "2 sequences", func(s *Step) { s.Sequences = s.Sequences[:2] }},
		{"too_many_outputs", "has 3 outputs, compiled for 2", func(s *Step) { s.Outputs = []int32{0, 1, 2} }},
		{"token_negative", "token id -1 at 1", func(s *Step) { s.Tokens[1] = -1 }},
		{"token_past_vocabulary", "token id 10 at 2 is outside the vocabulary of 10", func(s *Step) { s.Tokens[2] = 10 }},
		{"no_such_sequence", "token 0: no sequence 2", func(s *Step) { s.Sequences[0] = 2 }},
		{"negative_sequence", "token 2: no sequence -1", func(s *Step) { s.Sequences[2] = -1 }},
		{"position_past_table", "token 2: position 4 has no KV block", func(s *Step) { s.Positions[2] = 4 }},
		{"position_negative", "token 0: position -1 has no KV block", func(s *Step) { s.Positions[0] = -1 }},
		{"position_negative_far", "token 0: position -5 has no KV block", func(s *Step) { s.Positions[0] = -5 }},
		{"block_past_pool", "token 1: KV block 3 of 3", func(s *Step) { s.Tables[0][1] = 3 }},
		{"block_negative", "token 0: KV block -1 of 3", func(s *Step) { s.Tables[1][0] = -1 }},
		{"output_past_tokens", "output row 3 of 3", func(s *Step) { s.Outputs[1] = 3 }},
		{"output_negative", "output row -1 of 3", func(s *Step) { s.Outputs[0] = -1 }},
		{"output_twice", "out of order", func(s *Step) { s.Outputs = []int32{1, 1} }},
		{"outputs_descending", "out of order", func(s *Step) { s.Outputs = []int32{2, 0} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good()
			c.change(s)
			if err := s.Check(limits, kv, 10); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestStepCheckFed(t *testing.T) {
	kv := &KVMemory{BlockSize: 4, Blocks: 3}
	limits := Limits{Tokens: 2, Outputs: 2}
	good := func() *Step {
		return &Step{Positions: []int32{7, 3}, Sequences: []int32{0, 1}, Tables: [][]int32{{2, 0}, {1}}, Outputs: []int32{0, 1}}
	}
	if err := good().CheckFed(limits, kv, 2); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		change     func(*Step)
	}{
		{"empty", "0 positions", func(s *Step) { *s = Step{} }},
		{"fewer_than_picked", "1 positions", func(s *Step) { s.Positions = s.Positions[:1] }},
		{"more_than_picked", "3 positions", func(s *Step) { s.Positions = make([]int32, 3) }},
		{"sequences_missing", "1 sequences", func(s *Step) { s.Sequences = s.Sequences[:1] }},
		{"position_past_table", "token 1: position 4 has no KV block", func(s *Step) { s.Positions[1] = 4 }},
		{"output_past_tokens", "output row 2 of 2", func(s *Step) { s.Outputs[1] = 2 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good()
			c.change(s)
			if err := s.CheckFed(limits, kv, 2); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
