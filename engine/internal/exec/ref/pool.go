package ref

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/gollm/gollm/gguf"
)

// pool runs loops on a fixed set of goroutines. Loops of different callers
// take turns.
type pool struct {
	mu   sync.Mutex
	n    int // goroutines, the caller's included
	work []chan loop
	done sync.WaitGroup
	exit sync.WaitGroup

	// fault is the first one that a loop ran into, for good: see catch.
	fault atomic.Pointer[error]
}

// body handles items [from, to) of a loop. worker tells goroutines of one
// loop apart, for scratch memory: 0 ≤ worker < pool.n.
type body func(worker, from, to int)

type loop struct {
	body     body
	from, to int
}

func newPool(n int) *pool {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	p := &pool{n: n, work: make([]chan loop, n-1)}
	for i := range p.work {
		c := make(chan loop)
		p.work[i] = c
		p.exit.Add(1)
		go func() {
			defer p.exit.Done()
			debug.SetPanicOnFault(true)
			for l := range c {
				p.run(i+1, l)
				p.done.Done()
			}
		}()
	}
	return p
}

// each runs body over [0, items), split evenly; grain is the fewest items
// worth a goroutine. It returns when all are done. It allocates nothing.
func (p *pool) each(items, grain int, body body) {
	parts := min(p.n, max(1, items/max(1, grain)))
	if parts == 1 {
		// Without the lock: worker 0's scratch belongs to the caller's runner.
		p.run(0, loop{body, 0, items})
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done.Add(parts - 1)
	for i := 1; i < parts; i++ {
		p.work[i-1] <- loop{body, items * i / parts, items * (i + 1) / parts}
	}
	p.run(0, loop{body, 0, items / parts})
	p.done.Wait()
}

// run runs one goroutine's part of a loop.
func (p *pool) run(worker int, l loop) {
	defer p.catch()
	l.body(worker, l.from, l.to)
}

// catch, deferred, keeps a fault as an error: of weights whose file was cut
// off, or whose disk fails, while they are mapped. What is computed then is
// nothing, for every runner.
func (p *pool) catch() {
	r := recover()
	if r == nil {
		return
	}
	err := gguf.Fault(r)
	if err == nil {
		panic(r)
	}
	err = fmt.Errorf("ref: %w", err)
	p.fault.CompareAndSwap(nil, &err)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.work {
		close(c)
	}
	p.work, p.n = nil, 1
	p.exit.Wait()
}
