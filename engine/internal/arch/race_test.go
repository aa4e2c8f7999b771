//go:build race

package arch_test

// race: the race detector is on, which makes everything slow, and needs what runs at
// the same time, not every family.
const race = true
