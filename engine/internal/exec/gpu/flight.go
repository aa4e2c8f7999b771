package gpu

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// flight is a step that the GPU was given.
type flight struct {
	buffers   []*metal.CommandBuffer
	committed int   // of buffers: the first so many
	tokens    int   // of the step
	position  int32 // of its first token
	picks     int   // tokens it picks for the step after it
}

// spare are the command buffers of a step like the last one, encoded while that
// ran: what a step of the same shape sends depends on its turn alone.
type spare struct {
	plan    *plan // nil: there are none
	turn    int
	buffers []*metal.CommandBuffer
}

// encoding is what an encoder is given: launches of a plan, for a turn.
type encoding struct {
	plan     *plan
	from, to int
	shift    [accesses]int
}

// Run implements program.Runner. An error of the GPU leaves the runner usable,
// but for those after which the system takes no more work from the process; then
// every further step says so. The KV cache holds anything at the step's positions
// after an error, and what it held at all others.
func (r *runner) Run(s *program.Step) error {
	r.Drop()
	if err := r.usable(); err != nil {
		return err
	}
	if err := s.Check(r.limits, r.kv, r.vocab); err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	p, err := r.start(s, false)
	if err != nil {
		return err
	}
	// The step after this one will be like it, if they are tokens being generated.
	if len(s.Positions) <= shaders.MaxColumns {
		r.prepare(p)
	}
	r.flying--
	f := &r.flights[r.turn]
	if err := f.land(); err != nil {
		return r.failed(f, err)
	}
	if len(s.Outputs) > 0 {
		at := r.tensor(r.program.Result, len(s.Outputs))
		mem := r.arena.Bytes()[at.offset:]
		r.result = unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(mem))), at.size/4)
	}
	return nil
}

// Result implements program.Runner.
func (r *runner) Result() []float32 { return r.result }

// Feed implements program.Feeder.
func (r *runner) Feed(s *program.Step) error {
	err := r.usable()
	switch {
	case err != nil:
		return err
	case !r.program.Hidden.None():
		return errors.New("gpu: a part of a program has no tokens to feed itself")
	case r.flying == turns:
		return fmt.Errorf("gpu: %d steps are under way, the most there may be", r.flying)
	case s.Tokens == nil:
		err = s.CheckFed(r.limits, r.kv, r.picks)
	case r.flying > 0: // its tokens would go where those are picked to
		return errors.New("gpu: a step of given tokens must wait for the steps under way")
	default:
		err = s.Check(r.limits, r.kv, r.vocab)
	}
	if err == nil && len(s.Outputs) == 0 {
		err = errors.New("step has no outputs to pick from")
	}
	if err != nil {
		return fmt.Errorf("gpu: %w", err)
	}
	r.result = nil
	_, err = r.start(s, true)
	return err
}

// Picked implements program.Feeder. An error says which step it happened to, and is
// followed as one of Run is.
func (r *runner) Picked() ([]int32, error) {
	if r.flying == 0 {
		return nil, errors.New("gpu: no step is under way")
	}
	turn := (r.turn + 1 - r.flying + turns) % turns
	f := &r.flights[turn]
	r.flying--
	if err := f.land(); err != nil {
		err = r.failed(f, err)
		r.Drop()
		return nil, err
	}
	tokens := r.step.values((turn+1)%turns, r.step.tokens)
	r.picked = append(r.picked[:0], tokens[:f.picks]...)
	return r.picked, nil
}

// Drop implements program.Feeder.
func (r *runner) Drop() {
	for ; r.flying > 0; r.flying-- {
		f := &r.flights[(r.turn+1-r.flying+turns)%turns]
		if err := f.land(); err != nil {
			_ = r.failed(f, err) // notes if there can be no other step
		}
	}
	r.picks, r.result = 0, nil
}

