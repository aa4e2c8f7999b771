//go:build !darwin

package bench

func brand() string { return "" }
