package kernel

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAssemblyIsCurrent makes the assembly again and compares it with what is
// checked in.
func TestAssemblyIsCurrent(t *testing.T) {
	for _, tool := range []string{"clang-19", "ld.lld-19"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed: apt-get install clang-19 lld-19", tool)
			}
			t.Skipf("NOT TESTED: %s is not installed: apt-get install clang-19 lld-19", tool)
		}
	}
	sources, err := filepath.Glob("csrc/*_*.c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "kernel")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", append([]string{"run", "../c2s", "-o", dir}, sources...)...).CombinedOutput(); err != nil {
		t.Fatalf("c2s: %v\n%s", err, out)
	}
	made, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range made {
		want, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what c2s makes of its source now: run make asm (%v)", f.Name(), err)
		}
	}
}
