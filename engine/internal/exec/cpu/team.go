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
type team struct {
	n       int
	barrier barrier
	next    atomic.Int64 // item of the current step that nobody has taken
	_       [56]byte

	runner *runner // what to run; nil to stop
	closed bool
	exit   sync.WaitGroup

	// failure is the first that a member ran into, for good: see catch.
	failure atomic.Pointer[error]
}

func newTeam(n int) *team {
	if most := runtime.GOMAXPROCS(0); n <= 0 || n > most {
		n = most
	}
	t := &team{n: n}
	t.barrier.init(n)
	for id := 1; id < n; id++ {
		t.exit.Go(func() {
			debug.SetPanicOnFault(true)
			for {
				t.barrier.wait(id, nil)
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
	t.runner = r
	t.next.Store(0)
	t.barrier.wait(0, nil)
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

// work is a member's part of a run. Whatever it runs into, it comes to the
// barrier of each step.
func (t *team) work(id int) {
	r := t.runner
	for at := 0; at < len(r.steps); {
		t.steps(r, id, &at)
	}
}

// steps goes through the steps of r from *at on, to the end or to a panic in step *at.
func (t *team) steps(r *runner, id int, at *int) {
	defer t.catch()
	w := &r.workers[id]
	for ; *at < len(r.steps); *at++ {
		// After a failure values are not what later steps may rely on.
		if t.failure.Load() == nil {
			s := &r.steps[*at]
			items := int64(s.items())
			for {
				item := t.next.Add(1) - 1
				if item >= items {
					break
				}
				s.run(w, int(item))
			}
		}
		t.barrier.wait(id, &t.next)
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
	t.runner = nil
	t.barrier.wait(0, nil)
	t.exit.Wait()
}

// barrier lets n goroutines wait for each other some hundred times a token. They
// spin, as waking a sleeping thread takes longer than most steps; but only for so
// long: what waits between requests, or for a member whose processor another
// program has, sleeps.
type barrier struct {
	n       int32
	_       [60]byte
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

// init readies the barrier for n members.
func (b *barrier) init(n int) {
	b.n, b.sleeper = int32(n), make([]sleeper, n)
	for i := range b.sleeper {
		b.sleeper[i].wake = make(chan struct{}, 1)
	}
}

// wait returns when all n members have called it. The last to come sets counter
// to 0 before anyone goes on.
func (b *barrier) wait(id int, counter *atomic.Int64) {
	turn := b.turn.Load()
	if b.arrived.Add(1) == b.n {
		if counter != nil {
			counter.Store(0)
		}
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
