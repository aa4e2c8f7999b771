//go:build race

package split_test

// race: the race detector is on, which makes everything slow. A cut in one place
// is enough for it.
const race = true
