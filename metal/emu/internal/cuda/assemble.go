package cuda

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// Assembled is what ptxas says of a kernel on one architecture.
type Assembled struct {
	Registers int // of a thread
	Spilled   int // bytes a thread stores for want of registers
}

var (
	usedRegisters = regexp.MustCompile(`Used (\d+) registers`)
	spillStores   = regexp.MustCompile(`(\d+) bytes spill stores`)
)

// Assemble has NVIDIA's assembler make machine code of a kernel's PTX for an architecture (sm_80),
// which is what the driver does when it loads a module, and throws the code away. It needs no GPU.
func Assemble(ctx context.Context, ptxas, path, arch string) (Assembled, error) {
	out, err := exec.CommandContext(ctx, ptxas, "-v", "-arch="+arch, "-o", "/dev/null", path).CombinedOutput()
	if err != nil {
		return Assembled{}, fmt.Errorf("ptxas -arch=%s: %w: %s", arch, err, strings.TrimSpace(string(out)))
	}
	number := func(r *regexp.Regexp) (most int) {
		for _, m := range r.FindAllSubmatch(out, -1) {
			n, _ := strconv.Atoi(string(m[1]))
			most = max(most, n)
		}
		return most
	}
	return Assembled{number(usedRegisters), number(spillStores)}, nil
}
