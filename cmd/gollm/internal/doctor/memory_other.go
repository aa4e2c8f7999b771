//go:build !darwin

package doctor

// systemMemory is not known: there is no Metal here.
func systemMemory() (total, wired int64) { return 0, -1 }
