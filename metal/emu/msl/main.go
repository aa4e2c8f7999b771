// Command msl compiles a file of Metal Shading Language with the emulator's compiler: it lists the
// kernels with their argument tables, or prints the errors as Metal prints them and exits with 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
	"github.com/gollm/gollm/metal/emu/internal/simt"
)

const usage = `usage: msl [-I DIR] [-D NAME[=VALUE]] [-std metal3.1] [-lax] FILE.metal

Compiles FILE.metal as the emulator's newLibraryWithSource does. On success it lists the kernels
with their argument tables; errors are printed as Metal prints them, and the exit status is 1.
`

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command: its exit status is 0, 1 for a file that does not compile, 2 for wrong usage
// and whatever keeps the compiler from working.
func run(args []string, stdout, stderr io.Writer) int {
	var include, define list
	f := flag.NewFlagSet("msl", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprint(stderr, usage); f.PrintDefaults() }
	f.Var(&include, "I", "`DIR` whose files #include \"name\" finds; may be repeated")
	f.Var(&define, "D", "`NAME=VALUE` of a preprocessor macro; may be repeated")
	std := f.String("std", "metal3.2", "language version")
	lax := f.Bool("lax", false, "accept what only Apple's compiler refuses")
	tg := f.Int("threadgroup-memory", 32768, "most `bytes` of static threadgroup memory")
	cache := f.String("cache", "", "`DIR` for compiled kernels (default: below the user's cache directory)")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if f.NArg() != 1 {
		f.Usage()
		return 2
	}
	var major, minor uint32
	if n, _ := fmt.Sscanf(*std, "metal%d.%d", &major, &minor); n != 2 {
		fmt.Fprintf(stderr, "msl: -std %s: want metalMAJOR.MINOR\n", *std)
		return 2
	}
	source, err := os.ReadFile(f.Arg(0))
	if err != nil {
		fmt.Fprintf(stderr, "msl: %v\n", err)
		return 2
	}
	o := kernel.Options{LanguageVersion: major<<16 | minor, FastMath: true, Macros: map[string]string{}, Headers: map[string]string{}, MaxThreadgroupMemory: *tg, Strict: !*lax}
	for _, d := range define {
		k, v, ok := strings.Cut(d, "=")
		if !ok {
			v = "1"
		}
		o.Macros[k] = v
	}
	if err := headers(o.Headers, string(source), "", append([]string{filepath.Dir(f.Arg(0))}, include...)); err != nil {
		fmt.Fprintf(stderr, "msl: %v\n", err)
		return 2
	}
	c, err := msl.NewCompiler(msl.Config{Target: simt.Target(), CacheDir: *cache})
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	l, err := c.Compile(context.Background(), string(source), o)
	if err != nil {
		var ce *msl.CompileError
		if errors.As(err, &ce) {
			fmt.Fprintln(stderr, strings.ReplaceAll(ce.Error(), "program_source:", f.Arg(0)+":"))
			return 1
		}
		fmt.Fprintln(stderr, err)
		return 2
	}
	defer l.Close()
	if err := table(stdout, l); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	return 0
}

var includeLine = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]`)

// headers adds what text includes, and what that includes, by its name below one of dirs: first
// beside the file that text is from, which at is the folder of, then below dirs themselves, the first to
// have it. What none has is the compiler's to complain of, if it comes to need it.
func headers(m map[string]string, text, at string, dirs []string) error {
	for _, inc := range includeLine.FindAllStringSubmatch(text, -1) {
		for _, name := range []string{path.Join(at, inc[1]), path.Clean(inc[1])} {
			found, err := header(m, name, dirs)
			if err != nil {
				return err
			}
			if found {
				break
			}
		}
	}
	return nil
}

// header adds a file, unless it is there.
func header(m map[string]string, name string, dirs []string) (found bool, err error) {
	if _, ok := m[name]; ok {
		return true, nil
	}
	if !fs.ValidPath(name) { // it leaves the folders
		return false, nil
	}
	for _, dir := range dirs {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		m[name] = string(b)
		return true, headers(m, m[name], path.Dir(name), dirs)
	}
	return false, nil
}

// table prints every kernel with its arguments and function constants.
func table(w io.Writer, l kernel.Library) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, name := range l.Names() {
		fn, err := l.Function(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\n", name)
		for _, a := range fn.Args() {
			kind := map[kernel.ArgKind]string{kernel.ArgBuffer: "device", kernel.ArgConstant: "constant", kernel.ArgThreadgroup: "threadgroup"}[a.Kind]
			at := "buffer"
			if a.Kind == kernel.ArgThreadgroup {
				at = "threadgroup"
			}
			access := map[kernel.Access]string{kernel.Read: "read", kernel.Write: "write", kernel.ReadWrite: "read, write"}[a.Access]
			fmt.Fprintf(t, "  %s(%d)\t%s\t%s\t%s\t%d bytes, aligned to %d\t%s\n", at, a.Index, kind, a.Type, a.Name, a.ElemSize, a.ElemAlign, access)
		}
		for _, c := range fn.Constants() {
			need := "required"
			if !c.Required {
				need = "optional"
			}
			fmt.Fprintf(t, "  function_constant(%d)\t%s\ttype %d\t%s\n", c.Index, c.Name, c.Type, need)
		}
	}
	return t.Flush()
}
