package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gollm/gollm/engine"
)

// BenchmarkSessions measures the tokens a second of all sessions together that
// generate at once, of the model GOLLM_BENCH_MODEL or stories260K.
func BenchmarkSessions(b *testing.B) {
	path := os.Getenv("GOLLM_BENCH_MODEL")
	if path == "" {
		path = filepath.Join("..", "testdata", "stories260K.gguf")
	}
	m, err := engine.Load(context.Background(), path, engine.Options{Context: 256})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for _, n := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var sessions []*engine.Session
			for range n {
				s := session(b, m)
				if _, err := s.Eval(context.Background(), m.Encode("Once upon a time")); err != nil {
					b.Fatal(err)
				}
				sessions = append(sessions, s)
			}
			const tokens = 48
			for b.Loop() {
				var group sync.WaitGroup
				for _, s := range sessions {
					group.Go(func() {
						for range s.Generate(context.Background(), m.Encode("Once upon a time"), engine.GenerateOptions{MaxTokens: tokens, IgnoreEnd: true}) {
						}
					})
				}
				group.Wait()
			}
			b.ReportMetric(float64(b.N*n*tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
