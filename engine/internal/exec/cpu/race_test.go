//go:build race

package cpu_test

// race: the race detector is on, which sees nothing of the assembly and makes
// everything else slow. One kind of kernels is enough for it.
const race = true
