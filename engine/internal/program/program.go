// Package program describes a model's forward pass as a list of ops: what is
// computed, not how. A model family (package arch) appends ops to a Builder
// once; an executor compiles the Program once and replays it for every step,
// whether the step is a prompt, a batch or a single token.
//
// # Shapes
//
// Every activation is a matrix of float32 whose number of rows depends on the
// step and whose width does not. The letters used throughout:
//
//	n  tokens of the step            m  rows wanted as output (m ≤ n)
//	d  model width (embedding)       V  vocabulary size
//	H  query heads, G KV heads       D  width of a head
//	F  feed-forward width            E  experts, k experts used by a token
//
// A weight is a *gguf.Tensor, read in place from the file: Dims {in, out},
// fastest varying first, so a row of the tensor is one output's weights.
package program

import (
	"fmt"

	"github.com/gollm/gollm/gguf"
)

// Rows says how many rows a tensor has in a step.
type Rows uint8

const (
	PerToken  Rows = iota // n rows, times Repeat
	PerOutput             // m rows
)

// Elem is the type of a tensor's values.
type Elem uint8

const (
	Float Elem = iota // float32
	Index             // int32: expert numbers
)

// Tensor is a handle to an activation of a Program. The zero Tensor is "none".
type Tensor struct{ id int32 }

// None reports whether the handle is the zero Tensor.
func (t Tensor) None() bool { return t.id == 0 }

// ID numbers the tensors of a program from 1; it indexes Program.Tensors.
func (t Tensor) ID() int { return int(t.id) }

// Info is what is known of a tensor when the program is built.
type Info struct {
	Name   string // for dumps: the op that made it and its number
	Rows   Rows
	Repeat int // rows for each token: 1, or k for the experts of a token
	Width  int
	Elem   Elem
}

// Program is a forward pass: ops in order, the tensors they pass on and the KV
// layers they keep. It is immutable once built and shared by all sessions.
type Program struct {
	Ops     []Op
	Tensors []Info // by Tensor.ID; entry 0 is unused
	KV      []KVShape
	Result  Tensor // PerOutput rows: logits [m,V] or hidden states [m,d]; none of Cut's first part
	// Hidden, of a part that Cut made, is what the first part passes on to the
	// other, hidden states [n,d]. It lies in KVMemory.Hidden. Otherwise none.
	Hidden Tensor
}

// Info returns what is known of t.
func (p *Program) Info(t Tensor) Info { return p.Tensors[t.id] }

// KVShape is the width of one layer's cached keys and values: G·D each, with
// their own D.
type KVShape struct {
	KeyWidth, ValueWidth int
}

// KVMemory is the paged key/value storage a program runs over. Each layer has
// Blocks blocks of BlockSize positions; a block holds its positions' rows one
// after another. A row of Q8_0 is its width/32 blocks of 34 bytes, as in a file;
// every head begins one. Executors read and write it; package kv owns it.
type KVMemory struct {
	Type      gguf.Type // F32, F16 or Q8_0
	BlockSize int       // positions in a block
	Blocks    int
	Layers    []KVLayer

	// Hidden, for a part of a program that was cut, is where it meets the other:
	// rows of Program.Hidden, for as many tokens as a step may have.
	Hidden []float32

	free []func() // see NewKVMemory
}

// KVLayer is one layer's storage: Blocks·BlockSize rows of keys, and of values.
type KVLayer struct {
	Shape KVShape
	K, V  []byte
}

// Step is what changes from one replay to the next. Tokens of one sequence
// must be in order of position; a token attends to the positions of its own
// sequence up to its own, those of the same step included.
type Step struct {
	Tokens    []int32   // [n] token ids
	Positions []int32   // [n] position of each token in its sequence
	Sequences []int32   // [n] index into Tables of each token's sequence
	Tables    [][]int32 // KV block numbers of each sequence: position p is in Tables[s][p/BlockSize]
	Outputs   []int32   // [m] rows (indices into Tokens) whose result is wanted, ascending
}

// Limits bound the steps a Runner must be able to replay.
type Limits struct {
	Tokens  int // most tokens in a step
	Outputs int // most outputs in a step
}

// An Executor turns programs into something that runs.
type Executor interface {
	// Compile prepares p to run over the given KV memory. It allocates all
	// scratch memory the limits ask for, so that Run allocates nothing.
	Compile(p *Program, kv *KVMemory, limits Limits) (Runner, error)
	// Close stops the executor's workers; its Runners must not be used after.
	Close() error
}

// A Runner replays one compiled program. It is used by one goroutine at a
// time; different Runners of one Executor may run concurrently.
type Runner interface {
	// Run executes one step.
	Run(s *Step) error
	// Result returns the rows of Program.Result of the last step, in the order
	// of Step.Outputs: m·width values, valid until the next Run. A part that has
	// no result returns none.
	Result() []float32
}

// Check reports whether s can run within the limits over kv: the conditions
// every executor relies on, stated once. vocab, Program.Vocab, bounds the token
// ids.
func (s *Step) Check(limits Limits, kv *KVMemory, vocab int) error {
	if n := len(s.Tokens); len(s.Positions) != n || len(s.Sequences) != n {
		return fmt.Errorf("step has %d tokens but %d positions and %d sequences", n, len(s.Positions), len(s.Sequences))
	}
	for i, t := range s.Tokens {
		if t < 0 || int(t) >= vocab {
			return fmt.Errorf("token id %d at %d is outside the vocabulary of %d", t, i, vocab)
		}
	}
	return s.checkRows(limits, kv)
}

// CheckFed is Check of a step whose tokens a Feeder has picked for the step
// before: so many.
func (s *Step) CheckFed(limits Limits, kv *KVMemory, picked int) error {
	if n := len(s.Positions); n != picked || len(s.Sequences) != n {
		return fmt.Errorf("step has %d positions and %d sequences, the step before picked %d tokens", n, len(s.Sequences), picked)
	}
	return s.checkRows(limits, kv)
}

// checkRows checks all but the tokens.
func (s *Step) checkRows(limits Limits, kv *KVMemory) error {
	switch n := len(s.Positions); {
	case n == 0:
		return fmt.Errorf("step has no tokens")
	case n > limits.Tokens:
		return fmt.Errorf("step has %d tokens, compiled for %d", n, limits.Tokens)
	}
	if len(s.Outputs) > limits.Outputs {
		return fmt.Errorf("step has %d outputs, compiled for %d", len(s.Outputs), limits.Outputs)
	}
	for i, q := range s.Sequences {
		if q < 0 || int(q) >= len(s.Tables) {
			return fmt.Errorf("token %d: no sequence %d", i, q)
		}
		table := s.Tables[q]
		b := int(s.Positions[i]) / kv.BlockSize
		if s.Positions[i] < 0 || b >= len(table) {
			return fmt.Errorf("token %d: position %d has no KV block", i, s.Positions[i])
		}
		if table[b] < 0 || int(table[b]) >= kv.Blocks {
			return fmt.Errorf("token %d: KV block %d of %d", i, table[b], kv.Blocks)
		}
	}
	last := int32(-1)
	for _, o := range s.Outputs {
		if o <= last || int(o) >= len(s.Positions) {
			return fmt.Errorf("output row %d of %d is out of order or range", o, len(s.Positions))
		}
		last = o
	}
	return nil
}
