//go:build race

package metal_test

// raceEnabled: the race detector makes sync.Pool forget, and so allocate.
const raceEnabled = true
