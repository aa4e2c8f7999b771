package cpu

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTurns: runners that wait while another has the team have the next turn together,
// at most so many, if their steps are short; a prompt has one of its own.
func TestTurns(t *testing.T) {
	const short, prompts = together + 2, 2
	tm := newTeam(2)
	turns := turns{team: tm}
	defer turns.close()
	var wait sync.WaitGroup
	begun, others := make(chan struct{}), make(chan struct{})
	start := func(n, items int, do func()) {
		r := &runner{n: n, workers: make([]worker, tm.n), turn: make(chan bool, 1)}
		var done atomic.Int32
		r.add(func() int { return items }, func(_ *worker, item int) {
			done.Add(1)
			if item == 0 {
				do()
			}
		})
		wait.Go(func() {
			if err := turns.run(r); err != nil {
				t.Error(err)
			}
			if n := int(done.Load()); n != items {
				t.Errorf("%d of %d items were done", n, items)
			}
		})
	}
	start(1, 3, func() { close(begun); <-others })
	<-begun
	var sizes [together + 1]atomic.Int32 // how many had a turn of so many
	for i := range short {
		start(1+i%few, 2+i, func() { sizes[len(tm.group)].Add(1) })
	}
	for range prompts {
		start(few+1, 5, func() {
			if n := len(tm.group); n != 1 {
				t.Errorf("a prompt had a turn with %d others", n-1)
			}
		})
	}
	for n := 0; n < short+prompts; runtime.Gosched() {
		turns.mu.Lock()
		n = len(turns.waiting)
		turns.mu.Unlock()
	}
	close(others)
	wait.Wait()
	if a, b := sizes[together].Load(), sizes[short-together].Load(); a != together || b != short-together {
		t.Errorf("%d had a turn of %d, %d one of %d", a, together, b, short-together)
	}
	if turns.led || len(turns.waiting) > 0 {
		t.Error("all are done, and somebody leads or waits")
	}
}

// TestExpect: a leader waits for who had the last turn with it, but not for ever, and then no more.
func TestExpect(t *testing.T) {
	tm := newTeam(1)
	turns := turns{team: tm, took: patience * 300 * time.Millisecond, crowd: 2}
	defer turns.close()
	var sizes []int
	step := func() *runner {
		r := &runner{n: 1, workers: make([]worker, tm.n), turn: make(chan bool, 1)}
		r.add(func() int { return 1 }, func(*worker, int) { sizes = append(sizes, len(tm.group)) })
		return r
	}
	var wait sync.WaitGroup
	for range 2 { // the second comes while the first waits
		wait.Go(func() {
			if err := turns.run(step()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Millisecond)
	}
	wait.Wait()
	turns.took, turns.crowd = patience*2*time.Millisecond, 2
	for range 2 { // nobody comes
		if err := turns.run(step()); err != nil {
			t.Error(err)
		}
	}
	if want := []int{2, 2, 1, 1}; len(sizes) != 4 || [4]int(sizes) != [4]int(want) || turns.crowd != 1 {
		t.Errorf("turns of %v, want %v; %d are expected", sizes, want, turns.crowd)
	}
}

// TestTurnsFail: what goes wrong in a turn is known to all that had it, and to who waits when
// the executor is closed.
func TestTurnsFail(t *testing.T) {
	tm := newTeam(2)
	turns := turns{team: tm, took: time.Second, crowd: 3}
	broken := errors.New("broken")
	tm.failure.Store(&broken)
	run := func(want error) {
		var wait sync.WaitGroup
		for range 3 {
			wait.Go(func() {
				r := &runner{n: 1, workers: make([]worker, tm.n), turn: make(chan bool, 1)}
				if err := turns.run(r); err != want {
					t.Errorf("error %v, want %v", err, want)
				}
			})
		}
		wait.Wait()
	}
	run(broken)
	turns.close()
	turns.close()
	run(errClosed)
}
