package engine

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// performanceCores returns the number of cores of the fastest kind that this
// process may run on, 0 if that is not known.
func performanceCores() int {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return 0
	}
	return countCores(os.DirFS("/sys/devices"), allowed.IsSet)
}

// countCores counts the cores whose processors are allowed, by what /sys/devices
// tells of them: topology/core_cpus_list is the same for the threads of a core;
// cpu_core, where there are two kinds of cores, lists the threads of the faster.
func countCores(devices fs.FS, allowed func(cpu int) bool) int {
	read := func(name string) string {
		b, _ := fs.ReadFile(devices, name)
		return strings.TrimSpace(string(b))
	}
	cores := func(fits func(cpu int) bool) int {
		seen := map[string]bool{}
		for _, cpu := range cpuList(read("system/cpu/online")) {
			if !fits(cpu) {
				continue
			}
			core := read(fmt.Sprintf("system/cpu/cpu%d/topology/core_cpus_list", cpu))
			if core == "" { // Linux before 5.3
				core = read(fmt.Sprintf("system/cpu/cpu%d/topology/thread_siblings_list", cpu))
			}
			if core == "" {
				core = strconv.Itoa(cpu)
			}
			seen[core] = true
		}
		return len(seen)
	}
	fast := map[int]bool{}
	for _, cpu := range cpuList(read("cpu_core/cpus")) {
		fast[cpu] = true
	}
	if n := cores(func(cpu int) bool { return fast[cpu] && allowed(cpu) }); n > 0 {
		return n
	}
	return cores(allowed)
}

// cpuList reads a list such as 0-3,8,10-11. What it does not understand it leaves
// out.
func cpuList(text string) (cpus []int) {
	const most = 1 << 16
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < 0 || to >= most {
			continue
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}
