//go:build !race

package gpu

const race = false
