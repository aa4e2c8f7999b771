package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// commit is what the program was built from, as far as the go command
// recorded it.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(8, len(s.Value))]
		}
	}
	return strings.Trim(info.Main.Version, "()")
}

// cpuName is what the system calls the processor, or its architecture.
func cpuName() string {
	if name := brand(); name != "" {
		return name
	}
	// Linux on x86-64 has "model name", on arm64 mostly nothing of use.
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(line, ":")
			if strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH
}
