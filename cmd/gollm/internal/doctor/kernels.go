package doctor

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gollm/gollm/shaders"
	"github.com/gollm/gollm/shaders/kerneltest"
)

// Case is a kernel test and what came of it.
type Case struct {
	kerneltest.Case
	kerneltest.Result
	Seconds float64 `json:"seconds"` // with the time it took to compile and to compute the reference
	Failure string  `json:"failure,omitempty"`
}

// runCases runs the kernels' tests: a check an op, its cases as many at once as there
// are processors.
func (e *examination) runCases(rig *kerneltest.Rig) {
	var ops []string
	cases := map[string][]kerneltest.Case{}
	for _, c := range e.cases {
		if c.Long && !e.All {
			continue
		}
		if cases[c.Op] == nil {
			ops = append(ops, c.Op)
		}
		cases[c.Op] = append(cases[c.Op], c)
	}
	for _, op := range ops {
		e.check("kernel "+op, func() (string, error) {
			done := make([]Case, len(cases[op]))
			var group sync.WaitGroup
			slots := make(chan struct{}, runtime.GOMAXPROCS(0))
			for i, c := range cases[op] {
				group.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					if e.ctx.Err() != nil {
						return
					}
					start := time.Now()
					result, err := rig.Run(c)
					done[i] = Case{Case: c, Result: result, Seconds: time.Since(start).Seconds()}
					if err != nil {
						done[i].Failure = err.Error()
					}
				})
			}
			group.Wait()
			if err := e.ctx.Err(); err != nil {
				return "", err
			}
			e.report.Cases = append(e.report.Cases, done...)
			return sum(done)
		})
	}
}

// sum says how the cases of an op went.
func sum(cases []Case) (string, error) {
	const show = 5 // failures; the JSON has all
	var failures []string
	var worst Case
	seconds := 0.0
	for _, c := range cases {
		seconds += c.Seconds
		if c.Failure != "" {
			failures = append(failures, c.Failure)
		}
		if c.Bound > 0 && (worst.Bound == 0 || c.Error*worst.Bound > worst.Error*c.Bound) {
			worst = c
		}
	}
	if n := len(failures); n > 0 {
		more := ""
		if n > show {
			failures, more = failures[:show], fmt.Sprintf("\nand %d more; --json has them all", n-show)
		}
		return "", fmt.Errorf("%d of %d cases failed:\n%s%s", n, len(cases), strings.Join(failures, "\n"), more)
	}
	text := fmt.Sprintf("%3d cases in %4.1f s, ", len(cases), seconds)
	if worst.Bound == 0 {
		return text + "exact", nil
	}
	name := strings.TrimPrefix(worst.String(), worst.Op+"/")
	return text + fmt.Sprintf("error at most %.1e of %.0e (%s)", worst.Error, worst.Bound, name), nil
}

// timed are the types whose speed is told: the most used, and those hardest to read.
var timed = []shaders.Type{shaders.F16, shaders.Q8_0, shaders.Q4_0, shaders.Q4_K, shaders.Q6_K, shaders.MXFP4}

// speed measures how fast memory is copied, and weights of some types are read as decoding
// reads them: the best of some runs, by the GPU's clock.
func (e *examination) speed(rig *kerneltest.Rig, emulated bool) (string, error) {
	bytes, width, rows, runs := 256<<20, 4096, 65536, 8 // more than any cache holds
	if emulated {
		bytes, rows, runs = 1<<20, 32, 1
	}
	copied, err := rig.TimeCopy(bytes, runs)
	if err != nil {
		return "", err
	}
	speeds := []kerneltest.Speed{copied}
	var shares []string
	for _, t := range timed {
		s, err := rig.TimeMatVec(t, width, rows, 1, runs)
		if err != nil {
			return "", errors.Join(err, e.ctx.Err())
		}
		speeds = append(speeds, s)
		shares = append(shares, fmt.Sprintf("%s %.0f %%", t, 100*s.Rate()/copied.Rate()))
	}
	if emulated {
		return fmt.Sprintf("%d kernels timed; an emulator's times say nothing about a GPU", len(speeds)), nil
	}
	e.report.Speeds = speeds
	return fmt.Sprintf("%.0f GB/s copying %d MiB; of that, reading weights of %d×%d: %s", copied.Rate()/1e9, bytes>>20, rows, width, strings.Join(shares, ", ")), nil
}
