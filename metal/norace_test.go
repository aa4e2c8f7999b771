//go:build !race

package metal_test

const raceEnabled = false
