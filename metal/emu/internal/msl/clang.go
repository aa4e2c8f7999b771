package msl

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// MissingToolError says that a program the compiler needs is not installed.
type MissingToolError struct{ Tool string }

func (e *MissingToolError) Error() string {
	return "msl: " + e.Tool + " is not installed: apt-get install clang-19 lld-19"
}

// FindClang returns the path of a clang that knows enough of C++ for OpenCL, which is 19 or newer.
func FindClang() (string, error) {
	if p, err := exec.LookPath("clang-19"); err == nil {
		return p, nil
	}
	p, err := exec.LookPath("clang")
	if err != nil {
		return "", &MissingToolError{"clang-19"}
	}
	out, err := exec.Command(p, "-dumpversion").Output()
	if err != nil {
		return "", &MissingToolError{"clang-19"}
	}
	major, _, _ := strings.Cut(strings.TrimSpace(string(out)), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 19 {
		return "", &MissingToolError{"clang-19"}
	}
	return p, nil
}

// run runs clang in dir.
func (c *Compiler) run(ctx context.Context, dir string, args []string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, c.clang, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the terminal is the program's, not clang's
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		return o.String(), e.String(), fmt.Errorf("msl: %s: %w: %s", filepath.Base(c.clang), err, strings.TrimSpace(e.String()))
	}
	return o.String(), e.String(), nil
}

// precompiled returns the standard library as a precompiled header for these flags.
func (c *Compiler) precompiled(ctx context.Context, flags []string) (string, error) {
	t := c.cfg.Target
	name := t.Name + "-" + digest(version, c.clang, t.Library, strings.Join(flags, " "))
	path := filepath.Join(c.cfg.CacheDir, name+".pch")
	defer c.lock(path)()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	header := filepath.Join(c.cfg.CacheDir, name+".h")
	if b, err := os.ReadFile(header); err != nil || string(b) != t.Library {
		if err := writeFile(header, []byte(t.Library)); err != nil {
			return "", fmt.Errorf("msl: cache: %w", err)
		}
	}
	tmp := beside(path)
	mode := "-c"
	if !t.Link {
		mode = "-S" // -c would run an assembler of the GPU's maker
	}
	args := append(append([]string(nil), flags...), mode, "-Xclang", "-emit-pch", "-Xclang", "-fno-pch-timestamp", header, "-o", tmp)
	if _, _, err := c.run(ctx, c.cfg.CacheDir, args); err != nil {
		return "", fmt.Errorf("msl: the standard library does not compile: %w", err)
	}
	return path, os.Rename(tmp, path)
}

func (c *Compiler) flags() []string {
	return append(append([]string(nil), sharedFlags...), c.cfg.Target.Flags...)
}

// check compiles without emitting a kernel, which is enough for errors and the table.
func (c *Compiler) check(ctx context.Context, out, text string, more ...string) ([]diagnostic, error) {
	more = append([]string{"-O0"}, more...)
	if strings.HasSuffix(out, ".ll") {
		more = append(more, "-emit-llvm")
	}
	return c.clangText(ctx, out, text, more...)
}

// clangText compiles text with the library to out. Diagnostics without an error are the warnings
// that the flags in more ask for.
func (c *Compiler) clangText(ctx context.Context, out, text string, more ...string) ([]diagnostic, error) {
	flags := c.flags()
	if len(more) > 0 && more[0] == "-O0" {
		flags = append(flags, "-O0")
		more = more[1:]
	}
	pch, err := c.precompiled(ctx, flags)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "msl-")
	if err != nil {
		return nil, fmt.Errorf("msl: %w", err)
	}
	defer os.RemoveAll(tmp)
	in := filepath.Join(tmp, "unit.cl")
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("msl: %w", err)
	}
	mode := "-c"
	if strings.HasSuffix(out, ".ll") || !c.cfg.Target.Link && !strings.HasSuffix(out, ".o") {
		mode = "-S"
	}
	args := append(append([]string(nil), flags...), more...)
	args = append(args, "-include-pch", pch, mode, in, "-o", out)
	_, stderr, err := c.run(ctx, tmp, args)
	return parseDiagnostics(stderr), err
}

