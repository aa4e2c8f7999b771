package shaders_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/kerneltest"
)

var seedFlag = flag.Uint64("seed", 0, "seed of inputs and schedules; 0 for a new one")

// TestMain runs nothing where kernels cannot be compiled, and says so; with CI set that is a failure.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := emu.CanCompile(); err != nil {
		fmt.Printf("NOT TESTED: kernels: %v\n", err)
		if os.Getenv("CI") != "" {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// newRig makes a rig on an emulated GPU, whose schedule is as random as the inputs.
func newRig(t testing.TB, o kerneltest.Options) *kerneltest.Rig {
	t.Helper()
	o.Seed = newSeed(t)
	return newRigOn(t, newDevice(t, o.Seed), o)
}

// newSeed is the flag's, or a new one, which is told if the test fails.
func newSeed(t testing.TB) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with -run '^%s$' -seed %d", t.Name(), seed)
		}
	})
	return seed
}

func newRigOn(t testing.TB, d *metal.Device, o kerneltest.Options) *kerneltest.Rig {
	t.Helper()
	r, err := kerneltest.New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func newDevice(t testing.TB, seed uint64) *metal.Device {
	t.Helper()
	return emu.Test(t, emu.Options{Seed: seed, Races: os.Getenv("GOLLM_RACES") != ""}).Device()
}

// ops groups the cases by op, in their order; the long ones only with GOLLM_LONG set.
func ops() (list [][]kerneltest.Case) {
	for _, c := range kerneltest.Cases() {
		if c.Long && os.Getenv("GOLLM_LONG") == "" {
			continue
		}
		if n := len(list); n == 0 || list[n-1][0].Op != c.Op {
			list = append(list, nil)
		}
		list[len(list)-1] = append(list[len(list)-1], c)
	}
	return list
}

// TestKernels runs every case on the emulator, and wants every kernel of every source to have been run.
func TestKernels(t *testing.T) {
	r := newRig(t, kerneltest.Options{})
	for _, cases := range ops() {
		t.Run(cases[0].Op, func(t *testing.T) {
			for _, c := range cases {
				t.Run(strings.TrimPrefix(c.String(), c.Op+"/"), func(t *testing.T) {
					result, err := r.Run(c)
					if err != nil {
						t.Error(err)
					}
					if os.Getenv("GOLLM_ERRORS") != "" {
						t.Logf("error %.2g, bound %.2g, %d values", result.Error, result.Bound, result.Values)
					}
					if result.Values == 0 {
						t.Error("nothing was compared")
					}
				})
			}
		})
	}
	if f := flag.Lookup("test.run"); f.Value.String() != "" {
		return // some cases only
	}
	all, err := r.Compile()
	if err != nil {
		t.Fatal(err)
	}
	ran := r.Ran()
	for _, name := range all {
		if !slices.Contains(ran, name) {
			t.Errorf("no case runs kernel %s", name)
		}
	}
}

// TestCasesFail leaves half of the threadgroups of each launch out, or the launch: every case must find that something
// was not computed.
func TestCasesFail(t *testing.T) {
	half := func(l *shaders.Launch) bool {
		for i := range l.Groups {
			if l.Groups[i] > 1 {
				l.Groups[i] /= 2
				return true
			}
		}
		return false
	}
	// What is not computed may be taken for an address by what follows: the machine finds rules broken then.
	m, err := emu.Open(emu.Options{Seed: newSeed(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	r := newRigOn(t, m.Device(), kerneltest.Options{Seed: 1, Spoil: half})
	everyCase(t, func(c kerneltest.Case) error {
		if _, err := r.Run(c); err == nil {
			return fmt.Errorf("%s passes with threadgroups left out", c)
		}
		return nil
	})
}

// TestHardware runs every case as on a real GPU, with memory behind the arguments.
func TestHardware(t *testing.T) {
	r := newRig(t, kerneltest.Options{Hardware: true})
	everyCase(t, func(c kerneltest.Case) error { _, err := r.Run(c); return err })
}

// everyCase calls f for the cases, several at once.
func everyCase(t *testing.T, f func(kerneltest.Case) error) {
	var group sync.WaitGroup
	for _, cases := range ops() {
		group.Go(func() {
			for _, c := range cases {
				if err := f(c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}
