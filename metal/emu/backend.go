package emu

import (
	"context"
	"errors"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// backend chooses what compiles and runs kernels.
func (m *Machine) backend() error {
	if m.compiler == nil {
		m.compiler = noCompiler{}
	}
	if m.executor == nil {
		m.executor = noExecutor{}
	}
	return nil
}

var errNoBackend = errors.New("this build has no compiler of the Metal Shading Language")

type noCompiler struct{}

func (noCompiler) Compile(context.Context, string, kernel.Options) (kernel.Library, error) {
	return nil, errNoBackend
}

type noExecutor struct{}

func (noExecutor) Run(context.Context, *kernel.Dispatch) error { return errNoBackend }
func (noExecutor) Close() error                                { return nil }
