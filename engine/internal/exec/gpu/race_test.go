//go:build race

package gpu

// race: the race detector is on, which makes everything slow, and needs what runs at
// the same time, not every family and op.
const race = true
