package cpu

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gollm/gollm/gguf"
)

// team is a fixed set of goroutines, and the caller of run, that go through the
// steps of a runner together, or of several whose steps are the same.
//
// The items of a step are dealt out in as many runs as there are members: who reads
// weights from end to end has them fetched ahead by the processor, and finds some in
// its own cache when the next token comes. A member that has done its own takes
// others', from the end.
//
// All wait for a member whose processor another program takes away, and as
// processors are handed out for milliseconds, two threads would be slower than one. So
// such a member is sent off for a while: see member.
type team struct {
	n       int
	all     bool // n is all that Go has
	barrier barrier
	items   []items // of each member

	// Written by the last to come to the barrier, read when it has let go.
	group   []*runner     // what runs; none to stop
	short   bool          // its steps are of few tokens
	at, end int           // the current step, and the number of them
	count   [together]int // items of the current one, of each of the group
	members []member
	late    [3]time.Time // when patience was last lost
	present []int        // who is not away, in order

	asked  []*runner // what is to be run next; the caller's again after the last step
	closed bool
	quit   chan struct{} // closed to end those that are away
	exit   sync.WaitGroup

	// failure is the first that a member ran into, for good: see catch.
	failure atomic.Pointer[error]
}

// member is who may be away. The last to come to the barrier sends off and lets in,
// when a run begins.
type member struct {
	away    bool
	ready   atomic.Bool // away, and would come back
	admit   chan struct{}
	timer   *time.Timer
	since   time.Time     // when it was let in
	penalty time.Duration // how long it stays away
	_       [64]byte
}

// Who is late again within forgiven of being let in stays away twice as long as before.
const (
	shortest = 50 * time.Millisecond
	longest  = 400 * time.Millisecond
	forgiven = time.Second
)

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
	t := &team{n: n, all: n == runtime.GOMAXPROCS(0), items: make([]items, n), members: make([]member, n), quit: make(chan struct{})}
	for i := range n {
		t.present = append(t.present, i)
		t.members[i].admit = make(chan struct{}, 1)
	}
	t.barrier.init(n, t.advance, t.letIn)
	for id := 1; id < n; id++ {
		t.exit.Go(func() { t.worker(id) })
	}
	return t
}

// worker is what a member other than the caller does.
func (t *team) worker(id int) {
	debug.SetPanicOnFault(true)
	m := &t.members[id]
	for {
		if t.barrier.wait(id, -1); m.away {
			if !t.rest(m) {
				return
			}
		}
		for len(t.group) > 0 {
			if t.work(id); !m.away {
				break
			}
			if !t.rest(m) {
				return
			}
		}
		if len(t.group) == 0 {
			return
		}
	}
}

// rest is the time away. It returns false if the team ends, otherwise when a run begins
// in which the member takes part.
func (t *team) rest(m *member) bool {
	if m.timer == nil {
		m.timer = time.NewTimer(m.penalty)
	} else {
		m.timer.Reset(m.penalty)
	}
	select {
	case <-m.timer.C:
	case <-t.quit:
		return false
	}
	m.ready.Store(true)
	select {
	case <-m.admit:
		return true
	case <-t.quit:
		return false
	}
}

// sendOff sends one member off if any that wait for the last to come have lost
// patience: the last, or if that is the caller, another, whose processor the caller
// then may have. Items of prompts take too long to tell.
func (t *team) sendOff(last, done int) bool {
	if !t.short {
		return false
	}
	late := t.barrier.sleeper[0].asleep.Load()
	if done >= 0 { // between runs the others sleep for want of work
		for _, i := range t.present {
			late = late || t.barrier.sleeper[i].asleep.Load()
		}
	}
	if !late || len(t.present) == 1 {
		return false
	}
	// Now and then is chance: a signal, a page of a file, a wake-up that took long. A
	// program that wants the processor has it every few milliseconds.
	now := time.Now()
	if now.Sub(t.late[len(t.late)-1]) < time.Millisecond { // the wake-up after the last
		return false
	}
	often := now.Sub(t.late[0]) < 10*time.Duration(len(t.late))*time.Millisecond
	copy(t.late[:], t.late[1:])
	t.late[len(t.late)-1] = now
	if !often {
		return false
	}
	clear(t.late[:])
	at := slices.Index(t.present, last)
	if at == 0 {
		at = len(t.present) - 1
	}
	m := &t.members[t.present[at]]
	m.away = true
	if now.Sub(m.since) < forgiven {
		m.penalty = min(2*m.penalty, longest)
	} else {
		m.penalty = shortest
	}
	t.present = slices.Delete(t.present, at, at+1)
	t.barrier.n--
	return true
}

// letIn wakes who is let in: the last to come to the barrier calls it when it has let go,
// if advance says so.
func (t *team) letIn() {
	for i := range t.members {
		if m := &t.members[i]; m.away && slices.Contains(t.present, i) {
			m.away, m.since = false, time.Now()
			m.admit <- struct{}{}
		}
	}
}

