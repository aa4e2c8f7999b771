// Command judge holds the emulator against other people's kernels: the Metal sources of llama.cpp,
// read from a git repository. It compiles every file, counts the kernels, runs some of them against
// double-precision references and writes a table.
//
//	go run ./metal/emu/internal/judge -git PATH/TO/llama.cpp -o metal/emu/internal/judge/TABLE.md
//
// The sources are read, compiled and forgotten; none of them is kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
	"github.com/gollm/gollm/metal/emu/internal/simt"
)

const (
	metalDir  = "ggml/src/ggml-metal/"
	kernelDir = metalDir + "kernels/"
)

// judge is one run.
type judge struct {
	repo     string
	compiler *msl.Compiler
	executor *simt.Executor
	headers  map[string]string
	sources  map[string]string
	libs     map[string]kernel.Library
	out      io.Writer
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("judge: ")
	repo := flag.String("git", "", "git repository of llama.cpp, bare or not")
	table := flag.String("o", "", "file to write the table to (default: standard output)")
	full := flag.Bool("full", false, "also compile every kernel to machine code, which takes long")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the inputs and of the executor's orders")
	flag.Parse()
	if *repo == "" {
		log.Fatal("-git names no repository")
	}
	if err := run(*repo, *table, *full, *seed); err != nil {
		log.Fatal(err)
	}
}

func run(repo, table string, full bool, seed uint64) error {
	c, err := msl.NewCompiler(msl.Config{Target: simt.Target()})
	if err != nil {
		return err
	}
	x, err := simt.New(simt.Options{Seed: seed})
	if err != nil {
		return err
	}
	defer x.Close()
	var text strings.Builder
	j := &judge{repo: repo, compiler: c, executor: x, headers: map[string]string{}, sources: map[string]string{}, libs: map[string]kernel.Library{}, out: &text}
	if err := j.read(); err != nil {
		return err
	}
	rev, err := j.git("rev-parse", "HEAD")
	if err != nil {
		return err
	}
	fmt.Fprintf(j.out, "# The Metal sources of llama.cpp in the emulator\n\nRevision %s, compiled in strict mode for Metal 3.2 with GGML_METAL_HAS_BF16.\nMade by `make metal-judge LLAMA=…`; inputs and orders from seed %d.\n\n", strings.TrimSpace(rev), seed)
	bad := j.compileAll(full)
	worse := j.runAll(seed)
	if table == "" {
		fmt.Print(text.String())
	} else if err := os.WriteFile(table, []byte(text.String()), 0o644); err != nil {
		return err
	}
	return errors.Join(bad, worse)
}

func (j *judge) git(args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", j.repo}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		var e *exec.ExitError
		if errors.As(err, &e) {
			return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, e.Stderr)
		}
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// read gets the sources and what they include.
func (j *judge) read() error {
	list, err := j.git("ls-tree", "--name-only", "HEAD", kernelDir)
	if err != nil {
		return err
	}
	for p := range strings.Lines(list) {
		p = strings.TrimSpace(p)
		text, err := j.git("show", "HEAD:"+p)
		if err != nil {
			return err
		}
		if strings.HasSuffix(p, ".metal") {
			j.sources[path.Base(p)] = text
		} else {
			j.headers[path.Base(p)] = text
		}
	}
	for _, p := range []string{metalDir + "ggml-metal-impl.h", "ggml/src/ggml-common.h"} {
		text, err := j.git("show", "HEAD:"+p)
		if err != nil {
			return err
		}
		j.headers[path.Base(p)] = text
	}
	return nil
}

var kernelWord = regexp.MustCompile(`(?m)^\s*(template\s*\[\[host_name|kernel\s+void)`)

// compileAll compiles every file. It is an error if fewer than 90 % of the kernels compile.
func (j *judge) compileAll(full bool) error {
	fmt.Fprintf(j.out, "| file | kernels | compile | seconds | what is refused |\n| --- | ---: | ---: | ---: | --- |\n")
	total, good := 0, 0
	o := kernel.Options{LanguageVersion: 0x30002, FastMath: true, Strict: true, MaxThreadgroupMemory: 32768, Headers: j.headers, Macros: map[string]string{"GGML_METAL_HAS_BF16": "1"}}
	for _, name := range sorted(j.sources) {
		start := time.Now()
		l, err := j.compiler.Compile(context.Background(), j.sources[name], o)
		n, ok, why := 0, 0, ""
		if err != nil {
			n = len(kernelWord.FindAllString(j.sources[name], -1))
			why, _, _ = strings.Cut(err.Error(), "\n")
		} else {
			j.libs[name] = l
			n = len(l.Names())
			ok = n
			if full {
				ok, why = j.generate(l)
			}
		}
		total, good = total+n, good+ok
		fmt.Fprintf(j.out, "| %s | %d | %d | %.1f | %s |\n", name, n, ok, time.Since(start).Seconds(), why)
		log.Printf("%s: %d of %d kernels compile", name, ok, n)
	}
	how := "Checked: parsed and every instantiation analysed by clang; machine code is made for a kernel when it is first used."
	if full {
		how = "Every kernel was compiled to machine code."
	}
	fmt.Fprintf(j.out, "| **all** | **%d** | **%d** | | **%.1f %%** |\n\n%s\n\n", total, good, 100*float64(good)/float64(total), how)
	if good*10 < total*9 {
		return fmt.Errorf("%d of %d kernels compile: fewer than 90 %%", good, total)
	}
	return nil
}

// generate makes machine code of every kernel of a library.
func (j *judge) generate(l kernel.Library) (ok int, why string) {
	for _, name := range l.Names() {
		f, err := l.Function(name)
		if err == nil {
			values := map[int]kernel.ConstantValue{}
			for _, c := range f.Constants() {
				values[c.Index] = kernel.ConstantValue{Type: c.Type}
			}
			var k kernel.Kernel
			if k, err = f.Specialize(values); err == nil {
				_, err = k.(*msl.Kernel).Object(context.Background())
			}
		}
		if err != nil {
			why, _, _ = strings.Cut(err.Error(), "\n")
			continue
		}
		ok++
	}
	return ok, why
}

// define reads a number from a #define of the headers.
func (j *judge) define(name string) (int, error) {
	m := regexp.MustCompile(`(?m)^#define\s+` + name + `\s+(\d+)`).FindStringSubmatch(j.headers["ggml-metal-impl.h"])
	if m == nil {
		return 0, fmt.Errorf("ggml-metal-impl.h does not define %s", name)
	}
	return strconv.Atoi(m[1])
}

// kernel finds a kernel and gives it its function constants, by their names.
func (j *judge) kernel(file, name string, constants map[string]int) (kernel.Kernel, error) {
	l := j.libs[file]
	if l == nil {
		return nil, fmt.Errorf("%s did not compile", file)
	}
	f, err := l.Function(name)
	if err != nil {
		return nil, err
	}
	values := map[int]kernel.ConstantValue{}
	for _, c := range f.Constants() {
		v := kernel.ConstantValue{Type: c.Type}
		n := constants[c.Name]
		for i := range v.Bytes {
			v.Bytes[i] = byte(n >> (8 * i))
		}
		values[c.Index] = v
	}
	return f.Specialize(values)
}
