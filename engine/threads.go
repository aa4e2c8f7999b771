package engine

import "runtime"

// defaultThreads is the number of threads that is fastest for most: one for each
// performance core that this process may use. Go's GOMAXPROCS, which knows of
// affinity and of a container's quota, is the most. The two threads of a core share
// what the kernels are bound by, and work is handed out in steps that the slowest
// ends.
func defaultThreads() int {
	most := runtime.GOMAXPROCS(0)
	if n := performanceCores(); n > 0 {
		return min(n, most)
	}
	return most
}
