package msl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// sourceName is what Metal calls text given to newLibraryWithSource.
const sourceName = "program_source"

// Language versions, as MTLLanguageVersion encodes them.
const (
	version3_0 = 0x30000
	version3_1 = 0x30001
	version3_2 = 0x30002
	version4_0 = 0x40000
)

// metalVersion is the value of __METAL_VERSION__: 310 for Metal 3.1.
func metalVersion(v uint32) int {
	if v == 0 {
		v = version3_2
	}
	return int(v>>16)*100 + int(v&0xffff)*10
}

// predefined are the macros Apple's compiler defines and a kernel's text may ask about.
func predefined(o kernel.Options) map[string]string {
	m := map[string]string{
		"__METAL__":         "1",
		"__METAL_MACOS__":   "1",
		"__METAL_VERSION__": fmt.Sprint(metalVersion(o.LanguageVersion)),
		"__clang__":         "1",
		"__APPLE__":         "1",
	}
	if metalVersion(o.LanguageVersion) >= 310 {
		m["__HAVE_BFLOAT__"] = "1"
	}
	if o.FastMath {
		m["__FAST_MATH__"] = "1"
	}
	return m
}

// preprocess runs clang's preprocessor over source. The caller's headers are written to dir; the
// standard headers are the marker files in std, which define Metal's macros and nothing else.
func (c *Compiler) preprocess(ctx context.Context, dir, std, source string, o kernel.Options) (string, []diagnostic, error) {
	main := filepath.Join(dir, sourceName)
	if err := os.WriteFile(main, []byte(source), 0o600); err != nil {
		return "", nil, err
	}
	inc := filepath.Join(dir, "include")
	for name, text := range o.Headers {
		if !filepath.IsLocal(name) {
			return "", nil, fmt.Errorf("msl: header name %q leaves the include folder", name)
		}
		p := filepath.Join(inc, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			return "", nil, err
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			return "", nil, err
		}
	}
	// The standard is C++17 for the preprocessor alone: it decides nothing but literals.
	args := []string{"-E", "-x", "c++", "-std=c++17", "-undef", "-nostdinc", "-nostdinc++", "-fno-color-diagnostics",
		"-Wno-everything", "-I", "include", "-isystem", std}
	macros := predefined(o)
	for k, v := range o.Macros {
		macros[k] = v
	}
	names := make([]string, 0, len(macros))
	for k := range macros {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		args = append(args, "-D"+k+"="+macros[k])
	}
	args = append(args, sourceName)
	out, stderr, err := c.run(ctx, dir, args)
	if err == nil {
		return out, nil, nil
	}
	d := parseDiagnostics(stderr)
	if !slices.ContainsFunc(d, func(d diagnostic) bool { return d.isError() }) {
		return "", nil, err
	}
	for i := range d {
		d[i].file = strings.TrimPrefix(d[i].file, "include/")
	}
	return "", d, nil
}
