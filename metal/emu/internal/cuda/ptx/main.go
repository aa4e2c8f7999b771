// Command ptx compiles files of Metal kernels for NVIDIA GPUs and has NVIDIA's assembler take the
// result: what can be seen of the CUDA executor's kernels where there is no such GPU.
//
//	go run ./metal/emu/internal/cuda/ptx -ptxas PATH FILE.metal…
//
// Each kernel is compiled twice if it has function constants: with every boolean false and with
// every boolean true. Numbers are 1, or what -set says.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/gollm/gollm/metal/emu/internal/cuda"
	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("ptx: ")
	c := checker{numbers: map[int]int{}}
	flag.StringVar(&c.ptxas, "ptxas", "ptxas", "NVIDIA's assembler")
	arch := flag.String("arch", "sm_80,sm_90,sm_120", "architectures, with commas between")
	flag.Func("set", "`INDEX=VALUE` of a function constant that is a number; may be repeated", func(s string) error {
		var i, v int
		if _, err := fmt.Sscanf(s, "%d=%d", &i, &v); err != nil {
			return fmt.Errorf("%q: want INDEX=VALUE", s)
		}
		c.numbers[i] = v
		return nil
	})
	flag.IntVar(&c.workers, "j", 2, "kernels at once")
	flag.Parse()
	c.archs = strings.Split(*arch, ",")
	compiler, err := msl.NewCompiler(msl.Config{Target: cuda.Target()})
	if err != nil {
		log.Fatal(err)
	}
	c.compiler = compiler
	if err := c.files(os.Stdout, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

type checker struct {
	compiler *msl.Compiler
	ptxas    string
	archs    []string
	numbers  map[int]int
	workers  int
}

// row is what is known of a file.
type row struct {
	kernels, forms     int
	registers, spilled map[string]int
	errs               []error
}

// files checks each file and prints the table.
func (c *checker) files(w io.Writer, paths []string) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "file\tkernels\tforms\t")
	for _, a := range c.archs {
		fmt.Fprintf(t, "%s: registers, bytes spilled\t", a)
	}
	fmt.Fprintln(t, "refused")
	var errs []error
	for _, p := range paths {
		r := c.file(p)
		fmt.Fprintf(t, "%s\t%d\t%d\t", filepath.Base(p), r.kernels, r.forms)
		for _, a := range c.archs {
			fmt.Fprintf(t, "%d, %d\t", r.registers[a], r.spilled[a])
		}
		fmt.Fprintln(t, len(r.errs))
		errs = append(errs, r.errs...)
	}
	return errors.Join(t.Flush(), errors.Join(errs...))
}

func (c *checker) file(path string) row {
	r := row{registers: map[string]int{}, spilled: map[string]int{}}
	fail := func(err error) row {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", path, err))
		return r
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return fail(err)
	}
	o := kernel.Options{LanguageVersion: 0x30001, FastMath: true, Strict: true, MaxThreadgroupMemory: 32768, Headers: map[string]string{}}
	beside, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.h"))
	for _, h := range beside {
		text, err := os.ReadFile(h)
		if err != nil {
			return fail(err)
		}
		o.Headers[filepath.Base(h)] = string(text)
	}
	l, err := c.compiler.Compile(context.Background(), string(source), o)
	if err != nil {
		return fail(err)
	}
	defer l.Close()
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		gate = make(chan struct{}, c.workers)
	)
	for _, name := range l.Names() {
		f, err := l.Function(name)
		if err != nil {
			return fail(err)
		}
		r.kernels++
		for _, values := range c.forms(f.Constants()) {
			r.forms++
			wg.Go(func() {
				gate <- struct{}{}
				defer func() { <-gate }()
				err := c.kernel(f, values, func(arch string, a cuda.Assembled) {
					mu.Lock()
					defer mu.Unlock()
					r.registers[arch] = max(r.registers[arch], a.Registers)
					r.spilled[arch] = max(r.spilled[arch], a.Spilled)
				})
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					r.errs = append(r.errs, fmt.Errorf("%s: kernel %q: %w", path, name, err))
				}
			})
		}
	}
	wg.Wait()
	return r
}

// forms are the values of function constants a kernel is compiled with.
func (c *checker) forms(constants []kernel.Constant) []map[int]kernel.ConstantValue {
	if len(constants) == 0 {
		return []map[int]kernel.ConstantValue{nil}
	}
	forms := make([]map[int]kernel.ConstantValue, 2)
	for on := range forms {
		forms[on] = map[int]kernel.ConstantValue{}
		for _, k := range constants {
			v := kernel.ConstantValue{Type: k.Type}
			n, ok := c.numbers[k.Index]
			if !ok {
				n = 1
			}
			switch k.Type {
			case kernel.Bool:
				v.Bytes[0] = byte(on)
			case kernel.Float:
				binary.LittleEndian.PutUint32(v.Bytes[:], math.Float32bits(float32(n)))
			default:
				binary.LittleEndian.PutUint32(v.Bytes[:], uint32(n))
			}
			forms[on][k.Index] = v
		}
	}
	return forms
}

func (c *checker) kernel(f kernel.Function, values map[int]kernel.ConstantValue, found func(arch string, a cuda.Assembled)) error {
	k, err := f.Specialize(values)
	if err != nil {
		return err
	}
	path, err := k.(*msl.Kernel).Object(context.Background())
	if err != nil {
		return err
	}
	for _, arch := range c.archs {
		a, err := cuda.Assemble(context.Background(), c.ptxas, path, arch)
		if err != nil {
			return err
		}
		found(arch, a)
	}
	return nil
}
