package cpu

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// team is a fixed set of goroutines, and the caller of run, that go through the
// steps of a runner together.
//
// The items of a step are dealt out in as many runs as there are members: who reads
// weights from end to end has them fetched ahead by the processor, and finds some in
// its own cache when the next token comes. A member that has done its own takes
// others', from the end.
type team struct {
	n       int
	barrier barrier
	items   []items // of each member

	// Written by the last to come to the barrier, read when it has let go.
	runner *runner // what runs; nil to stop
	at     int     // the current step

	asked  *runner // what is to be run next
	closed bool
	exit   sync.WaitGroup

	// failure is the first that a member ran into, for good: see catch.
	failure atomic.Pointer[error]
}

// items are a member's that nobody has taken: the first in the upper half, the end
// in the lower.
type items struct {
	atomic.Uint64
	_ [56]byte
}

// first takes the first item, last the last.
func (s *items) first() (item int, ok bool) {
	for {
		v := s.Load()
		if uint32(v>>32) >= uint32(v) {
			return 0, false
		}
		if s.CompareAndSwap(v, v+1<<32) {
			return int(v >> 32), true
		}
	}
}

func (s *items) last() (item int, ok bool) {
	for {
		v := s.Load()
		if uint32(v>>32) >= uint32(v) {
			return 0, false
		}
		if s.CompareAndSwap(v, v-1) {
			return int(uint32(v)) - 1, true
		}
	}
}

func newTeam(n int) *team {
	if most := runtime.GOMAXPROCS(0); n <= 0 || n > most {
		n = most
	}
	t := &team{n: n, items: make([]items, n)}
	t.barrier.init(n, t.advance)
	for id := 1; id < n; id++ {
		t.exit.Go(func() {
			debug.SetPanicOnFault(true)
			for {
				t.barrier.wait(id, -1)
				if t.runner == nil {
					return
				}
				t.work(id)
			}
		})
	}
	return t
}

// run runs all steps of r. The caller is the team's first member.
func (t *team) run(r *runner) error {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	t.asked = r
	t.barrier.wait(0, -1)
	t.work(0)
	err := t.failure.Load()
	if err == nil {
		return nil
	}
	if bug, ok := (*err).(*bug); ok {
		panic(bug)
	}
	return *err
}

// advance makes the step after a done one, -1 where a run begins, that has any items the
// current one, and deals them out. The last to come to the barrier calls it.
func (t *team) advance(done int) {
	if done < 0 {
		t.runner = t.asked
	}
	r := t.runner
	if r == nil {
		return
	}
	for t.at = done + 1; t.at < len(r.steps); t.at++ {
		n := 0
		if t.failure.Load() == nil { // otherwise values are not what the step may rely on
			n = r.steps[t.at].items()
		}
		if n == 0 {
			continue
		}
		for i := range t.items {
			t.items[i].Store(uint64(n*i/t.n)<<32 | uint64(n*(i+1)/t.n))
		}
		return
	}
}

// work is a member's part of a run. Whatever it runs into, it comes to the
// barrier of each step.
func (t *team) work(id int) {
	r := t.runner
	for at := t.at; at < len(r.steps); {
		t.steps(r, id, &at)
	}
}

// steps goes through the steps of r from *at on, to the end or to a panic in step *at.
func (t *team) steps(r *runner, id int, at *int) {
	defer t.catch()
	w := &r.workers[id]
	for *at < len(r.steps) {
		if t.failure.Load() == nil {
			s := &r.steps[*at]
			for own := &t.items[id]; ; {
				item, ok := own.first()
				if !ok {
					break
				}
				s.run(w, item)
			}
			for i := 1; i < t.n; i++ {
				for other := &t.items[(id+i)%t.n]; ; {
					item, ok := other.last()
					if !ok {
						break
					}
					s.run(w, item)
				}
			}
		}
		t.barrier.wait(id, *at)
		*at = t.at
	}
}

// catch, deferred, keeps what a member panics with until all have come to the end
// of the run. A fault is an error: of weights whose file was cut off, or whose disk
// fails, while they are mapped. What is computed then is nothing, for every runner.
func (t *team) catch() {
	r := recover()
	if r == nil {
		return
	}
	var err error
	if fault, ok := r.(interface {
		error
		Addr() uintptr
	}); ok {
		err = fmt.Errorf("cpu: the model's file can no longer be read (cut off, or its disk fails): %w", fault)
	} else {
		err = &bug{r, debug.Stack()}
	}
	t.failure.CompareAndSwap(nil, &err)
}

// bug is any other panic, which run passes on to its caller.
type bug struct {
	value any
	stack []byte
}

func (b *bug) Error() string { return fmt.Sprintf("cpu: %v\n\nin a worker:\n%s", b.value, b.stack) }

func (t *team) close() {
	if t.closed {
		return
	}
	t.closed = true
	t.asked = nil
	t.barrier.wait(0, -1)
	t.exit.Wait()
}

// barrier lets n goroutines wait for each other some hundred times a token. They
// spin, as waking a sleeping thread takes longer than most steps; but only for so
// long: what waits between requests, or for a member whose processor another
// program has, sleeps.
type barrier struct {
	n       int32
	last    func(done int)
	_       [48]byte
	arrived atomic.Int32
	_       [60]byte
	turn    atomic.Uint32
	_       [60]byte
	sleeper []sleeper
}

type sleeper struct {
	asleep atomic.Bool
	wake   chan struct{} // holds one
	_      [48]byte
}

// A look at the barrier takes some 0.1 µs. After goschedEvery looks the Go scheduler
// may run something else on the processor (it also is where the garbage
// collector can stop the goroutine), after spins looks the goroutine sleeps: that
// is about a millisecond, longer than it takes to choose a token.
const (
	goschedEvery = 128
	spins        = 10000
)

// init readies the barrier for n members. The last of them to come calls last
// before anyone goes on.
func (b *barrier) init(n int, last func(done int)) {
	b.n, b.last, b.sleeper = int32(n), last, make([]sleeper, n)
	for i := range b.sleeper {
		b.sleeper[i].wake = make(chan struct{}, 1)
	}
}

// wait returns when all n members have called it, with the same argument, which is
// last's.
func (b *barrier) wait(id, done int) {
	turn := b.turn.Load()
	if b.arrived.Add(1) == b.n {
		b.last(done)
		b.arrived.Store(0)
		b.turn.Add(1)
		for i := range b.sleeper {
			if s := &b.sleeper[i]; s.asleep.Load() && s.asleep.CompareAndSwap(true, false) {
				s.wake <- struct{}{}
			}
		}
		return
	}
	for i := 1; b.turn.Load() == turn; i++ {
		pause()
		if i%goschedEvery == 0 {
			runtime.Gosched()
		}
		if i >= spins {
			b.sleep(id, turn)
			return
		}
	}
}

// sleep waits for the turn to end without using the processor.
func (b *barrier) sleep(id int, turn uint32) {
	s := &b.sleeper[id]
	// It may be woken by the one that ended the turn before, if that one was held
	// up: then it sleeps again.
	for b.turn.Load() == turn {
		s.asleep.Store(true)
		// Whoever ends the turn looks for sleepers after it has ended; if it ended
		// before this one was asleep it may not have been seen.
		if b.turn.Load() != turn && s.asleep.CompareAndSwap(true, false) {
			return
		}
		<-s.wake
	}
}