// start gives the GPU a step that has been checked. An error leaves nothing of it
// under way.
func (r *runner) start(s *program.Step, pick bool) (*plan, error) {
	if r.resident != nil {
		r.resident.Touch()
	}
	pages, blocks := r.step.count(s, r.kv)
	if blocks > r.step.tables.n {
		for i := range r.flights { // the GPU must be done with the buffer
			r.flights[i].settle()
		}
		r.discard()
		clear(r.plans)
		if err := r.step.grow(r.limits, blocks); err != nil {
			return nil, err
		}
	}
	turn := (r.turn + 1) % turns
	tiles := r.step.write(turn, s, r.kv)
	p, err := r.planOf(shape{len(s.Positions), len(s.Outputs), 1 << bits.Len(uint(pages-1)), tiles, pick})
	if err != nil {
		return nil, err
	}
	f := &r.flights[turn]
	f.tokens, f.position, f.picks = len(s.Positions), s.Positions[0], 0
	if pick {
		f.picks = len(s.Outputs)
	}
	if err := r.launch(p, turn); err != nil {
		_ = f.land() // the error is the first one's
		return nil, r.failed(f, err)
	}
	r.turn, r.picks = turn, f.picks
	r.flying++
	return p, nil
}

// launch commits a plan's command buffers for a turn: those that are encoded
// already, or one after another as they are.
func (r *runner) launch(p *plan, turn int) error {
	f := &r.flights[turn]
	if r.spare.plan == p && r.spare.turn == turn {
		f.buffers, r.spare.buffers = r.spare.buffers, f.buffers
		r.spare.plan = nil
	} else {
		r.discard()
	}
	for i := range p.parts {
		if i == len(f.buffers) {
			cb, err := r.encode(p, i, turn)
			if err != nil {
				return err
			}
			f.buffers = append(f.buffers, cb)
		}
		if err := f.buffers[i].Commit(); err != nil {
			return err
		}
		f.committed++
	}
	return nil
}

// encode makes the command buffer of a part of a plan.
func (r *runner) encode(p *plan, part, turn int) (*metal.CommandBuffer, error) {
	cb, err := r.queue.CommandBuffer()
	if err != nil {
		return nil, err
	}
	at := 4 * r.step.stride
	r.encoding = encoding{plan: p, to: p.parts[part], shift: [accesses]int{ofStep: at * turn, toNext: at * ((turn + 1) % turns)}}
	if part > 0 {
		r.encoding.from = p.parts[part-1]
	}
	if err := cb.Compute(metal.ComputeOptions{}, r.encoder); err != nil { // a label would cost a string for every step
		cb.Release()
		return nil, err
	}
	return cb, nil
}

// prepare encodes the command buffers of a step like the one just started. That
// it cannot is no error: the step itself will say why.
func (r *runner) prepare(p *plan) {
	r.discard()
	turn := (r.turn + 1) % turns
	for i := range p.parts {
		cb, err := r.encode(p, i, turn)
		if err != nil {
			r.discard()
			return
		}
		r.spare.buffers = append(r.spare.buffers, cb)
	}
	r.spare.plan, r.spare.turn = p, turn
}

// discard gives up what was encoded ahead.
func (r *runner) discard() {
	for i, cb := range r.spare.buffers {
		cb.Release()
		r.spare.buffers[i] = nil
	}
	r.spare.buffers, r.spare.plan = r.spare.buffers[:0], nil
}

// settle waits until the GPU is done with the step.
func (f *flight) settle() {
	for _, cb := range f.buffers[:f.committed] {
		_ = cb.Wait() // land tells
	}
}

// land waits for the step and gives up its command buffers. The error is that of
// the first that failed: those after it fail in its wake.
func (f *flight) land() (err error) {
	for i, cb := range f.buffers {
		if i < f.committed {
			if e := cb.Wait(); err == nil {
				err = e
			}
		}
		cb.Release()
		f.buffers[i] = nil
	}
	f.buffers, f.committed = f.buffers[:0], 0
	return err
}

// failed says which step an error of the GPU happened to, and notes whether
// there can be another.
func (r *runner) failed(f *flight, err error) error {
	err = fmt.Errorf("gpu: step of %d tokens from position %d: %w", f.tokens, f.position, err)
	var m *metal.Error
	if errors.As(err, &m) && m.Domain == "MTLCommandBufferErrorDomain" && slices.Contains([]int{metal.CodeIgnored, metal.CodeNotPermitted, metal.CodeDeviceRemoved}, m.Code) {
		r.e.mu.Lock()
		if r.e.lost == nil {
			r.e.lost = err
		}
		r.e.mu.Unlock()
	}
	return err
}
