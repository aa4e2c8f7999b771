package cpu

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestBarrier lets members come at random times, some so late that the others
// sleep, and checks that nobody leaves before all have come.
func TestBarrier(t *testing.T) {
	const members, turns = 5, 1000
	var b barrier
	last := 0
	b.init(members, func(_, turn int) bool { last = turn; return false }, nil)
	var came [turns]atomic.Int32
	var stop atomic.Bool
	var waker, group sync.WaitGroup
	waker.Go(func() {
		for !stop.Load() {
			b.sleeper[rand.IntN(members)].wakeForNothing()
			time.Sleep(50 * time.Microsecond)
		}
	})
	for id := range members {
		group.Go(func() {
			for turn := range turns {
				if rand.IntN(300) == 0 {
					time.Sleep(10 * time.Millisecond)
				} else if rand.IntN(3) == 0 {
					runtime.Gosched()
				}
				came[turn].Add(1)
				b.wait(id, turn)
				if last != turn {
					t.Errorf("turn %d: what its last member did is not to be seen", turn)
				}
				if n := came[turn].Load(); n != members {
					t.Errorf("turn %d: left when %d of %d had come", turn, n, members)
					return
				}
			}
		})
	}
	group.Wait()
	stop.Store(true)
	waker.Wait()
}

// wakeForNothing is what one who ended an earlier turn may do, late.
func (s *sleeper) wakeForNothing() {
	if s.asleep.Load() && s.asleep.CompareAndSwap(true, false) {
		s.wake <- struct{}{}
	}
}

// TestLateMember holds a member up as a processor taken away does: the others go on
// without it, every item is done once, and it is back when that is over.
func TestLateMember(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("there is one processor")
	}
	team := newTeam(2)
	defer team.close()
	const items = 50
	var done [items]atomic.Int32
	var hold atomic.Bool
	var held atomic.Int32
	r := &runner{n: 1, workers: make([]worker, 2)}
	for range 20 {
		r.add(func() int { return items }, func(w *worker, item int) {
			if hold.Load() && w == &r.workers[1] {
				held.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
			done[item].Add(1)
		})
	}
	r.add(func() int { return 0 }, func(*worker, int) { t.Error("an item of a step without items") })
	runs := 0
	run := func() {
		t.Helper()
		if err := team.run([]*runner{r}); err != nil {
			t.Fatal(err)
		}
		runs++
		for i := range done {
			if n := int(done[i].Load()); n != 20*runs {
				t.Fatalf("run %d: item %d was done %d times", runs, i, n)
			}
		}
	}
	for turn := range 3 {
		hold.Store(true)
		for deadline := time.Now().Add(10 * time.Second); len(team.present) == 2; run() {
			if time.Now().After(deadline) {
				t.Fatalf("turn %d: a late member was not sent off, held %d times", turn, held.Load())
			}
		}
		hold.Store(false)
		for deadline := time.Now().Add(10 * time.Second); len(team.present) == 1; run() {
			if time.Now().After(deadline) {
				t.Fatalf("turn %d: the member did not come back", turn)
			}
			time.Sleep(time.Millisecond)
		}
	}
}
