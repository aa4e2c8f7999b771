//go:build !amd64 && !arm64

package kernel

// Sets lists the kernels that this machine can run.
func Sets() []*Set { return []*Set{goSet()} }
