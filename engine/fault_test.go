package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine"
)

// TestFileCutOffWhileInUse shortens a model's file under the engine: an error,
// then and at every later step, and no crash.
func TestFileCutOffWhileInUse(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "testdata", "stories260K.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 4} {
		path := filepath.Join(t.TempDir(), "model.gguf")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := engine.Load(context.Background(), path, engine.Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		s := session(t, m)
		if _, err := s.Eval(context.Background(), m.Encode("Once upon a time")); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 4096); err != nil {
			t.Fatal(err)
		}
		wants := func(what string, err error) {
			if err == nil || !strings.Contains(err.Error(), "can no longer be read") {
				t.Errorf("%d threads: %s: %v", threads, what, err)
			}
		}
		for range 2 {
			_, err := s.Eval(context.Background(), m.Encode(" there was"))
			wants("Eval", err)
		}
		_, err = m.NewSession()
		wants("NewSession", err)
		_, err = m.Embed(context.Background(), m.Encode("x"), engine.EmbedOptions{})
		wants("Embed", err)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
