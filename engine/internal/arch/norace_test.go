//go:build !race

package arch_test

const race = false
