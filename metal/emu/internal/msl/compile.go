package msl

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl/lib"
)

// version is part of every cache key: raise it when the front end changes what it writes.
const version = "6"

// wholeLimit is how many kernels a source may have to be compiled into one object. A library of
// hundreds of instantiations is checked as a whole and its kernels compiled as they are asked for.
const wholeLimit = 24

// Config says for what and where a Compiler works.
type Config struct {
	Target   Target
	CacheDir string // "" for gollm/msl below the user's cache directory
}

// Compiler compiles Metal Shading Language with clang. It is safe for concurrent use.
type Compiler struct {
	cfg   Config
	clang string

	mu    sync.Mutex
	locks map[string]*sync.Mutex // one build of a file at a time
}

var _ kernel.Compiler = (*Compiler)(nil)

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

// NewCompiler returns a compiler, or a *MissingToolError.
func NewCompiler(cfg Config) (*Compiler, error) {
	clang, err := FindClang()
	if err != nil {
		return nil, err
	}
	if cfg.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			dir = os.TempDir()
		}
		cfg.CacheDir = filepath.Join(dir, "gollm", "msl")
	}
	if cfg.CacheDir, err = filepath.Abs(cfg.CacheDir); err != nil {
		return nil, fmt.Errorf("msl: cache: %w", err)
	}
	if err := os.MkdirAll(cfg.CacheDir, 0o755); err != nil {
		return nil, fmt.Errorf("msl: cache: %w", err)
	}
	return &Compiler{cfg: cfg, clang: clang, locks: map[string]*sync.Mutex{}}, nil
}

// digest hashes parts so that no two lists of parts collide.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// key names a source with everything that decides what it compiles to.
func (c *Compiler) key(source string, o kernel.Options) string {
	parts := []string{version, c.clang, c.cfg.Target.Name, c.cfg.Target.Library, c.cfg.Target.Runtime, strings.Join(c.cfg.Target.Flags, " "), lib.Macros(), source,
		fmt.Sprint(o.LanguageVersion, o.FastMath, o.PreciseFunctions, o.MaxThreadgroupMemory, o.Strict)}
	for _, m := range []map[string]string{o.Macros, o.Headers} {
		names := make([]string, 0, len(m))
		for k := range m {
			names = append(names, k)
		}
		sort.Strings(names)
		for _, k := range names {
			parts = append(parts, k, m[k])
		}
		parts = append(parts, "")
	}
	return digest(parts...)
}

