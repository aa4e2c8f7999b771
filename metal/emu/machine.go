package emu

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/internal/objc"
)

// Options say what machine is emulated. The zero value is a 16 GB M1 with macOS 26.
type Options struct {
	Chip   Chip // see ChipNamed
	Darwin int  // major version of the kernel, 22 (macOS 13) to 25 (macOS 26)

	// Headers are the files kernels may #include, by the name between the quotes.
	Headers map[string]string
	// Lenient compiles what Apple's compiler would refuse but ours can run.
	Lenient bool

	// Seed orders what Metal leaves unordered: dispatches of a concurrent encoder between barriers,
	// threadgroups, simdgroups. 0 picks one; Machine.Seed tells which.
	Seed uint64
	// KeepContents leaves new buffers zero instead of filling them with NaNs.
	KeepContents bool
	// PageSize is what no-copy buffers are aligned to; 0 is Apple silicon's 16384. Linux maps files at
	// multiples of its own, smaller pages: for buffers over such mappings give os.Getpagesize().
	PageSize int
	// Watchdog ends a command buffer that runs longer with a timeout error; 0 lets it run.
	Watchdog time.Duration
	// NoCapture refuses GPU captures, as a process started without MTL_CAPTURE_ENABLED=1 does.
	NoCapture bool

	// Hazards reports two dispatches of a concurrent encoder that nothing orders and that use the same
	// buffer from the same offset, one of them through a pointer it may write to; and two encoders that
	// nothing orders (a fence, an event, the program's having seen the first one's command buffer
	// completed) and that use the same buffer, one to write, if it is Untracked or their queues differ.
	Hazards bool

	// Races reports accesses of two threads of a threadgroup to the same memory that no barrier orders,
	// and reads of threadgroup memory nothing wrote. Kernels then run many times slower.
	Races bool
	// Sanitize reports what C++ leaves undefined in a kernel: shifts by more than the type has bits,
	// overflow of signed integers, an index outside an array, a function that ends without its value.
	// GOLLM_EMU=sanitize in the environment sets it for every machine.
	Sanitize bool
	// DivergentSIMD reports lanes of a simdgroup that wait at different simd operations, which Metal
	// allows and few kernels mean.
	DivergentSIMD bool
	// Workers is how many OS threads run kernels; 0 is one a core.
	Workers int
	// CacheDir keeps compiled kernels between runs; "" is a folder below the user's cache directory.
	CacheDir string

	// Report is called for every rule broken, while it is; it must not use the machine.
	Report func(*Violation)
	// Trace, if set, gets a line for every message.
	Trace io.Writer

	compiler kernel.Compiler // tests put their own here
	executor kernel.Executor
}

// Machine is an emulated Mac, as far as a Metal program can see.
type Machine struct {
	opt    Options
	slot   *slot
	device *metal.Device
	rt     *objc.Runtime
	begun  time.Time

	compiler kernel.Compiler
	executor kernel.Executor

	mu      sync.Mutex
	changed *sync.Cond // a command buffer's status, an event's value, closing
	closing bool
	gpus    sync.WaitGroup // a goroutine a queue
	after   []func()       // to be called once mu is free

	objects      map[uintptr]*object
	graves       map[uintptr]tombstone
	pools        map[int][]*pool
	queues       []*queue
	mtlDevice    *object
	encoderInfos *object
	captures     *object
	counters     *object
	violations   []*Violation
	rng          *rand.Rand

	allocated   int64 // bytes of buffers
	nextGPU     uint64
	turn        uint64 // encoders and copies run so far
	quarantine  []*mapping
	quarantined int64
	faults      []pendingFault
	ignoring    bool // submissions are ignored for the rest of the process
	removed     bool
	messages    int
	stats       Stats
	capturing   *capture
}

// Stats counts what a machine did.
type Stats struct {
	Messages       int
	Compiles       int // libraries from source
	Pipelines      int // compiled
	ArchiveHits    int // pipelines found in a binary archive instead
	CommandBuffers int // completed or failed
	Dispatches     int // executed
	Barriers       int // encoded
}

// Open makes a machine. Close it to learn what the program did wrong.
func Open(o Options) (*Machine, error) {
	if o.Chip.Name == "" {
		o.Chip, _ = ChipNamed("M1", 0)
	}
	o.Darwin = cmp.Or(o.Darwin, 25)
	o.PageSize = cmp.Or(o.PageSize, pageSize)
	if o.PageSize < 0 || o.PageSize&(o.PageSize-1) != 0 {
		return nil, fmt.Errorf("emu: page size %d is no power of two", o.PageSize)
	}
	for o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	m := &Machine{
		opt: o, begun: time.Now(), compiler: o.compiler, executor: o.executor,
		objects: map[uintptr]*object{}, graves: map[uintptr]tombstone{}, pools: map[int][]*pool{},
		rng: rand.New(rand.NewPCG(o.Seed, 1)), nextGPU: 1 << 34,
	}
	m.changed = sync.NewCond(&m.mu)
	if err := m.backend(); err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	m.mu.Lock()
	m.mtlDevice = m.add("MTLDevice", nil)
	m.mtlDevice.refs = 0 // until MTLCreateSystemDefaultDevice
	m.mtlDevice.holds = 1
	m.encoderInfos = m.constant("NSString", &nsString{s: "MTLCommandBufferEncoderInfoErrorKey"})
	m.captures = m.constant("MTLCaptureManager", nil)
	m.counters = m.constant("MTLCounterSet", nil)
	m.mu.Unlock()
	m.slot = takeSlot(m)
	var err error
	if m.rt, err = m.runtime(); err == nil {
		m.device, err = metal.OpenRuntime(m.rt)
	}
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	return m, nil
}

