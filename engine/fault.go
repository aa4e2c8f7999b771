package engine

import (
	"fmt"
	"runtime/debug"

	"github.com/gollm/gollm/engine/internal/program"
)

// guard calls f, which reads weights, and makes an error of a fault: a file
// that is cut off, or whose disk fails, while it is mapped. Executors guard their
// own goroutines.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		fault, ok := r.(interface {
			error
			Addr() uintptr
		})
		if !ok {
			panic(r)
		}
		err = fmt.Errorf("the model's file can no longer be read (cut off, or its disk fails): %w", fault)
	}()
	return f()
}

// compile is the executor's Compile, guarded: it decodes weights ahead.
func (m *Model) compile(p *program.Program, kv *program.KVMemory, limits program.Limits) (program.Runner, error) {
	var r program.Runner
	err := guard(func() (err error) {
		r, err = m.exec.Compile(p, kv, limits)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return r, nil
}
