// Package kerneltest holds gollm's kernels against plain references in double precision, on whatever
// GPU it is given: the emulator's in the tests of package shaders, a Mac's in gollm doctor.
//
// Each kernel has one tester here, a file an op, which runs it at shapes named for what they exercise.
// Inputs are random and drawn from a seed, so that a case can be run again. Outputs hold NaNs before a
// kernel runs: what it forgets to write shows. Errors are relative, with a bound for each result, and NaN
// is never within one.
package kerneltest

import (
	"slices"

	"github.com/gollm/gollm/shaders"
)

// Case is one problem for one kernel.
type Case struct {
	Op   string `json:"op"`             // what is tested: "matvec"
	Type string `json:"type,omitempty"` // the tensor types it reads, where it can read several: "Q4_K", "Q4_K+Q6_K"
	Name string `json:"name"`           // what the shape exercises: "odd_tail"
	// Long is a case of those that only a thorough run needs.
	Long bool `json:"-"`

	run func(*trial)
}

// String is the case's op, type and name: "matvec/Q4_K/odd_tail".
func (c Case) String() string {
	if c.Type == "" {
		return c.Op + "/" + c.Name
	}
	return c.Op + "/" + c.Type + "/" + c.Name
}

// Cases are all cases, those of an op one after another.
func Cases() []Case {
	return slices.Concat(
		embedCases(), normCases(), ropeCases(), storeCases(), copyCases(), elementCases(),
		matVecCases(), matVecNCases(), matMulCases(), qkvCases(), qkvNCases(), gluCases(), gluNCases(),
		routeCases(), groupCases(), matVecIDCases(), matMulIDCases(), matVecCombineCases(), combineCases(),
		attentionCases(), topKCases(), argMaxCases(), logSumExpCases(),
	)
}

// eachType makes the cases of every tensor type.
func eachType(op string, f func(t shaders.Type, add func(name string, long bool, run func(*trial)))) (list []Case) {
	for _, t := range shaders.Types {
		f(t, func(name string, long bool, run func(*trial)) {
			list = append(list, Case{Op: op, Type: t.String(), Name: name, Long: long, run: run})
		})
	}
	return list
}