// Device is the machine's GPU. It is one and the same; Close releases it.
func (m *Machine) Device() *metal.Device { return m.device }

// Seed is what orders the unordered.
func (m *Machine) Seed() uint64 { return m.opt.Seed }

// Stats counts what the machine did so far.
func (m *Machine) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Messages = m.messages
	return s
}

// Violations are the rules broken so far.
func (m *Machine) Violations() []*Violation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.violations)
}

// TakeViolations returns the rules broken so far and forgets them: for programs that break some on
// purpose.
func (m *Machine) TakeViolations() []*Violation {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.violations
	m.violations = nil
	return v
}

// defaultDevice is MTLCreateSystemDefaultDevice.
func (m *Machine) defaultDevice() uintptr {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mtlDevice.refs++
	return m.mtlDevice.id
}

// Close ends the machine: it waits for committed work, then reports as errors every rule broken, every
// object still referenced and every autorelease pool still open.
func (m *Machine) Close() error {
	m.mu.Lock()
	if m.closing {
		m.mu.Unlock()
		return nil
	}
	m.closing = true
	m.changed.Broadcast()
	m.mu.Unlock()
	m.gpus.Wait()
	m.device.Release()

	m.mu.Lock()
	m.findLeaks()
	errs := make([]error, len(m.violations))
	for i, v := range m.violations {
		errs[i] = v
	}
	m.freeMemory()
	m.unlock()
	m.slot.giveBack()
	if m.opt.executor == nil {
		errs = append(errs, m.executor.Close())
	}
	return errors.Join(errs...)
}

// findLeaks reports objects the program still has references to, and pools it never popped.
func (m *Machine) findLeaks() {
	for thread, list := range m.pools {
		m.report(&Violation{Rule: PoolLeak, Detail: fmt.Sprintf("%d autorelease pools of thread %d never popped", len(list), thread)})
		m.drain(thread, 0)
	}
	var left []*object
	for _, o := range m.objects {
		if o.refs > 0 && !o.fixed {
			left = append(left, o)
		}
	}
	slices.SortFunc(left, func(a, b *object) int { return cmp.Compare(a.id, b.id) })
	for _, o := range left {
		m.report(&Violation{Rule: Leak, Detail: fmt.Sprintf("%s still has %d references of the program; made at %s", o, o.refs, o.made.caller())})
	}
}

// trace writes a line for a message handled.
func (m *Machine) trace(c *call) {
	if m.opt.Trace == nil && m.capturing == nil {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%#x %s", c.self.id, c.decl)
	for i, t := range c.decl.Args {
		switch a := c.args[i]; t.Kind {
		case objc.Object:
			if a.obj == nil {
				b.WriteString(" nil")
			} else if s, ok := a.obj.data.(*nsString); ok && len(s.s) < 80 {
				fmt.Fprintf(&b, " %q", s.s)
			} else {
				fmt.Fprintf(&b, " %#x(%s)", a.word, a.obj)
			}
		case objc.Size:
			fmt.Fprintf(&b, " {%d %d %d}", a.size.W, a.size.H, a.size.D)
		case objc.Range:
			fmt.Fprintf(&b, " {%d %d}", a.loc, a.len)
		case objc.UInteger, objc.Integer, objc.Bool, objc.Byte:
			fmt.Fprintf(&b, " %d", a.word)
		default:
			fmt.Fprintf(&b, " %#x", a.word)
		}
	}
	if c.decl.Ret.Kind != objc.Void {
		fmt.Fprintf(&b, " = %#x", c.ret)
	}
	b.WriteByte('\n')
	if m.opt.Trace != nil {
		io.WriteString(m.opt.Trace, b.String())
	}
	if m.capturing != nil {
		m.capturing.text.WriteString(b.String())
	}
}

// TB is what Test needs of testing.TB.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Test opens a machine for a test: whatever the program does wrong, until the test ends, fails it.
func Test(t TB, o Options) *Machine {
	t.Helper()
	m, err := Open(o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if err := m.Close(); err != nil {
			t.Errorf("seed %d: %v", m.Seed(), err)
		}
	})
	return m
}
