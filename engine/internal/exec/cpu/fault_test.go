//go:build unix

package cpu

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gollm/gollm/engine/internal/exec/cpu/kernel"
	"github.com/gollm/gollm/gguf"
)

// gone returns memory that faults when it is touched. (A mapped file that was cut off
// is engine's test: qemu-user does not say where a SIGBUS came from.)
func gone(t *testing.T, size int) []byte {
	t.Helper()
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(b) })
	return b
}

// TestFault lets each member of a team in turn, and then all of them, fault in
// each kernel that reads weights, and in Go. The run ends with an error, the steps
// after the fault do nothing, and so does every later run.
func TestFault(t *testing.T) {
	const members, rows, cols = 3, 8, 512
	weights := gone(t, rows*cols*4)
	x, y := make([]float32, cols), make([]float32, cols)
	q, d, m := make([]int16, cols), make([]float32, cols), make([]float32, cols)
	touches := map[string]func(){"go": func() { y[0] = float32(weights[100]) }}
	for _, set := range kernel.Sets() {
		wide := make([]byte, set.WideBytes(cols)+1)
		act := kernel.Act{Q: &q[0], D: &d[0], S: &d[0], H: &m[0], W: &wide[0]}
		for typ := range gguf.Type(64) {
			name := set.Name + "_" + typ.String()
			if set.Integer(typ) {
				touches[name+"_dot"] = func() { set.Dot(typ, y[:rows], weights, typ.RowBytes(cols), cols, &act) }
				touches[name+"_quants"] = func() { set.Quants(typ, q, d, m, weights, cols) }
			}
			if set.Direct(typ) {
				touches[name+"_float"] = func() { set.DotFloat(typ, y[:rows], weights, typ.RowBytes(cols), x) }
			}
			if set.Widen(typ, y[:32], make([]byte, 128)) {
				touches[name+"_widen"] = func() { set.Widen(typ, y, weights) }
			}
		}
	}
	if len(touches) < 10 {
		t.Fatalf("%d ways to fault", len(touches))
	}
	for name, touch := range touches {
		for victim := range members + 1 { // the last: all of them
			t.Run(fmt.Sprintf("%s_%d", name, victim), func(t *testing.T) {
				team := newTeam(members)
				defer team.close()
				if victim > team.n {
					t.Skipf("%d processors", team.n)
				}
				r := &runner{workers: make([]worker, team.n)}
				var came atomic.Int32
				var later atomic.Int32
				r.add(func() int { return team.n }, func(w *worker, _ int) {
					// Every member has one item.
					for came.Add(1); came.Load() < int32(team.n); {
						pause()
					}
					if victim == team.n || w == &r.workers[victim] {
						touch()
					}
				})
				r.add(func() int { return 100 }, func(*worker, int) { later.Add(1) })
				for range 3 {
					err := team.run([]*runner{r})
					if err == nil || !strings.Contains(err.Error(), "can no longer be read") {
						t.Errorf("run: %v", err)
					}
				}
				if came.Load() != int32(team.n) || later.Load() != 0 {
					t.Errorf("%d items of the first step and %d of the next ran, want %d and none", came.Load(), later.Load(), team.n)
				}
			})
		}
	}
}

// TestBug: a panic of any member is the caller's, and leaves the team able to stop.
func TestBug(t *testing.T) {
	for victim := range 2 {
		team := newTeam(2)
		defer team.close()
		r := &runner{workers: make([]worker, team.n)}
		var came atomic.Int32
		r.add(func() int { return team.n }, func(w *worker, _ int) {
			for came.Add(1); came.Load() < int32(team.n); {
				pause()
			}
			if w == &r.workers[min(victim, team.n-1)] {
				panic("a bug")
			}
		})
		for range 2 {
			var bug *bug
			if err := team.run([]*runner{r}); !errors.As(err, &bug) || !strings.Contains(bug.Error(), "a bug") || !strings.Contains(bug.Error(), "fault_test.go") {
				t.Errorf("run returns %v", err)
			}
		}
	}
}