// lock serialises work on one file.
func (c *Compiler) lock(path string) func() {
	c.mu.Lock()
	m := c.locks[path]
	if m == nil {
		m = new(sync.Mutex)
		c.locks[path] = m
	}
	c.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// Compile checks source and compiles it. Its error is a *CompileError for what is wrong with the
// source, and names the file or program for anything else.
func (c *Compiler) Compile(ctx context.Context, source string, o kernel.Options) (kernel.Library, error) {
	key := c.key(source, o)
	meta := filepath.Join(c.cfg.CacheDir, "k-"+key+".json")
	defer c.lock(meta)()
	if b, err := os.ReadFile(meta); err == nil {
		l := &library{c: c, key: key}
		if json.Unmarshal(b, l) == nil && len(l.Entries) > 0 {
			return l, nil
		}
	}
	l, err := c.compile(ctx, source, o, key)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(l)
	if err == nil {
		err = writeFile(meta, b)
	}
	if err != nil {
		return nil, fmt.Errorf("msl: cache: %w", err)
	}
	return l, nil
}

func (c *Compiler) compile(ctx context.Context, source string, o kernel.Options, key string) (*library, error) {
	texts := map[string]string{sourceName: source}
	for n, t := range o.Headers {
		texts[n] = t
	}
	tmp, err := os.MkdirTemp("", "msl-")
	if err != nil {
		return nil, fmt.Errorf("msl: %w", err)
	}
	defer os.RemoveAll(tmp)
	std, err := c.standardHeaders()
	if err != nil {
		return nil, err
	}
	pre, diags, err := c.preprocess(ctx, tmp, std, source, o)
	if err != nil {
		return nil, err
	}
	if diags != nil {
		return nil, newCompileError(diags, texts)
	}
	src := lexUnit(pre)
	u := parse(src, o)
	u.check()
	if len(u.errs.diags) > 0 {
		return nil, newCompileError(u.errs.place(texts), texts)
	}
	var (
		l   *library
		em  emitted
		obj string
		ds  []diagnostic
	)
	for round := 0; ; round++ {
		if l, err = c.library(u, key); err != nil {
			return nil, err
		}
		em = emit(u.src.files, u.rewrite())
		l.Text = em.text
		if l.Whole && !c.cfg.Target.ConstantsByValue {
			// Beside the cache's file, which another process may be using, and then in its place.
			obj = filepath.Join(tmp, "whole.so")
			ds, err = c.build(ctx, obj, l.Text+l.footer(l.all(), true, false))
		} else {
			obj = filepath.Join(tmp, "check.o")
			if !c.cfg.Target.Link {
				obj = filepath.Join(tmp, "check.ll")
			}
			ds, err = c.check(ctx, obj, l.Text+l.footer(nil, true, true))
		}
		at := em.splats(ds)
		if len(at) == 0 || round == 8 || !convertScalars(&src, at) {
			break
		}
		u = parse(src, o)
	}
	if ds != nil {
		em.place(ds, texts)
		var ours []diagnostic
		for _, d := range ds {
			if d.file == "msl_footer" || texts[d.file] == "" {
				// An error inside the library: the notes that follow say where it was used.
				d.file, d.line, d.col = promote(ds, d, texts)
			}
			ours = append(ours, d)
		}
		return nil, newCompileError(ours, texts)
	}
	if err != nil {
		return nil, err
	}
	if err := l.readTable(obj); err != nil {
		return nil, err
	}
	if l.Whole && !c.cfg.Target.ConstantsByValue {
		b, err := os.ReadFile(obj)
		if err == nil {
			err = writeFile(filepath.Join(c.cfg.CacheDir, "k-"+key+".so"), b)
		}
		if err != nil {
			return nil, fmt.Errorf("msl: cache: %w", err)
		}
	}
	if o.Strict {
		if err := c.checkRecursion(ctx, u, l, tmp); err != nil {
			return nil, err
		}
		if len(u.errs.diags) > 0 {
			return nil, newCompileError(u.errs.place(texts), texts)
		}
	}
	if o.MaxThreadgroupMemory > 0 {
		for _, e := range u.entries {
			if e.StaticTG > o.MaxThreadgroupMemory {
				u.errs.add(e.tok, "threadgroup memory of kernel '%s' (%d bytes) exceeds the maximum (%d bytes)", e.Name, e.StaticTG, o.MaxThreadgroupMemory)
			}
		}
		if len(u.errs.diags) > 0 {
			return nil, newCompileError(u.errs.place(texts), texts)
		}
	}
	return l, nil
}

// promote finds the place in the caller's text that an error inside the library belongs to.
func promote(ds []diagnostic, d diagnostic, texts map[string]string) (string, int, int) {
	after := false
	for _, n := range ds {
		if n == d {
			after = true
			continue
		}
		if after {
			if n.severity != "note" {
				break
			}
			if texts[n.file] != "" {
				return n.file, n.line, n.col
			}
		}
	}
	return sourceName, 1, 1
}

// readTable fills in the sizes that only clang knows.
func (l *library) readTable(obj string) error {
	if strings.HasSuffix(obj, ".ll") {
		return l.readTableText(obj)
	}
	f, err := elf.Open(obj)
	if err != nil {
		return fmt.Errorf("msl: %s: %w", obj, err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if dyn, derr := f.DynamicSymbols(); derr == nil {
		syms, err = append(syms, dyn...), nil
	}
	if err != nil {
		return fmt.Errorf("msl: %s: %w", obj, err)
	}
	for _, s := range syms {
		if s.Name != "msl_table" || int(s.Section) >= len(f.Sections) || s.Section == elf.SHN_UNDEF {
			continue
		}
		sec := f.Sections[s.Section]
		data, err := sec.Data()
		if err != nil {
			return fmt.Errorf("msl: %s: %w", obj, err)
		}
		off := s.Value
		if f.Type == elf.ET_DYN {
			off -= sec.Addr
		}
		data = data[min(off, uint64(len(data))):]
		l.fillTable(func() int {
			if len(data) < 4 {
				return 0
			}
			n := int(binary.LittleEndian.Uint32(data))
			data = data[4:]
			return n
		})
		return nil
	}
	return fmt.Errorf("msl: %s has no table of sizes", obj)
}

// fillTable gives the entries the numbers of the table, in its order.
func (l *library) fillTable(next func() int) {
	for _, e := range l.Entries {
		e.StaticTG = next()
		for i := range e.Params {
			e.Params[i].ElemSize, e.Params[i].ElemAlign = next(), next()
		}
	}
}

var (
	irTable = regexp.MustCompile(`(?m)^@msl_table = .*$`)
	irWord  = regexp.MustCompile(`\bi32 (\d+)`)
)

// readTableText reads the table from LLVM assembler text.
func (l *library) readTableText(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("msl: %w", err)
	}
	line := irTable.Find(b)
	if line == nil {
		return fmt.Errorf("msl: %s has no table of sizes", path)
	}
	words := irWord.FindAllSubmatch(line, -1)
	l.fillTable(func() int {
		if len(words) == 0 {
			return 0
		}
		n, _ := strconv.Atoi(string(words[0][1]))
		words = words[1:]
		return n
	})
	return nil
}

// standardHeaders writes the marker files for Metal's headers, once.
func (c *Compiler) standardHeaders() (string, error) {
	dir := filepath.Join(c.cfg.CacheDir, "std-"+digest(lib.Macros(), strings.Join(lib.Standard, " ")))
	defer c.lock(dir)()
	if _, err := os.Stat(filepath.Join(dir, lib.Standard[0])); err == nil {
		return dir, nil
	}
	tmp, err := os.MkdirTemp(c.cfg.CacheDir, "std-")
	if err == nil {
		if err = os.Chmod(tmp, 0o755); err == nil {
			for _, n := range append([]string{"msl_macros"}, lib.Standard...) {
				text := "#pragma once\n#include \"msl_macros\"\n"
				if n == "msl_macros" {
					text = lib.Macros()
				}
				if err = os.WriteFile(filepath.Join(tmp, n), []byte(text), 0o644); err != nil {
					break
				}
			}
		}
		if err == nil && os.Rename(tmp, dir) != nil {
			os.RemoveAll(tmp) // another process was first
		}
	}
	if err != nil {
		return "", fmt.Errorf("msl: cache: %w", err)
	}
	return dir, nil
}

// run runs clang in dir.
func (c *Compiler) run(ctx context.Context, dir string, args []string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, c.clang, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
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
func (c *Compiler) check(ctx context.Context, out, text string) ([]diagnostic, error) {
	if strings.HasSuffix(out, ".ll") {
		return c.clangText(ctx, out, text, "-O0", "-emit-llvm")
	}
	return c.clangText(ctx, out, text, "-O0")
}

// clangText compiles text with the library to out.
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
	if err != nil {
		if ds := parseDiagnostics(stderr); len(ds) > 0 {
			return ds, err
		}
		return nil, err
	}
	return nil, nil
}

// build compiles text to an object at path, unless it is there. Diagnostics come with an error.
func (c *Compiler) build(ctx context.Context, path, text string) ([]diagnostic, error) {
	defer c.lock(path)()
	if _, err := os.Stat(path); err == nil {
		return nil, nil
	}
	tmp := beside(path)
	defer os.Remove(tmp)
	if !c.cfg.Target.Link {
		if ds, err := c.clangText(ctx, tmp, text); err != nil {
			return ds, err
		}
		return nil, os.Rename(tmp, path)
	}
	obj := tmp + ".o"
	defer os.Remove(obj)
	if ds, err := c.compileObject(ctx, obj, text); err != nil {
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
	return nil, os.Rename(tmp, path)
}

// compileObject compiles text to an object, by way of LLVM's assembler text where the target rewrites it.
func (c *Compiler) compileObject(ctx context.Context, obj, text string) ([]diagnostic, error) {
	t := c.cfg.Target
	if t.Rewrite == nil {
		return c.clangText(ctx, obj, text)
	}
	ll := obj + ".ll"
	defer os.Remove(ll)
	more := []string{"-emit-llvm"}
	if t.Prepare != nil {
		more = append(more, "-Xclang", "-disable-llvm-passes", "-fno-discard-value-names")
	}
	if ds, err := c.clangText(ctx, ll, text, more...); err != nil {
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
	if err != nil {
		return parseDiagnostics(stderr), err
	}
	return nil, nil
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

// beside names a temporary file that no other compiler, in this process or another, names.
func beside(path string) string { return fmt.Sprintf("%s.%016x", path, rand.Uint64()) }

// writeFile writes a file whole or not at all.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
