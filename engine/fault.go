package engine

import (
	"fmt"

	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// compile is the executor's Compile, guarded: it decodes weights ahead.
func (m *Model) compile(p *program.Program, kv *program.KVMemory, limits program.Limits) (program.Runner, error) {
	var r program.Runner
	err := gguf.Guard(func() (err error) {
		r, err = m.exec.Compile(p, kv, limits)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return r, nil
}
