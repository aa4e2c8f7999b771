package msl

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl/lib"
)

// version is part of every cache key: raise it when the front end changes what it writes.
const version = "9"

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
		l    *library
		em   emitted
		obj  string
		ds   []diagnostic
		warn []string
	)
	if o.Strict {
		warn = strictWarnings
	}
	for round := 0; ; round++ {
		if l, err = c.library(u, key); err != nil {
			return nil, err
		}
		em = emit(u.src.files, u.rewrite())
		l.Text = em.text
		if l.Whole && !c.cfg.Target.ConstantsByValue {
			// Beside the cache's file, which another process may be using, and then in its place.
			obj = filepath.Join(tmp, "whole.so")
			ds, err = c.build(ctx, obj, l.Text+l.footer(l.all(), true, false), warn...)
		} else {
			obj = filepath.Join(tmp, "check.o")
			if !c.cfg.Target.Link {
				obj = filepath.Join(tmp, "check.ll")
			}
			ds, err = c.check(ctx, obj, l.Text+l.footer(nil, true, true), warn...)
		}
		at := em.splats(ds)
		if len(at) == 0 || round == 8 || !convertScalars(&src, at) {
			break
		}
		u = parse(src, o)
	}
	if err == nil {
		ds = refusals(ds, texts)
	}
	if len(ds) > 0 {
		em.place(ds, texts)
		var ours []diagnostic
		for _, d := range ds {
			if d.isError() && texts[d.file] == "" {
				// Inside the library, or an entry point: the notes that follow say where it was used.
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
