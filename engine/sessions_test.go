package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gollm/gollm/engine"
)

// continued returns the tokens that a session continues a text with.
func continued(ctx context.Context, s *engine.Session, text string, n int) (ids []int32, err error) {
	for token, err := range s.Generate(ctx, s.Model().Encode(text), engine.GenerateOptions{MaxTokens: n, IgnoreEnd: true}) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, token.ID)
	}
	return ids, nil
}

// TestSessionsTogether: sessions that share turns generate what they generate alone, while
// others read long prompts, are cancelled, fail, are closed and opened.
func TestSessionsTogether(t *testing.T) {
	texts := []string{"Once upon a time", "Lily and Tom went to", "The dog", "One day, a big red ball fell on the cat's head. She was"}
	const tokens = 40
	for _, o := range []engine.Options{{}, {KVType: "f32", Batch: 5}, {Precise: true, Threads: 1}} {
		o.Context, o.Device = 128, "cpu"
		m := stories(t, o)
		var sessions []*engine.Session
		var want [][]int32
		for _, text := range texts {
			s := session(t, m)
			ids, err := continued(context.Background(), s, text, tokens)
			if err != nil {
				t.Fatal(err)
			}
			s.Truncate(0)
			sessions, want = append(sessions, s), append(want, ids)
		}
		var others, wait sync.WaitGroup
		done, stop := context.WithCancel(context.Background())
		long := slices.Repeat(m.Encode(texts[3]), 5)
		disturb := func(f func(s *engine.Session) error) {
			others.Go(func() {
				for done.Err() == nil {
					s, err := m.NewSession()
					if err == nil {
						err = f(s)
						s.Close()
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		disturb(func(s *engine.Session) error {
			_, err := s.Eval(context.Background(), long)
			return err
		})
		disturb(func(s *engine.Session) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			for token, err := range s.Generate(ctx, m.Encode(texts[0]), engine.GenerateOptions{}) {
				if errors.Is(err, context.Canceled) {
					return nil
				} else if err != nil {
					return err
				}
				if _ = token; len(s.Tokens()) > 12 {
					cancel()
				}
			}
			return errors.New("a cancelled generation came to its end")
		})
		disturb(func(s *engine.Session) error {
			if _, err := s.Eval(context.Background(), []int32{1 << 20}); err == nil {
				return errors.New("evaluated a token outside the vocabulary")
			}
			_, err := s.Eval(context.Background(), long[:3])
			return err
		})
		for i, s := range sessions {
			wait.Go(func() {
				for range 3 {
					ids, err := continued(context.Background(), s, texts[i], tokens)
					if err != nil || !slices.Equal(ids, want[i]) {
						t.Errorf("%+v: %q continues with %v (error: %v), alone %v", o, texts[i], ids, err, want[i])
					}
					s.Truncate(0)
				}
			})
		}
		wait.Wait()
		stop()
		others.Wait()
	}
}

// TestFileCutOffUnderSessions: all sessions that generate at once hear that the file is gone.
func TestFileCutOffUnderSessions(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "testdata", "stories260K.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := engine.Load(context.Background(), path, engine.Options{Context: 100, Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var begun, wait sync.WaitGroup
	for range 4 {
		s := session(t, m)
		begun.Add(1)
		wait.Go(func() {
			_, err := continued(context.Background(), s, "Once", 3)
			begun.Done()
			for range 1_000_000 {
				if err != nil {
					break
				}
				s.Truncate(0)
				_, err = continued(context.Background(), s, "Once", 50)
			}
			if err == nil || !strings.Contains(err.Error(), "can no longer be read") {
				t.Errorf("error: %v", err)
			}
		})
	}
	begun.Wait()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
}

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
				sessions = append(sessions, session(b, m))
			}
			const tokens = 48
			for b.Loop() {
				var wait sync.WaitGroup
				for _, s := range sessions {
					wait.Go(func() {
						if _, err := continued(context.Background(), s, "Once upon a time", tokens); err != nil {
							b.Error(err)
						}
					})
				}
				wait.Wait()
			}
			b.ReportMetric(float64(b.N*n*tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
