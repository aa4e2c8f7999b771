package program

import (
	"fmt"
	"math"
)

// Layers returns the number of layers: parts that keep keys and values.
func (p *Program) Layers() int { return len(p.KV) }

// Cut splits p before a layer, numbered from 0, so that two executors can run it
// one after the other: first has the embedding and the layers before, rest the
// others and the result. What passes between them is one tensor, Hidden of both,
// in KVMemory.Hidden. The KV layers of each are numbered from 0; tensors keep
// their numbers.
//
// Layers are not marked. A layer's begin is the last place before its StoreKV
// where one tensor alone is alive, the hidden states of all tokens: within a layer
// the residual stream waits beside what is being computed. A program that has no
// such place there, or attends to keys of an earlier layer, cannot be cut.
func (p *Program) Cut(layer int) (first, rest *Program, err error) {
	if layer < 0 || layer >= p.Layers() {
		return nil, nil, fmt.Errorf("program: no layer %d of %d to cut before", layer, p.Layers())
	}
	at, hidden := p.begin(layer)
	if hidden.None() {
		return nil, nil, fmt.Errorf("program: cannot be cut before layer %d: more than one tensor passes on", layer)
	}
	first = &Program{Ops: p.Ops[:at:at], Tensors: p.Tensors, KV: p.KV[:layer:layer], Hidden: hidden}
	rest = &Program{Tensors: p.Tensors, KV: p.KV[layer:], Result: p.Result, Hidden: hidden}
	for i, op := range p.Ops[at:] {
		switch o := op.(type) {
		case *StoreKV:
			c := *o
			c.Layer -= layer
			op = &c
		case *Attention:
			if o.Layer < layer {
				return nil, nil, fmt.Errorf("program: cannot be cut before layer %d: op %d reads keys of layer %d", layer, at+i, o.Layer)
			}
			c := *o
			c.Layer -= layer
			op = &c
		}
		rest.Ops = append(rest.Ops, op)
	}
	return first, rest, nil
}

// begin finds the op a layer begins with, and the tensor that goes in.
func (p *Program) begin(layer int) (at int, hidden Tensor) {
	last := p.lastReads()
	alive := map[Tensor]bool{}
	for i, op := range p.Ops {
		if s, ok := op.(*StoreKV); ok {
			if s.Layer == layer {
				break
			}
			at, hidden = 0, Tensor{} // what was found is in a layer before
		}
		for _, t := range op.Writes() {
			alive[t] = true
		}
		for t := range alive {
			if last[t.id] <= i {
				delete(alive, t)
			}
		}
		if len(alive) != 1 {
			continue
		}
		for t := range alive {
			if info := p.Info(t); info.Rows == PerToken && info.Repeat == 1 && info.Elem == Float {
				at, hidden = i+1, t
			}
		}
	}
	return at, hidden
}

// lastReads returns the number of the last op that reads each tensor, or writes
// it if none does; that of the result is past the last op.
func (p *Program) lastReads() []int {
	last := make([]int, len(p.Tensors))
	for i, op := range p.Ops {
		for _, t := range op.Writes() {
			last[t.id] = i
		}
		for _, t := range op.Reads() {
			last[t.id] = i
		}
	}
	last[p.Result.id] = len(p.Ops)
	return last
}

// Vocab is the number of tokens the program has embeddings of. A part without the
// embedding, which looks none up, takes any.
func (p *Program) Vocab() int {
	for _, op := range p.Ops {
		if e, ok := op.(*Embed); ok {
			return e.Table.Rows()
		}
	}
	return math.MaxInt32
}