// run runs all steps of a group of runners. The caller is the team's first member.
func (t *team) run(group []*runner) error {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	t.asked = group
	t.barrier.wait(0, -1)
	t.work(0)
	if err := t.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// advance makes the step after a done one, -1 where a run begins, that has any items the
// current one, and deals them out. The last to come to the barrier calls it. It
// returns whether any are to be let in.
func (t *team) advance(last, done int) (letIn bool) {
	sent := t.sendOff(last, done)
	if done < 0 {
		if t.group = t.asked; len(t.group) == 0 {
			return false
		}
		t.short, t.end = t.group[0].short(), len(t.group[0].steps)
	}
	if done < 0 && !sent {
		for i := range t.members {
			if m := &t.members[i]; m.ready.Load() {
				m.ready.Store(false)
				t.present = append(t.present, i)
				t.barrier.n++
				letIn = true
			}
		}
		slices.Sort(t.present)
	}
	for t.at = done + 1; t.at < t.end; t.at++ {
		n := 0
		if t.failure.Load() == nil { // otherwise values are not what the step may rely on
			n = t.countItems()
		}
		if n == 0 {
			continue
		}
		for i, id := range t.present {
			t.items[id].Store(uint64(n*i/len(t.present))<<32 | uint64(n*(i+1)/len(t.present)))
		}
		break
	}
	return letIn
}

// work is a member's part of a run, until it is sent off. Whatever it runs into, it
// comes to the barrier of each step.
func (t *team) work(id int) {
	m := &t.members[id]
	for at := t.at; !m.away && at < t.end; {
		t.steps(id, &at)
	}
}

// steps goes through the steps from *at on, to the end or to a panic in step *at.
func (t *team) steps(id int, at *int) {
	defer t.catch()
	m, done := &t.members[id], 0 // items since others had their turn
	for *at < t.end {
		if t.failure.Load() == nil {
			for item, ok := t.next(id); ok; item, ok = t.next(id) {
				t.do(id, item)
				if done++; done%longStep == 0 && t.all && t.short {
					runtime.Gosched()
				}
			}
		}
		if t.barrier.wait(id, *at); m.away {
			return
		}
		*at = t.at
		// Else whatever else is to run, the collector above all, would wait until the
		// scheduler's 10 ms are over, if the team has all processors. (After the last step the
		// group is the caller's again.)
		if *at < t.end && t.all && (!t.short || *at%(letOthers/len(t.group)) == 0) {
			done = 0
			runtime.Gosched()
		}
	}
}

// next takes an item: the member's first, or if it has none another's last.
func (t *team) next(id int) (item int, ok bool) {
	if item, ok = t.items[id].first(); ok {
		return item, ok
	}
	for i := 1; i < t.n && !ok; i++ {
		item, ok = t.items[(id+i)%t.n].last()
	}
	return item, ok
}

// countItems returns how many items the current step has. One of projections is the same
// rows of weights for all of the group; others are one runner's.
func (t *team) countItems() (n int) {
	for i, r := range t.group {
		s := &r.steps[t.at]
		if t.count[i] = s.items(); s.projections != nil {
			n = max(n, t.count[i])
		} else {
			n += t.count[i]
		}
	}
	return n
}

// do does an item of the current step.
func (t *team) do(id, item int) {
	if t.group[0].steps[t.at].projections != nil {
		i := 0
		for t.count[i] == 0 { // who has no outputs, where those are projected
			i++
		}
		t.group[i].projectItem(t.at, id, item, t.group[i+1:])
		return
	}
	for i, r := range t.group {
		if item < t.count[i] {
			r.steps[t.at].run(&r.workers[id], item)
			return
		}
		item -= t.count[i]
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
	err := gguf.Fault(r)
	if err != nil {
		err = fmt.Errorf("cpu: %w", err)
	} else {
		err = &bug{r, debug.Stack()}
	}
	t.failure.CompareAndSwap(nil, &err)
}

// bug is any other panic, which Run passes on to its caller.
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
	close(t.quit)
	t.barrier.wait(0, -1)
	t.exit.Wait()
}

// barrier lets n goroutines wait for each other some hundred times a token. They
// spin, as waking a sleeping thread takes longer than most steps; but only for so
// long: what waits between requests, or for a member whose processor another
// program has, sleeps.
type barrier struct {
	n       int32
	last    func(id, done int) bool
	after   func()
	_       [40]byte
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

// init readies the barrier for n members. The last of them to come calls last, with
// its number and what it came with, before anyone goes on, and after, when all can, if
// that was true.
func (b *barrier) init(n int, last func(id, done int) bool, after func()) {
	b.n, b.last, b.after, b.sleeper = int32(n), last, after, make([]sleeper, n)
	for i := range b.sleeper {
		b.sleeper[i].wake = make(chan struct{}, 1)
	}
}

// wait returns when all members have called it, with the same done, the step that is
// done or -1 between runs.
func (b *barrier) wait(id, done int) {
	turn := b.turn.Load()
	if b.arrived.Add(1) == b.n {
		more := b.last(id, done)
		b.arrived.Store(0)
		b.turn.Add(1)
		for i := range b.sleeper {
			if s := &b.sleeper[i]; s.asleep.Load() && s.asleep.CompareAndSwap(true, false) {
				s.wake <- struct{}{}
			}
		}
		if more {
			b.after()
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

// letOthers is how many steps of a single token of a small model, some 100 µs, go by before
// other goroutines may have the processor, and longStep how many items, as much again, in
// steps of a large one.
const (
	letOthers = 16
	longStep  = 128
)

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
