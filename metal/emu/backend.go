package emu

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gollm/gollm/metal/emu/internal/cuda"
	"github.com/gollm/gollm/metal/emu/internal/kernel"
	"github.com/gollm/gollm/metal/emu/internal/msl"
	"github.com/gollm/gollm/metal/emu/internal/simt"
)

// backend chooses what compiles and runs kernels: GOLLM_EMU=cpu, the default, sanitize, which is the
// same with Options.Sanitize, or cuda. A machine
// opens without a compiler, or where no executor runs; what needs one says then what is missing.
func (m *Machine) backend() error {
	if m.compiler != nil && m.executor != nil {
		return nil
	}
	switch name := os.Getenv("GOLLM_EMU"); name {
	case "cuda":
		x, err := cuda.New()
		if err != nil {
			return fmt.Errorf("GOLLM_EMU=cuda: %w", err)
		}
		c, err := msl.NewCompiler(msl.Config{Target: cuda.Target()})
		if err != nil {
			return errors.Join(err, x.Close())
		}
		m.compiler, m.executor = c, x
		return nil
	case "", "cpu", "sanitize":
		target := simt.Target()
		if m.opt.Sanitize || name == "sanitize" {
			target = simt.Sanitize(target)
		}
		x, err := simt.New(simt.Options{Seed: m.opt.Seed, Workers: m.opt.Workers, Race: m.opt.Races, DivergentSIMD: m.opt.DivergentSIMD})
		if err != nil {
			m.executor = noExecutor{err}
		} else {
			m.executor = x
		}
		c, err := msl.NewCompiler(msl.Config{Target: target, CacheDir: m.opt.CacheDir})
		if err != nil {
			m.compiler = noCompiler{err}
		} else {
			m.compiler = c
		}
		return nil
	default:
		return fmt.Errorf("GOLLM_EMU=%s: want cpu, sanitize or cuda", name)
	}
}

// CanCompile returns nil where kernels can be compiled and run, else an error that says what is
// missing and how to install it. A test that needs it skips, and says so.
func CanCompile() error {
	_, err := msl.FindClang()
	x, xerr := simt.New(simt.Options{})
	if xerr == nil {
		xerr = x.Close()
	}
	return errors.Join(err, xerr)
}

type noCompiler struct{ err error }

func (c noCompiler) Compile(context.Context, string, kernel.Options) (kernel.Library, error) {
	return nil, c.err
}

type noExecutor struct{ err error }

func (x noExecutor) Run(context.Context, *kernel.Dispatch) error { return x.err }
func (noExecutor) Close() error                                  { return nil }
