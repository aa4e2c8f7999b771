package msl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// checkRecursion refuses recursion, which MSL has not had. Names that call themselves are only
// candidates: f(float2) may call f(float), and a template another instance of itself. So the unit
// is compiled without inlining, to LLVM's assembler text, and the calls are read from that.
func (c *Compiler) checkRecursion(ctx context.Context, u *unit, l *library, dir string) error {
	suspects := u.recursive()
	if len(suspects) == 0 {
		return nil
	}
	obj := filepath.Join(dir, "calls.ll")
	if _, err := c.clangText(ctx, obj, l.Text+l.footer(l.all(), false, false), "-O0", "-emit-llvm"); err != nil {
		return err
	}
	ir, err := os.ReadFile(obj)
	if err != nil {
		return fmt.Errorf("msl: %w", err)
	}
	cyclic := callCycles(string(ir))
	reported := map[string]bool{}
	sort.Slice(suspects, func(i, j int) bool { return suspects[i].lo < suspects[j].lo })
	for _, d := range suspects {
		name := u.src.tokens[d.name]
		mangled := fmt.Sprintf("%d%s", len(name.text), name.text)
		for _, s := range cyclic {
			if !reported[name.text] && strings.Contains(s, mangled) {
				reported[name.text] = true
				u.errs.add(name, "recursive function calls are not supported: '%s' calls itself", name.text)
			}
		}
	}
	return nil
}

var (
	irDefine = regexp.MustCompile(`^define [^@]*@"?([\w.$]+)"?\(`)
	irCall   = regexp.MustCompile(`\bcall [^@]*@"?([\w.$]+)"?\(`)
)

// callCycles lists the functions of LLVM assembler text that can reach themselves by calls.
func callCycles(ir string) []string {
	calls := map[string][]string{}
	from := ""
	for l := range strings.Lines(ir) {
		if m := irDefine.FindStringSubmatch(l); m != nil {
			from = m[1]
		} else if m := irCall.FindStringSubmatch(l); m != nil {
			calls[from] = append(calls[from], m[1])
		}
	}
	var cyclic []string
	for name := range calls {
		seen := map[string]bool{}
		stack := append([]string(nil), calls[name]...)
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if n == name {
				cyclic = append(cyclic, name)
				break
			}
			if !seen[n] {
				seen[n] = true
				stack = append(stack, calls[n]...)
			}
		}
	}
	sort.Strings(cyclic)
	return cyclic
}
