//go:build !race

package split_test

const race = false
