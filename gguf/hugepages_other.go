//go:build !linux

package gguf

// preferHugePages has nothing to ask for.
func preferHugePages([]byte) {}
