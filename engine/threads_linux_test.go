package engine

import (
	"fmt"
	"runtime"
	"testing"
	"testing/fstest"
)

func TestCountCores(t *testing.T) {
	all := func(int) bool { return true }
	// machine has files for processors whose cores are given by name.
	machine := func(fast, file string, cores ...string) fstest.MapFS {
		m := fstest.MapFS{"system/cpu/online": {Data: fmt.Appendf(nil, "0-%d\n", len(cores)-1)}}
		for cpu, core := range cores {
			m[fmt.Sprintf("system/cpu/cpu%d/topology/%s", cpu, file)] = &fstest.MapFile{Data: []byte(core + "\n")}
		}
		if fast != "" {
			m["cpu_core/cpus"] = &fstest.MapFile{Data: []byte(fast + "\n")}
		}
		return m
	}
	const list, old = "core_cpus_list", "thread_siblings_list"
	for _, c := range []struct {
		name    string
		sys     fstest.MapFS
		allowed func(int) bool
		want    int
	}{
		{"no /sys", fstest.MapFS{}, all, 0},
		{"four cores", machine("", list, "0", "1", "2", "3"), all, 4},
		{"two threads a core", machine("", list, "0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"), all, 4},
		{"an old Linux", machine("", old, "0-1", "0-1", "2-3", "2-3"), all, 2},
		{"one thread of each of two cores allowed", machine("", list, "0,2", "1,3", "0,2", "1,3"), func(cpu int) bool { return cpu < 2 }, 2},
		{"both threads of one core allowed", machine("", list, "0,2", "1,3", "0,2", "1,3"), func(cpu int) bool { return cpu%2 == 0 }, 1},
		{"two kinds", machine("0-3", list, "0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"), all, 2},
		{"two kinds, only slow ones allowed", machine("0-3", list, "0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"), func(cpu int) bool { return cpu > 4 }, 3},
		{"no topology", fstest.MapFS{"system/cpu/online": {Data: []byte("0-1,3\n")}}, all, 3},
		{"nonsense", fstest.MapFS{"system/cpu/online": {Data: []byte("0-,x,-1,5-99999999999,7-3,1\n")}}, all, 1},
	} {
		if got := countCores(c.sys, c.allowed); got != c.want {
			t.Errorf("%s: %d cores, want %d", c.name, got, c.want)
		}
	}
	if n := defaultThreads(); n < 1 || n > runtime.GOMAXPROCS(0) {
		t.Errorf("%d threads here by default", n)
	}
}
