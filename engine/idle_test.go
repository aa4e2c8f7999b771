//go:build unix

package engine_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gollm/gollm/engine"
	"golang.org/x/sys/unix"
)

// TestIdle: between requests a loaded model with open sessions takes no processor's time.
func TestIdle(t *testing.T) {
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	m := stories(t, engine.Options{Device: "cpu"})
	for _, sessions := range []int{1, 3} {
		var wait sync.WaitGroup
		for range sessions {
			s := session(t, m)
			wait.Go(func() {
				if _, err := continued(context.Background(), s, "Once upon a time", 50); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		time.Sleep(50 * time.Millisecond) // workers spin for about one before they sleep
		const idle = 500 * time.Millisecond
		before := used()
		time.Sleep(idle)
		spent := used() - before
		t.Logf("after %d sessions: %v in %v", sessions, spent, idle)
		if spent > idle/20 {
			t.Errorf("after %d sessions: %v of a processor's time in %v of idleness", sessions, spent, idle)
		}
	}
}
