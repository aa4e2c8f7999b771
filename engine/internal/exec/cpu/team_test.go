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
	b.init(members, func(turn int) { last = turn })
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
