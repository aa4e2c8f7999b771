package cpu

import (
	"errors"
	"runtime"
	"sync"
	"time"
)

// turns hands the team to runners in the order in which they come. Steps of few tokens
// of one program, as those of sessions that generate at once, have a turn together: weights
// are read once for all, and all meet at the same barriers. What each computes is what it
// would alone, to the last bit.
type turns struct {
	mu      sync.Mutex
	waiting []*runner // in the order they came; the first has the next turn
	led     bool      // somebody leads a turn, or is about to
	group   []*runner // of the turn: its leader, and who goes with it

	// The last turn of few tokens:
	took  time.Duration
	crowd int // who had it, and who could have but came too late

	running sync.Mutex // held while the team runs
	team    *team
}

// together bounds a group: activations of all share the cache with weights.
const together = 8

// patience is the part of the last turn's time that a leader waits for those who were
// there and now choose their next tokens. Without them it would have a turn of its own
// between any two of theirs, and all would be slower by more.
const patience = 8

var errClosed = errors.New("cpu: the executor is closed")

// run runs r's step, alone or with others. An error of a turn is everyone's: it tells
// of weights, which all read.
func (t *turns) run(r *runner) error {
	t.mu.Lock()
	t.waiting = append(t.waiting, r)
	if t.led {
		t.mu.Unlock()
		if leads := <-r.turn; !leads {
			return r.err
		}
		t.mu.Lock()
	}
	t.led = true
	t.expect(r)
	t.gather(r)
	t.mu.Unlock()

	start, err := time.Now(), errClosed
	t.running.Lock()
	if !t.team.closed {
		err = t.team.run(t.group)
	}
	t.running.Unlock()

	t.mu.Lock()
	defer t.mu.Unlock()
	if r.short() && !r.alone {
		t.took, t.crowd = time.Since(start), len(t.group)+t.count(r)
	}
	for _, o := range t.group[1:] {
		o.err = err
		o.turn <- false
	}
	clear(t.group)
	if t.led = len(t.waiting) > 0; t.led {
		t.waiting[0].turn <- true
	}
	return err
}

// expect waits a little until as many wait as had the last turn with r, or would have.
// t.mu is not held meanwhile.
func (t *turns) expect(r *runner) {
	if !r.short() || r.alone {
		return
	}
	for end := time.Now().Add(t.took / patience); t.count(r) < min(t.crowd, together) && time.Now().Before(end); {
		t.mu.Unlock()
		runtime.Gosched()
		t.mu.Lock()
	}
}

// gather makes the group of r, the first that waits.
func (t *turns) gather(r *runner) {
	t.group = t.group[:0]
	left := t.waiting[:0]
	for _, w := range t.waiting {
		if w == r || len(t.group) < together && w.goesWith(r) {
			t.group = append(t.group, w)
		} else {
			left = append(left, w)
		}
	}
	clear(t.waiting[len(left):])
	t.waiting = left
}

// count returns how many of those that wait go with r.
func (t *turns) count(r *runner) (n int) {
	for _, w := range t.waiting {
		if w.goesWith(r) {
			n++
		}
	}
	return n
}

// short reports whether the step has few tokens, so that it is the weights that take time.
func (r *runner) short() bool { return r.n <= few }

// goesWith reports whether steps of r and s can have a turn together: both short, and
// the same but for their tokens.
func (r *runner) goesWith(s *runner) bool {
	return r.short() && s.short() && !r.alone && r.program == s.program && r.limits == s.limits
}

// close ends the team when nobody has it. Those that wait for it have an error.
func (t *turns) close() {
	t.running.Lock()
	defer t.running.Unlock()
	t.team.close()
}