// build compiles text to an object at path, unless it is there. Its diagnostics are clangText's.
func (c *Compiler) build(ctx context.Context, path, text string, more ...string) ([]diagnostic, error) {
	defer c.lock(path)()
	if _, err := os.Stat(path); err == nil {
		return nil, nil
	}
	tmp := beside(path)
	defer os.Remove(tmp)
	if !c.cfg.Target.Link {
		ds, err := c.clangText(ctx, tmp, text, more...)
		if err != nil {
			return ds, err
		}
		return ds, os.Rename(tmp, path)
	}
	obj := tmp + ".o"
	defer os.Remove(obj)
	ds, err := c.compileObject(ctx, obj, text, more...)
	if err != nil {
		return ds, err
	}
	objs := []string{obj}
	if c.cfg.Target.Runtime != "" {
		rt, err := c.runtime(ctx)
		if err != nil {
			return nil, err
		}
		objs = append(objs, rt)
	}
	ld, err := findLinker()
	if err != nil {
		return nil, err
	}
	args := append([]string{"-shared", "-Bsymbolic", "-z", "now", "--build-id=none", "-o", tmp}, objs...)
	if out, err := exec.CommandContext(ctx, ld, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("msl: %s: %w: %s", filepath.Base(ld), err, out)
	}
	return ds, os.Rename(tmp, path)
}

// compileObject compiles text to an object, by way of LLVM's assembler text where the target rewrites it.
func (c *Compiler) compileObject(ctx context.Context, obj, text string, more ...string) ([]diagnostic, error) {
	t := c.cfg.Target
	if t.Rewrite == nil {
		return c.clangText(ctx, obj, text, more...)
	}
	ll := obj + ".ll"
	defer os.Remove(ll)
	more = append(more, "-emit-llvm")
	if t.Prepare != nil {
		more = append(more, "-Xclang", "-disable-llvm-passes", "-fno-discard-value-names")
	}
	ds, err := c.clangText(ctx, ll, text, more...)
	if err != nil {
		return ds, err
	}
	if t.Prepare != nil {
		if err := rewriteFile(ll, t.Prepare); err != nil {
			return nil, err
		}
		args := append(append([]string(nil), t.Flags...), "-Wno-everything", "-x", "ir", "-emit-llvm", "-S", ll, "-o", ll)
		if _, _, err := c.run(ctx, filepath.Dir(ll), args); err != nil {
			return nil, err
		}
	}
	if err := rewriteFile(ll, t.Rewrite); err != nil {
		return nil, err
	}
	_, stderr, err := c.run(ctx, filepath.Dir(ll), append(append([]string(nil), t.Codegen...), "-x", "ir", "-c", ll, "-o", obj))
	return append(ds, parseDiagnostics(stderr)...), err
}

func rewriteFile(path string, f func(string) string) error {
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(f(string(b))), 0o600)
	}
	if err != nil {
		return fmt.Errorf("msl: %w", err)
	}
	return nil
}

func findLinker() (string, error) {
	for _, n := range []string{"ld.lld-19", "ld.lld", "ld"} {
		if p, err := exec.LookPath(n); err == nil {
			return p, nil
		}
	}
	return "", &MissingToolError{"ld.lld-19"}
}

// runtime compiles the target's C runtime, once.
func (c *Compiler) runtime(ctx context.Context) (string, error) {
	path := filepath.Join(c.cfg.CacheDir, "rt-"+digest(version, c.clang, c.cfg.Target.Runtime)+".o")
	defer c.lock(path)()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	src := strings.TrimSuffix(path, ".o") + ".c"
	if err := writeFile(src, []byte(c.cfg.Target.Runtime)); err != nil {
		return "", fmt.Errorf("msl: cache: %w", err)
	}
	tmp := beside(path)
	args := []string{"-x", "c", "-std=gnu17", "-O2", "-fPIC", "-ffreestanding", "-fno-stack-protector", "-fvisibility=hidden", "-march=x86-64-v3", "-c", src, "-o", tmp}
	if _, _, err := c.run(ctx, c.cfg.CacheDir, args); err != nil {
		return "", fmt.Errorf("msl: the runtime does not compile: %w", err)
	}
	return path, os.Rename(tmp, path)
}
