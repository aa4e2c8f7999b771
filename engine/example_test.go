package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"

	"github.com/gollm/gollm/engine"
	"github.com/gollm/gollm/engine/chat"
	"github.com/gollm/gollm/engine/sample"
)

// The examples use the small model of the tests: a llama of 260,000 parameters
// that tells stories.
const model = "../testdata/stories260K.gguf"

func Example() {
	ctx := context.Background()
	m, err := engine.Load(ctx, model, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for token, err := range s.Generate(ctx, m.Encode("Once upon a time"), engine.GenerateOptions{MaxTokens: 20}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	// Output: , there was a little girl named Lily. She loved to play outsid
}

func ExampleSession_Generate_sampling() {
	ctx := context.Background()
	m, err := engine.Load(ctx, model, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	o := engine.GenerateOptions{Sampling: sample.Default(), MaxTokens: 200, Stop: []string{".", "!"}}
	o.Sampling.Seed = 7
	var text strings.Builder
	var why engine.Finish
	for token, err := range s.Generate(ctx, m.Encode("Once upon a time"), o) {
		if err != nil {
			log.Fatal(err)
		}
		text.WriteString(token.Text)
		why = token.Finish
	}
	fmt.Println(len(text.String()) > 0, why)
	// Output: true stop
}

func ExampleSession_Eval() {
	ctx := context.Background()
	m, err := engine.Load(ctx, model, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	logits, err := s.Eval(ctx, m.Encode("Once upon a"))
	if err != nil {
		log.Fatal(err)
	}
	best := 0
	for i, l := range logits {
		if l > logits[best] {
			best = i
		}
	}
	fmt.Printf("%d logits, the largest for %q\n", len(logits), m.Decode([]int32{int32(best)}))
	// Output: 512 logits, the largest for "time"
}

func ExampleModel_Embed() {
	ctx := context.Background()
	m, err := engine.Load(ctx, model, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	a, err := m.Embed(ctx, m.Encode("The cat sat on the mat."), engine.EmbedOptions{})
	if err != nil {
		log.Fatal(err)
	}
	b, err := m.Embed(ctx, m.Encode("The cat sat on the bed."), engine.EmbedOptions{})
	if err != nil {
		log.Fatal(err)
	}
	cosine := 0.0
	for i := range a {
		cosine += float64(a[i] * b[i])
	}
	fmt.Println(len(a), cosine > 0.9)
	// Output: 64 true
}

func ExampleModel_ChatPrompt() {
	ctx := context.Background()
	m, err := engine.Load(ctx, model, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	prompt, err := m.ChatPrompt([]chat.Message{chat.User("Tell me a story.")}, chat.Options{})
	if errors.Is(err, chat.ErrNoTemplate) {
		fmt.Println("not a chat model: prompt it with the beginning of a text")
		prompt = m.Encode("Once upon a time")
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(prompt) > 0)
	// Output:
	// not a chat model: prompt it with the beginning of a text
	// true
}

// Sessions of one model share its weights and run at the same time.
func ExampleModel_NewSession() {
	ctx := context.Background()
	m, err := engine.Load(ctx, model, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	prompts := []string{"Once upon a time", "The cat"}
	texts := make([]string, len(prompts))
	var wg sync.WaitGroup
	for i, prompt := range prompts {
		wg.Go(func() {
			s, err := m.NewSession()
			if err != nil {
				log.Fatal(err)
			}
			defer s.Close()
			for token, err := range s.Generate(ctx, m.Encode(prompt), engine.GenerateOptions{Stop: []string{"."}}) {
				if err != nil {
					log.Fatal(err)
				}
				texts[i] += token.Text
			}
		})
	}
	wg.Wait()
	for i := range prompts {
		fmt.Println(prompts[i] + texts[i] + ".")
	}
	// Output:
	// Once upon a time, there was a little girl named Lily.
	// The cat and a boy were playing in the park.
}

// A generation ends with the context; the session keeps what it has read.
func ExampleSession_Generate_cancel() {
	m, err := engine.Load(context.Background(), model, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	for _, err := range s.Generate(ctx, m.Encode("Once upon a time"), engine.GenerateOptions{}) {
		if errors.Is(err, context.Canceled) {
			fmt.Println("stopped after", n, "tokens")
			break
		}
		if n++; n == 10 {
			cancel() // from another goroutine, as a rule
		}
	}
	// Output: stopped after 10 tokens
}
